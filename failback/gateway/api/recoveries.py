"""Disaster recoveries by the API: what they found and did, and answers at their gates."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from failback.config import Estate
from failback.gateway.api.bodies import AnswerGate, GateList, WaitingGate
from failback.gateway.api.operations import Call
from failback.gateway.api.rollbacks import body, role_of
from failback.models.recovery import GateAnswer, RecoveryGate, RecoveryResult


class RecoveryDesk(Protocol):
    """What the API asks of `failback.temporal.recoveries.Recoveries`."""

    async def recovery(self, rollback_id: str | None = None) -> RecoveryResult:
        """What a recovery found and did so far."""
        ...

    async def waiting(self) -> tuple[tuple[str, RecoveryGate], ...]:
        """Gates that wait for people, each with the id of its rollback."""
        ...

    async def answer(self, rollback_id: str | None, answer: GateAnswer) -> RecoveryGate:
        """Answer the gate that waits."""
        ...


Recoveries = Callable[[], Awaitable[RecoveryDesk]]
"""Gives the recoveries; raises UnreachableError without Temporal."""


class RecoveryOperations:
    """The operations on recoveries.

    Args:
        recoveries: the estate's recoveries.
        estate: who holds which roles.
    """

    def __init__(self, recoveries: Recoveries, estate: Estate) -> None:
        self._recoveries = recoveries
        self._estate = estate

    async def newest(self, _: Call) -> RecoveryResult:
        """The newest recovery."""
        return await (await self._recoveries()).recovery()

    async def get(self, call: Call) -> RecoveryResult:
        """The recovery of one rollback."""
        return await (await self._recoveries()).recovery(call.path["rollback_id"])

    async def gates(self, _: Call) -> GateList:
        """Gates that wait for people."""
        waiting = await (await self._recoveries()).waiting()
        return GateList(
            gates=tuple(WaitingGate(rollback_id=named, gate=gate) for named, gate in waiting)
        )

    async def answer(self, call: Call) -> RecoveryGate:
        """Answer a gate in the name of the token's holder."""
        asked = body(call, AnswerGate)
        answer = GateAnswer(
            gate=call.path["gate"],
            verb=asked.verb,
            who=call.holder.name,
            role=role_of(self._estate, call, asked.role),
            reason=asked.reason,
        )
        return await (await self._recoveries()).answer(call.path["rollback_id"], answer)
