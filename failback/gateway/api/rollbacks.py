"""Rollbacks by the API: what is there, start, and decide."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol, TypeVar

from pydantic import BaseModel

from failback.config import Estate
from failback.gateway.api.bodies import (
    Approve,
    Cancelled,
    Decide,
    DecisionTaken,
    RaiseLevel,
    RollbackList,
    StartRollback,
)
from failback.gateway.api.operations import Call
from failback.gateway.refusals import RefusedError
from failback.models.rollback import Decision, Phase, RecordedDecision, RollbackStatus

_MOST = 100
_DEFAULT = 20


class RollbackDesk(Protocol):
    """What the API asks of `failback.temporal.rollbacks.Rollbacks`."""

    async def start(self, level: int, reason: str, requested_by: str) -> RollbackStatus:
        """Start a rollback."""
        ...

    async def status(self, rollback_id: str | None) -> RollbackStatus:
        """Where a rollback stands."""
        ...

    async def decide(self, rollback_id: str, verb: str, decision: Decision) -> RecordedDecision:
        """Decide, with an answer."""
        ...

    async def raise_level(
        self, rollback_id: str, level: int, decision: Decision
    ) -> RecordedDecision:
        """Let a higher level take over."""
        ...

    async def cancel(self, rollback_id: str, decision: Decision) -> None:
        """Cancel a rollback whose traffic has not moved."""
        ...

    async def list(self, limit: int = 20) -> list[RollbackStatus]:
        """The newest rollbacks first."""
        ...


Desk = Callable[[], Awaitable[RollbackDesk]]
"""Gives the rollbacks; raises UnreachableError without Temporal."""


class RollbackOperations:
    """The operations on rollbacks.

    Args:
        desk: the estate's rollbacks.
        estate: who may decide, in which role.
    """

    def __init__(self, desk: Desk, estate: Estate) -> None:
        self._desk = desk
        self._estate = estate

    async def list(self, call: Call) -> RollbackList:
        """The newest rollbacks first."""
        wanted = count(call, _DEFAULT, _MOST)
        return RollbackList(rollbacks=tuple(await (await self._desk()).list(wanted)))

    async def pending(self, _: Call) -> RollbackList:
        """Rollbacks that wait for people."""
        found = await (await self._desk()).list(_DEFAULT)
        waiting = (one for one in found if one.phase is Phase.WAITING_FOR_APPROVAL)
        return RollbackList(rollbacks=tuple(waiting))

    async def get(self, call: Call) -> RollbackStatus:
        """One rollback."""
        return await (await self._desk()).status(call.path["rollback_id"])

    async def start(self, call: Call) -> RollbackStatus:
        """Start one; the holder of the token is who asks."""
        asked = body(call, StartRollback)
        return await (await self._desk()).start(asked.level, asked.reason, call.holder.name)

    async def approve(self, call: Call) -> DecisionTaken:
        """Approve the plan whose hash is given."""
        return await self._decide(call, "approve", body(call, Approve))

    async def reject(self, call: Call) -> DecisionTaken:
        """End a rollback before it acts."""
        return await self._decide(call, "reject", body(call, Decide))

    async def accept_tail(self, call: Call) -> DecisionTaken:
        """Accept that the rest of the tail stays where it is."""
        return await self._decide(call, "accept_tail", body(call, Decide))

    async def raise_level(self, call: Call) -> DecisionTaken:
        """Let a higher level take over, which keeps what is done."""
        rollback_id, asked = call.path["rollback_id"], body(call, RaiseLevel)
        decision = self._decision(call, Decide(role=asked.role, comment=asked.comment))
        recorded = await (await self._desk()).raise_level(rollback_id, asked.level, decision)
        return DecisionTaken(rollback_id=rollback_id, decision=recorded)

    async def cancel(self, call: Call) -> Cancelled:
        """Cancel a rollback whose traffic has not moved."""
        rollback_id = call.path["rollback_id"]
        decision = self._decision(call, body(call, Decide))
        await (await self._desk()).cancel(rollback_id, decision)
        return Cancelled(rollback_id=rollback_id)

    async def _decide(self, call: Call, verb: str, asked: Decide) -> DecisionTaken:
        rollback_id = call.path["rollback_id"]
        decision = self._decision(call, asked)
        recorded = await (await self._desk()).decide(rollback_id, verb, decision)
        return DecisionTaken(rollback_id=rollback_id, decision=recorded)

    def _decision(self, call: Call, asked: Decide) -> Decision:
        """The holder's decision: nobody can decide in another's name."""
        return Decision(
            who=call.holder.name,
            role=role_of(self._estate, call, asked.role),
            comment=asked.comment,
            plan_hash=asked.plan_hash,
        )


def role_of(estate: Estate, call: Call, named: str) -> str:
    """The role in which the token's holder speaks: the one that is named, else the only one.

    Raises:
        RefusedError: 422 where the holder has several, and none is named.
    """
    who = call.holder.name
    held = estate.approvals.people.get(who, ())
    if not named and len(held) > 1:
        raise RefusedError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{who} holds more than one role, and `role` says none.",
            f"Send one of: {', '.join(held)}.",
        )
    return named or (held[0] if held else "")


Shape = TypeVar("Shape", bound=BaseModel)


def body(call: Call, shape: type[Shape]) -> Shape:
    """The call's body, which the table says is of this shape."""
    if not isinstance(call.body, shape):
        raise TypeError(f"the operation takes no {shape.__name__}")
    return call.body


def count(call: Call, default: int, most: int) -> int:
    """The parameter `limit`.

    Raises:
        RefusedError: 422 where it is no number between 1 and `most`.
    """
    told = call.query.get("limit", str(default))
    number = int(told) if told.isascii() and told.isdecimal() and len(told) < len("10000") else 0
    if not 1 <= number <= most:
        raise RefusedError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The parameter limit is no number that can be had.",
            f"Send a number from 1 to {most}.",
        )
    return number
