"""Ways to send alerts to an estate of fakes, and to wait for what it does about them."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from failback.models.alerts import Alert
from failback.models.audit import AuditEntry, EntryKind
from failback.models.messages import Message, MessageKind
from failback.models.responses import ActionKind, ResponseStatus
from failback.models.rollback import Phase, RollbackStatus

from support.fake_estate import FakeEstate
from support.responses import response_until, send

CRITICAL = {"error_rate": 0.2}
WARNING = {"error_rate": 0.03}
INVESTIGATE = {"error_rate": 0.015}


def mode(name: str, **changes: Any) -> dict[str, Any]:
    return {"mode": name, "evaluate_seconds": 0.15, **changes}


async def tell(fakes: FakeEstate, *alerts: Alert) -> None:
    await send(fakes.client, fakes.estate.estate, fakes.estate.temporal.task_queue, *alerts)


async def until(fakes: FakeEstate, wanted: Callable[[ResponseStatus], Any]) -> ResponseStatus:
    return await response_until(fakes.client, fakes.estate.estate, wanted)


async def until_done(fakes: FakeEstate, kind: ActionKind) -> ResponseStatus:
    return await until(
        fakes, lambda status: status.decided is not None and status.decided.action.kind is kind
    )


async def recorded(
    fakes: FakeEstate, kind: EntryKind, wanted: Callable[[AuditEntry], Any], count: int = 1
) -> list[AuditEntry]:
    """Entries of the audit log, once there are enough of them."""
    deadline = time.monotonic() + 20
    while True:
        found = [one for one in fakes.audit.entries if one.kind is kind and wanted(one)]
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, [one.body for one in fakes.audit.entries[-5:]]
        await asyncio.sleep(0.02)


def told(fakes: FakeEstate, kind: MessageKind) -> list[Message]:
    return [one.message for one in fakes.notifier.told if one.message.kind is kind]


async def until_told(fakes: FakeEstate, kind: MessageKind) -> Message:
    deadline = time.monotonic() + 20
    while not told(fakes, kind):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    return told(fakes, kind)[0]


async def waiting_rollback(fakes: FakeEstate) -> RollbackStatus:
    await until(fakes, lambda status: status.handling)
    return await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)


async def traffic_to_target(fakes: FakeEstate) -> None:
    """Somebody tries the cut-over again."""
    routes = [backend for route in fakes.estate.plan(1).routes for backend in route.backends]
    await fakes.balancer.set_all_weights(routes, 0, 100)
