"""Records the histories that the replay tests hold every later version to.

`python tests/replay/record.py VERSION` writes `tests/replay/histories/VERSION/*.json`. Run it
once for a release, and never again for the same one.
"""

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

sys.path.insert(0, str(Path(__file__).parents[1]))

from failback.models.common import Side
from failback.models.responses import ActionKind, CloseInvestigation, Replan
from failback.models.rollback import Decision, Phase
from failback.temporal.ids import alert_response_workflow, rollback_workflow
from failback.temporal.responses import Responses

from support.answers import (
    CRITICAL,
    INVESTIGATE,
    WARNING,
    mode,
    tell,
    until,
    until_done,
    waiting_rollback,
)
from support.fake_estate import FakeEstate, fake_estate
from support.responses import alert, resolved
from support.servers import temporal_in

HISTORIES = Path(__file__).parent / "histories"
ALICE = Decision(who="alice", role="engineering_lead")
CAROL = Decision(who="carol", role="operations")
PEOPLE = {"people": {"alice": ["engineering_lead"], "carol": ["operations"]}}

_HOST = re.compile(r"\d+@[\w.-]+")
"""A process on a host, as workers and their queues are called."""

Scene = Callable[[FakeEstate], Awaitable[None]]


async def traffic_warm(fakes: FakeEstate) -> None:
    """Level 1 as planned."""
    fakes.engine.write(Side.TARGET, "a", "1")
    await fakes.rollbacks.start(1, "errors", "alice")
    await fakes.rollbacks.result(None)


async def traffic_forced(fakes: FakeEstate) -> None:
    """Level 1 that ends in a forced failover."""
    fakes.balancer.fail("set_all_weights", times=None)
    await fakes.rollbacks.start(1, "errors", "alice")
    await fakes.rollbacks.result(None)


async def traffic_late_tail(fakes: FakeEstate) -> None:
    """Level 1 whose tail is carried over after the flip."""
    fakes.engine.write(Side.TARGET, "a", "1")
    fakes.engine.stalled = True
    await fakes.rollbacks.start(1, "errors", "alice")
    await fakes.until_phase(Phase.DRAINING_TAIL)
    fakes.engine.stalled = False
    await fakes.rollbacks.result(None)


async def data_sync_approved(fakes: FakeEstate) -> None:
    """Level 2 as planned."""
    fakes.engine.write(Side.TARGET, "a", "1")
    started = await fakes.rollbacks.start(2, "wrong totals", "bob")
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    await fakes.rollbacks.decide(started.rollback_id, "approve", ALICE)
    await fakes.rollbacks.result(None)


async def data_sync_emergency(fakes: FakeEstate) -> None:
    """Level 2 that flips without sync because rows differ."""
    fakes.engine.write(Side.TARGET, "a", "1")
    fakes.engine.corrupt(Side.TARGET, "silent", "x")
    await data_sync_approved(fakes)


async def data_sync_rejected(fakes: FakeEstate) -> None:
    """Level 2 that a person ends before it acts."""
    started = await fakes.rollbacks.start(2, "wrong totals", "bob")
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    await fakes.rollbacks.decide(started.rollback_id, "reject", ALICE)
    await fakes.rollbacks.result(None)


async def data_sync_unanswered(fakes: FakeEstate) -> None:
    """Level 2 that goes on because nobody said no in time."""
    await fakes.rollbacks.start(2, "wrong totals", "bob")
    await fakes.rollbacks.result(None)


async def data_sync_asked_again(fakes: FakeEstate) -> None:
    """Level 2 whose grounds change after somebody has approved it."""
    started = await fakes.rollbacks.start(2, "wrong totals", "bob")
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    await fakes.rollbacks.decide(started.rollback_id, "approve", ALICE)
    running = fakes.client.get_workflow_handle(rollback_workflow(fakes.estate.estate))
    await running.signal("replan", Replan(reason="it is worse", evidence="e2"))
    await fakes.until(lambda status: status.reason == "it is worse")
    for decision in (ALICE, CAROL):
        await fakes.rollbacks.decide(started.rollback_id, "approve", decision)
    await fakes.rollbacks.result(None)


