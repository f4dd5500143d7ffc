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

sys.path.insert(0, str(Path(__file__).parents[1]))

from failback.models.common import Side
from failback.models.rollback import Decision, Phase
from failback.temporal.ids import rollback_workflow

from support.fake_estate import FakeEstate, fake_estate
from support.servers import temporal_in

HISTORIES = Path(__file__).parent / "histories"
ALICE = Decision(who="alice", role="engineering_lead")

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


SCENES: tuple[Scene, ...] = (
    traffic_warm,
    traffic_forced,
    traffic_late_tail,
    data_sync_approved,
    data_sync_emergency,
    data_sync_rejected,
)


async def record(version: str) -> None:
    """Play every scene on a server of its own, and keep the histories, children included."""
    folder = HISTORIES / version
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch, temporal_in(Path(scratch)) as server:
        for scene in SCENES:
            name = scene.__name__.replace("_", "-")
            async with fake_estate(name, server.address) as fakes:
                await scene(fakes)
                async for found in fakes.client.list_workflows(
                    f'WorkflowId STARTS_WITH "{rollback_workflow(name)}"'
                ):
                    handle = fakes.client.get_workflow_handle(found.id, run_id=found.run_id)
                    history = await handle.fetch_history()
                    child = "-child" if found.id.endswith("/traffic") else ""
                    (folder / f"{name}{child}.json").write_text(_scrubbed(history.to_json()))


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
