"""The rollbacks of an estate in memory, for tests of what operators see."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from failback.errors import (
    ApprovalRefusedError,
    FailbackError,
    RollbackNotFoundError,
    RollbackRunningError,
)
from failback.models.rollback import (
    Decision,
    Phase,
    RecordedDecision,
    RollbackResult,
    RollbackStatus,
)

from support import sample_results as sample


@dataclass
class FakeRollbacks:
    """Answers as `Rollbacks` does; each status that is asked for moves one phase on."""

    phases: Sequence[Phase] = ()
    ended: RollbackResult | None = None
    error: FailbackError | None = None
    said: list[tuple[str, str, Decision]] = field(default_factory=list)
    started: list[tuple[int, str, str]] = field(default_factory=list)
    continuous: bool = False
    archiving: bool = False
    _asked: int = 0

    async def start(
        self, level: int, reason: str, requested_by: str, *, deletes_accepted_by: str = ""
    ) -> RollbackStatus:
        if self.error is not None:
            raise self.error
        if self.started:
            raise RollbackRunningError("One is running.", "Wait for it.")
        self.started.append((level, reason, requested_by))
        return sample.status(self.phases[0])

    async def status(self, rollback_id: str | None) -> RollbackStatus:
        if self.error is not None:
            raise self.error
        known = sample.level_2().rollback_id
        if not self.phases or rollback_id not in (None, known):
            raise RollbackNotFoundError(f"There is no rollback {rollback_id}.", "Look at the list.")
        phase = self.phases[min(self._asked, len(self.phases) - 1)]
        self._asked += 1
        return sample.status(phase, self.ended if phase in (Phase.DONE, Phase.FAILED) else None)

    async def decide(self, rollback_id: str, verb: str, decision: Decision) -> RecordedDecision:
        if decision.who == "nobody":
            raise ApprovalRefusedError("nobody is not known here.", "Add them to approvals.people.")
        self.said.append((rollback_id, verb, decision))
        return RecordedDecision(
            verb=verb,
            who=decision.who,
            role=decision.role,
            comment=decision.comment,
            at=sample.BEGAN,
            counted=True,
        )

    async def raise_level(
        self, rollback_id: str, level: int, decision: Decision
    ) -> RecordedDecision:
        if self.phases and self.phases[0] is Phase.DONE:
            raise ApprovalRefusedError("It is too late: the rollback is done.")
        return await self.decide(rollback_id, f"raise_level {level}", decision)

    async def cancel(self, rollback_id: str, decision: Decision) -> None:
        self.said.append((rollback_id, "cancel", decision))

    async def result(self, rollback_id: str | None) -> RollbackResult:
        assert self.ended is not None
        return self.ended

    async def list(self, limit: int = 20) -> Sequence[RollbackStatus]:
        return [sample.status(phase) for phase in self.phases][:limit]

    async def start_reverse_sync(self) -> bool:
        if self.error is not None:
            raise self.error
        self.continuous = True
        return True

    async def start_archiving(self) -> bool:
        self.archiving = True
        return True

    async def stop_archiving(self) -> bool:
        was, self.archiving = self.archiving, False
        return was

    async def stop_reverse_sync(self) -> bool:
        self.continuous = False
        return True
