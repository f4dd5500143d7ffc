"""Secrets stay where they are: in no history, log, report, output, trace or argument."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from psycopg.conninfo import make_conninfo
from temporalio.client import Client

from failback.lab.processes import free_port

from support.lab_run import LabRun, command, until
from support.otlp_sink import OtlpSink, otlp_sink

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(400)]

PLANTED = {
    "webhook": "planted-webhook-token",
    "webhook's key": "planted-webhook-signing-key",
    "slack": "planted-slack-token",
    "pagerduty": "planted-pagerduty-routing-key",
    "statuspage": "planted-statuspage-key",
    "mail": "planted-mail-password",
    "api key": "planted-temporal-api-key",
    "wrong password": "planted-wrong-password",
}
Change = Callable[[dict[str, Any]], object]


def channels_of_every_vendor(port: int) -> dict[str, Any]:
    """Channels whose vendors are away, each with a secret."""
    away = f"http://127.0.0.1:{port}"
    return {
        "slack": {
            "kind": "slack",
            "slack": {"token": PLANTED["slack"], "channel": "C1", "api_url": away},
        },
        "pager": {
            "kind": "pagerduty",
            "pagerduty": {"routing_key": PLANTED["pagerduty"], "url": away},
        },
        "page": {
            "kind": "statuspage",
            "audiences": ["status_page"],
            "statuspage": {"page": "p1", "api_key": PLANTED["statuspage"], "api_url": away},
        },
        "mail": {
            "kind": "email",
            "email": {
                "host": "127.0.0.1",
                "port": port,
                "user": "failback",
                "password": PLANTED["mail"],
                "sender": "failback@example.test",
                "recipients": ["oncall@example.test"],
            },
        },
    }


class Estate:
    """A lab whose configuration has more secrets than a lab needs."""

    def __init__(self, lab: LabRun, sink: OtlpSink) -> None:
        self.lab = lab
        self.sink = sink
        spec = json.loads((Path(lab.lab) / "spec.json").read_text(encoding="utf-8"))
        self.secrets: dict[str, str] = {**spec["secrets"], **PLANTED}
        self.config = self.configured("failback.yaml", lambda document: None)
        self.seen: dict[str, bytes] = {}

    def configured(self, name: str, change: Change) -> Path:
        """A configuration with one thing changed."""
        document = yaml.safe_load(Path(self.lab.facts["config"]).read_text(encoding="utf-8"))
        document["temporal"]["api_key"] = PLANTED["api key"]
        document["telemetry"]["otlp_endpoint"] = self.sink.address
        document["notifications"]["chat"] = {
            "kind": "webhook",
            "url": f"http://127.0.0.1:{free_port()}/hooks/{PLANTED['webhook']}",
            "secret": PLANTED["webhook's key"],
        }
        document["notifications"] |= channels_of_every_vendor(free_port())
        change(document)
        path = self.lab.folder / name
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    def run(self, *words: str, config: Path | None = None, code: int | None = None) -> str:
        """A command in both of its forms; what it printed is kept for the search."""
        outputs = []
        for form in ((), ("--json",)) if code is None else (("--json",),):
            answer = command("--config", str(config or self.config), *words, *form, seconds=120)
            assert code is None or answer.code == code, answer
            where = f"failback {' '.join((*words, *form))} ({(config or self.config).name})"
            self.seen[where] = f"{answer.output}\n{answer.errors}".encode()
            outputs.append(answer.output)
        return outputs[-1]

    def leaks(self) -> list[str]:
        """Every place that holds a secret, with the secret's name; never the secret."""
        return [
            f"{name} in {where}"
            for where, text in self.seen.items()
            for name, secret in self.secrets.items()
            if secret.encode() in text
        ]


@pytest.fixture
def estate(lab: LabRun) -> Iterator[Estate]:
    with otlp_sink() as sink:
        yield Estate(lab, sink)
        # The worker sends its last spans at its end.
        lab.close()


async def histories(address: str, estate: str) -> dict[str, bytes]:
    """Every workflow's history as bytes, payloads included as they are stored."""
    client = await Client.connect(address)
    found: dict[str, bytes] = {}
    async for run in client.list_workflows():
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        events = (await handle.fetch_history()).events
        found[f"history of {run.id}"] = b"\n".join(event.SerializeToString() for event in events)
    assert f"history of rollback/{estate}" in found
    return found