async def alerts_automatic(fakes: FakeEstate) -> None:
    """A critical alert that leads to level 1, is repeated and resolved."""
    fakes.metrics.values |= CRITICAL
    await tell(fakes, alert(1), alert(2))
    status = await until(fakes, lambda status: status.handling)
    await fakes.rollbacks.result(status.handling.rollback_id if status.handling else None)
    await tell(fakes, alert(1), resolved(alert(2)))
    await until(fakes, lambda status: status.firing == 1)


async def alerts_escalated(fakes: FakeEstate) -> None:
    """A warning that becomes critical while its level 2 waits for people."""
    fakes.metrics.values |= WARNING
    await tell(fakes, alert(1))
    await waiting_rollback(fakes)
    fakes.metrics.values |= CRITICAL
    await fakes.rollbacks.result(None)


async def alerts_investigated(fakes: FakeEstate) -> None:
    """What is unusual is looked into, and closed."""
    fakes.metrics.values |= INVESTIGATE
    await tell(fakes, alert(1))
    await until(fakes, lambda status: status.investigation and status.investigation.paused)
    closing = CloseInvestigation(who="alice", comment="a crawler")
    await Responses(fakes.client, fakes.estate.estate).close_investigation(closing)
    await until_done(fakes, ActionKind.NOTHING)


_AUTOMATIC = {"decision": mode("automatic")}
_TWO = {"approvals": {**PEOPLE, "levels": {2: {"quorum": 2}}}}
_UNANSWERED = {"approvals": {"levels": {2: {"expires_seconds": 0.2, "on_expiry": "proceed"}}}}
_HOOK = {**_AUTOMATIC, "investigation": {"pause_url": "http://127.0.0.1:1/"}}

SCENES: tuple[tuple[Scene, dict[str, Any]], ...] = (
    (traffic_warm, {}),
    (traffic_forced, {}),
    (traffic_late_tail, {}),
    (data_sync_approved, {}),
    (data_sync_emergency, {}),
    (data_sync_rejected, {}),
    (data_sync_unanswered, _UNANSWERED),
    (data_sync_asked_again, _TWO),
    (alerts_automatic, _AUTOMATIC),
    (alerts_escalated, _AUTOMATIC),
    (alerts_investigated, _HOOK),
)


async def record(version: str) -> None:
    """Play every scene on a server of its own, and keep the histories, children included."""
    folder = HISTORIES / version
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch, temporal_in(Path(scratch)) as server:
        for scene, changes in SCENES:
            name = scene.__name__.replace("_", "-")
            async with fake_estate(name, server.address, **changes) as fakes:
                await scene(fakes)
                for suffix, workflow_id in workflow_ids(name).items():
                    history = await _history(fakes.client, workflow_id)
                    if history:
                        (folder / f"{name}{suffix}.json").write_text(history)


def workflow_ids(name: str) -> dict[str, str]:
    """The workflows of a scene that are kept, by what their files' names end with."""
    rollback = rollback_workflow(name)
    return {
        "": rollback,
        "-child": f"{rollback}/traffic",
        "-response": alert_response_workflow(name),
    }


async def _history(client: Client, workflow_id: str) -> str:
    """A workflow's history; empty where the scene had no such workflow."""
    try:
        history = await client.get_workflow_handle(workflow_id).fetch_history()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return ""
    return _scrubbed(history.to_json())


def _scrubbed(history: str) -> str:
    """A history without what names the machine that it was recorded on."""

    def scrub(value: Any) -> Any:
        if isinstance(value, list):
            return [scrub(item) for item in value]
        if isinstance(value, str):
            return _HOST.sub("recorder", value)
        if not isinstance(value, dict):
            return value
        return {key: scrub(item) for key, item in value.items() if key != "stackTrace"}

    return json.dumps(scrub(json.loads(history)), indent=1)


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1]))
