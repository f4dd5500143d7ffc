"""`kill -9` of the worker in the middle of the activity that drains: Temporal has it go on."""

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter

from failback.models.common import Outcome
from failback.models.sync import DrainReport
from failback.reverse_sync.engine import ReverseSync

from support.backlog import TABLES, grow, peak_megabytes
from support.drain_worker import QUEUE, DrainBacklog
from support.servers import temporal_in

pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.timeout(1800)]

Armed = Callable[..., ReverseSync]
Say = Callable[[str], None]

KILLS = 12
BOUND_MEGABYTES = 300
_TESTS = Path(__file__).resolve().parents[1]


def start_worker(pair: Any, address: str) -> "subprocess.Popen[str]":
    settings = pair.settings
    return subprocess.Popen(
        [sys.executable, "-m", "support.drain_worker"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(_TESTS), os.getenv("PYTHONPATH")])),
            "ADDRESS": address,
            "ESTATE": settings.estate,
            "SOURCE": settings.source_dsn,
            "TARGET": settings.target_dsn,
            "CHANGES": "2000",
        },
        stdout=subprocess.PIPE,
        text=True,
    )


async def begun(process: "subprocess.Popen[str]", handle: "WorkflowHandle[Any, Any]") -> bool:
    """Wait until the worker drains; False where the drain is over."""
    assert process.stdout is not None
    line = asyncio.ensure_future(asyncio.to_thread(process.stdout.readline))
    while not line.done():
        await asyncio.wait([line], timeout=0.2)
        status = (await handle.describe()).status
        if not line.done() and status is not WorkflowExecutionStatus.RUNNING:
            process.kill()
    return await line == "draining\n"


async def test_worker_when_killed_a_dozen_times_in_the_drain_then_both_sides_are_equal(
    pair: Any, armed: Armed, say: Say, tmp_path: Path
) -> None:
    engine = armed(*TABLES)
    await asyncio.to_thread(grow, pair, 500_000)
    engine.close()
    choose = random.Random(KILLS)
    struck, peak = 0, 0.0
    with temporal_in(tmp_path) as temporal:
        client = await Client.connect(temporal.address, data_converter=pydantic_data_converter)
        handle = await client.start_workflow(
            DrainBacklog.run, 900.0, id=f"drain-{uuid.uuid4()}", task_queue=QUEUE
        )
        for number in range(KILLS + 1):
            with start_worker(pair, temporal.address) as process:
                assert process.stdout is not None
                if number < KILLS:
                    assert await begun(process, handle), "the drain was over before the kills"
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(handle.result(), choose.uniform(0.0, 0.5))
                    peak = max(peak, peak_megabytes(process.pid))
                    struck += process.poll() is None
                else:
                    report = await handle.result()
                    peak = max(peak, peak_megabytes(process.pid))
                process.kill()
    assert isinstance(report, DrainReport)
    assert report.outcome is Outcome.SUCCEEDED
    assert report.attempts == KILLS + 1
    say(f"{struck} kills of the worker; peak of its memory {peak:.0f} MiB")
    assert struck == KILLS
    assert peak < BOUND_MEGABYTES
    pair.assert_equal()