def test_secrets_when_a_rollback_fails_and_commands_fail_then_they_are_nowhere(
    estate: Estate,
) -> None:
    lab = estate.lab
    lab.start("--config", str(estate.config), "worker", log="worker")
    estate.run("check")
    estate.run("arm", code=0)
    estate.run("sync", "status", code=0)

    # A level 2 whose drain fails, so that errors of servers enter history and log.
    started = json.loads(
        estate.run(
            *("rollback", "start", "--level", "2", "--reason", "known-reason", "--as", "bob"),
            code=0,
        )
    )
    lab.lab_command("break", "source-down")
    decision = ("--as", "alice", "--role", "engineering_lead")
    estate.run("rollback", "approve", started["rollback_id"], *decision, code=0)
    lab.until_step("draining_tail")
    estate.run("sync", "verify")
    estate.run("check")
    lab.lab_command("heal", "source-down")
    until(lambda: lab.status()["phase"] in ("done", "failed"), "the end of the rollback")
    page = lab.folder / "report.html"
    estate.run("rollback", "report", "--html", str(page))
    estate.run("rollback", "status")
    estate.run("rollback", "list")

    # Commands that fail where a secret is at hand.
    for name, change in broken(lab).items():
        config = estate.configured(f"{name}.yaml", change)
        for words in (("check",), ("arm",)):
            estate.run(*words, config=config)

    estate.seen["report"] = page.read_bytes()
    estate.seen.update(asyncio.run(histories(lab.facts["temporal"]["address"], started["estate"])))
    estate.seen["arguments"] = "\n".join(
        " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
    ).encode()
    for process in lab.processes:
        process.terminate()
        process.wait(timeout=20)
    estate.seen["worker's log"] = (lab.folder / "worker.log").read_bytes()
    for log in (Path(lab.lab) / "logs").glob("*.log"):
        estate.seen[f"log {log.name}"] = log.read_bytes()
    estate.seen["traces"] = b"\n".join(span.SerializeToString() for _, span in estate.sink.spans)

    # What is looked through is what was meant: each place holds something known.
    assert b"known-reason" in estate.seen[f"history of rollback/{started['estate']}"]
    assert b"known-reason" in estate.seen["report"]
    told = [text for where, text in estate.seen.items() if where.startswith("history of notify/")]
    assert any(b"known-reason" in text for text in told)
    assert b"deliver" in estate.seen["worker's log"]
    assert b"RunActivity:drain" in estate.seen["traces"]
    assert b"failback.lab.product" in estate.seen["arguments"]
    assert b"metrics at" in estate.seen["worker's log"]
    assert estate.leaks() == []
    estate.seen = {"nowhere": f"…{estate.secrets['tsig']}…".encode()}
    assert estate.leaks() == ["tsig in nowhere"]


def broken(lab: LabRun) -> dict[str, Change]:
    """Configurations that make commands fail beside a secret."""

    def wrong_password(document: dict[str, Any]) -> None:
        dsn = document["source"]["dsn"]
        document["source"]["dsn"] = make_conninfo(dsn, password=PLANTED["wrong password"])

    def malformed(document: dict[str, Any]) -> None:
        document["target"]["dsn"] = document["target"]["dsn"].replace("://", "//")

    def no_port(document: dict[str, Any]) -> None:
        document["target"]["dsn"] = document["target"]["dsn"] + "?no_such_option=1"

    def not_a_section(document: dict[str, Any]) -> None:
        document["dns"]["tsig"] = document["dns"]["tsig"]["secret"]
        document["source"] = document["source"]["dsn"]

    def wrong_key(document: dict[str, Any]) -> None:
        document["dns"]["tsig"]["algorithm"] = "rot13"

    def channel(document: dict[str, Any]) -> None:
        chat = document["notifications"]["chat"]
        chat["url"] = chat["url"].replace("http://", "gopher://")

    return {
        "wrong-password": wrong_password,
        "malformed-dsn": malformed,
        "unknown-option": no_port,
        "not-a-section": not_a_section,
        "wrong-algorithm": wrong_key,
        "wrong-channel": channel,
    }
