"""A broken target is taken back by nobody: from the metric to the post-mortem."""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from failback.lab.detection import alertmanager_program, prometheus_program

from support import webhook_bodies as sent
from support.lab_run import LabRun, command, command_here, until

pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,
    pytest.mark.skipif(
        prometheus_program() is None or alertmanager_program() is None,
        reason="Prometheus and Alertmanager are not installed here",
    ),
]

POSTS = 1000
PEOPLE = {"oncall", "engineering", "executives", "alice", "operators"}
PUBLIC = {"public": 60.0, "customers": 300.0}
INSIDE_SECONDS = 30.0


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[LabRun]:
    """A lab that is watched, with its own worker."""
    tmp_path.chmod(0o755)
    folder = str(tmp_path / "lab")
    answer = command("lab", "up", "--dir", folder, "--worker", "--json", seconds=150)
    assert answer.code == 0, answer
    run = LabRun(folder=tmp_path, facts=answer.facts, call=command_here)
    try:
        yield run
    finally:
        run.close()


def entries(lab: LabRun, kind: str) -> list[dict[str, Any]]:
    return list(lab.run("audit", "list", "--kind", kind, "--limit", "5000")["entries"])


def rollbacks(lab: LabRun) -> list[str]:
    return [one["rollback_id"] for one in lab.run("rollback", "list")["rollbacks"]]


def deliveries(lab: LabRun, rollback_id: str) -> list[dict[str, Any]]:
    # Its exit code is not 0 while a delivery is on record as failed.
    arguments = ("notify", "list", rollback_id, "--json")
    return list(lab.call("--config", lab.facts["config"], *arguments).facts["deliveries"])


def token_of(lab: LabRun) -> str:
    settings = yaml.safe_load(Path(lab.facts["config"]).read_text(encoding="utf-8"))
    (token,) = settings["gateway"]["webhooks"]["alertmanager"]["tokens"]
    return str(token)


async def storm(lab: LabRun, token: str) -> set[int]:
    """One alert a thousand times, and a thousand others, all at once at the gateway's port."""
    headers = {"Authorization": f"Bearer {token}"}
    same = [sent.alertmanager(prefix="aaaa")] * POSTS
    others = [sent.alertmanager(prefix=f"{number:04x}") for number in range(POSTS)]
    url = f"{lab.facts['alerting']['gateway_url']}/webhooks/alertmanager"
    async with aiohttp.ClientSession(headers=headers) as session:

        async def post(body: dict[str, Any]) -> int:
            async with session.post(url, json=body) as answer:
                return answer.status

        pairs = zip(same, others, strict=True)
        return set(await asyncio.gather(*(post(body) for pair in pairs for body in pair)))


def test_target_when_broken_then_it_is_rolled_back_by_nobody_and_everybody_is_told(
    watched: LabRun,
) -> None:
    lab = watched
    lab.run("arm")
    load = lab.start_load(users=10, rps=40, seconds=300)
    lab.until_acknowledged(60)
    assert rollbacks(lab) == []
    lab.lab_command("break", "errors")

    until(lambda: len(rollbacks(lab)) == 1, "a rollback that nobody started")
    until(lambda: lab.status()["phase"] in ("done", "failed"), "the end of the rollback")
    # A storm of alerts about what is over starts nothing, and loses none.
    assert asyncio.run(storm(lab, token_of(lab))) == {202}
    lab.until_acknowledged(20)
    lab.stop_load(load)
    (rollback_id,) = rollbacks(lab)
    result = lab.run("rollback", "report", rollback_id)

    assert result["success"], result["error"]
    assert (result["level"], result["requested_by"]) == (1, "failback")
    assert result["data_loss"]["tail"] == "empty"
    verdict = lab.audit()
    assert verdict.acknowledged > 60
    assert (verdict.lost, verdict.wrong) == (0, 0)
    summary = lab.load_summary()
    assert summary["failed_by_side"].get("source", 0) == 0

    decision = decision_behind(lab)
    reading = next(
        one for one in decision["body"]["readings"] if one["rule"] == "error_rate_critical"
    )
    assert reading["verdict"] == "fired"
    assert reading["value"] > 0.05
    # Nothing that the target answered came later than the flip.
    assert summary["last_answer_at"]["target"] < result["released_at"]
    told_in_time(lab, rollback_id)
    recorded_whole(lab, rollback_id)


def decision_behind(lab: LabRun) -> dict[str, Any]:
    """The one decision that acted, with its evidence, after Alertmanager's own alert."""
    until(
        lambda: any(one["body"]["action"] == "roll_back" for one in entries(lab, "decision")),
        "the decision's record",
    )
    (decision,) = (one for one in entries(lab, "decision") if one["body"]["action"] == "roll_back")
    body = decision["body"]
    assert (body["decision"], body["level"]) == ("IMMEDIATE_ROLLBACK", 1)
    assert (body["basis"], body["mode"]) == ("metrics", "automatic")
    led = next(
        one["body"]["alerts"]
        for one in entries(lab, "rollback")
        if one["body"]["event"] == "alerts_started"
    )
    behind = [one for one in entries(lab, "alert") if one["subject"] in led]
    assert len(behind) == len(led) > 0
    for alert in behind:
        assert (alert["who"], alert["body"]["status"]) == ("alertmanager", "firing")
    # Others may be heard while the decision that the first one led to is being taken.
    first = min(datetime.fromisoformat(alert["at"]) for alert in behind)
    assert first <= datetime.fromisoformat(decision["at"])
    return decision


def told_in_time(lab: LabRun, rollback_id: str) -> None:
    """Every reader was told within the specification's time, and it really arrived."""

    everybody = {*PEOPLE, *PUBLIC}

    def told_of(kind: str) -> set[str]:
        found = deliveries(lab, rollback_id)
        return {one["channel"] for one in found if one["kind"] == kind}

    until(lambda: told_of("ROLLBACK_SUCCEEDED") == everybody, "everybody to be told of the end")
    for one in deliveries(lab, rollback_id):
        assert one["delivered"], one
        assert one["deadline_seconds"] == PUBLIC.get(one["channel"], INSIDE_SECONDS)
        assert one["in_time"], one
    assert told_of("AUTOMATIC_ROLLBACK_INITIATED") == PEOPLE
    lines = Path(lab.facts["alerting"]["inbox_file"]).read_text(encoding="utf-8").splitlines()
    arrived = [json.loads(line) for line in lines]
    assert {one["vendor"] for one in arrived} == {
        "slack",
        "pagerduty",
        "statuspage",
        "email",
        "customers",
    }


def recorded_whole(lab: LabRun, rollback_id: str) -> None:
    """Every alert of the storm is on record once, the log is whole, the post-mortem written."""
    wanted = POSTS + 1

    def stormed() -> list[str]:
        found = (str(one["body"]["fingerprint"]) for one in entries(lab, "alert"))
        return [one for one in found if one.endswith(f"{0:014x}")]

    until(lambda: len(stormed()) >= wanted, f"{wanted} alerts on record")
    assert len(stormed()) == len(set(stormed())) == wanted
    assert rollbacks(lab) == [rollback_id]
    assert lab.run("audit", "verify")["intact"]
    written = Path(lab.facts["config"]).parent / "post-mortems"
    until(lambda: any(written.rglob(f"*{rollback_id}*")), "the post-mortem")
