"""The command line's part of a trace: sent before the process ends, and never in its way."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from failback.lab.processes import free_port
from failback.sections.proof import TelemetryConfig
from failback.telemetry import Telemetry

from support.fake_estate import FakeEstate, MakeEstate
from support.lab_run import FAILBACK
from support.otlp_sink import otlp_sink

pytestmark = pytest.mark.servers


def configured(fakes: FakeEstate, otlp_endpoint: str, folder: Path) -> Path:
    """A configuration file of the estate of fakes, as the command line reads it."""
    document: dict[str, Any] = json.loads(fakes.estate.model_dump_json(exclude_none=True))
    for side in ("source", "target"):
        document[side]["dsn"] = "postgresql://unused"
    document["telemetry"] = {"otlp_endpoint": otlp_endpoint}
    path = folder / "failback.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


async def failback(*words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        FAILBACK, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


START = ("rollback", "start", "--level", "1", "--reason", "errors", "--wait", "--json")


async def test_command_when_a_collector_is_configured_then_its_trace_goes_on_in_the_worker(
    make_estate: MakeEstate, tmp_path: Path
) -> None:
    with otlp_sink() as sink:
        to_sink = TelemetryConfig(otlp_endpoint=sink.address)
        worker = Telemetry.start(to_sink, service="failback-worker", metrics=False)
        fakes = await make_estate(telemetry=worker)
        config = configured(fakes, sink.address, tmp_path)

        code, output, errors = await failback("--config", str(config), *START)
        worker.close()

    assert code == 0, errors
    assert json.loads(output)["success"]
    ours, theirs = sink.named("failback-cli"), sink.named("failback-worker")
    assert set(ours) == {"failback rollback start", "StartWorkflow:TrafficRollback"}
    root = ours["failback rollback start"]
    assert root.parent_span_id == b""
    assert ours["StartWorkflow:TrafficRollback"].parent_span_id == root.span_id
    assert {"RunWorkflow:TrafficRollback", "RunActivity:shift_weights"} <= set(theirs)
    assert {span.trace_id for span in theirs.values()} == {root.trace_id}


async def test_command_when_the_collector_is_away_then_it_ends_as_it_would_without(
    make_estate: MakeEstate, tmp_path: Path
) -> None:
    fakes = await make_estate()
    config = configured(fakes, f"http://127.0.0.1:{free_port()}", tmp_path)

    code, output, errors = await failback("--config", str(config), *START)

    assert code == 0, errors
    assert json.loads(output)["success"]
    assert "Traceback" not in errors
    assert "Failed to export" in errors
