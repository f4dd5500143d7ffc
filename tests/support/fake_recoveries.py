"""The recoveries of an estate in memory, for tests of what operators see."""

from dataclasses import dataclass, field

from failback.errors import FailbackError, GateRefusedError, RollbackNotFoundError
from failback.models.recovery import GateAnswer, RecoveryGate, RecoveryResult

from support import sample_recovery as sample
from support import sample_results


@dataclass
class FakeRecoveries:
    """Answers as `Recoveries` does, about one recovery whose newest gate waits."""

    found: RecoveryResult | None = None
    error: FailbackError | None = None
    said: list[tuple[str | None, GateAnswer]] = field(default_factory=list)

    async def recovery(self, rollback_id: str | None = None) -> RecoveryResult:
        if self.error is not None:
            raise self.error
        known = sample_results.level_2().rollback_id
        if self.found is None or rollback_id not in (None, known):
            raise RollbackNotFoundError("This estate has no such recovery.", "Start one.")
        return self.found

    async def waiting(self) -> tuple[tuple[str, RecoveryGate], ...]:
        if self.error is not None:
            raise self.error
        gates = self.found.gates if self.found else ()
        known = sample_results.level_2().rollback_id
        return tuple((known, gate) for gate in gates if gate.answer is None)

    async def answer(self, rollback_id: str | None, answer: GateAnswer) -> RecoveryGate:
        gate = (await self.recovery(rollback_id)).gates[-1]
        if gate.answer is not None or gate.gate != answer.gate:
            raise GateRefusedError(f"Gate {answer.gate} does not wait.", "Look at the status.")
        self.said.append((rollback_id, answer))
        return gate.model_copy(update={"answer": answer, "answered_at": sample_results.at(9.0)})


def at_a_gate() -> RecoveryResult:
    """A recovery that has passed one gate, and waits at the next."""
    found = sample.recovery()
    gate = RecoveryGate(
        gate="2-restore",
        step="restore",
        plan="Restore what is damaged beside it.",
        evidence=("database is gone",),
        loss_seconds=0.0,
        seconds=40.0,
        opened_at=sample_results.at(3.0),
    )
    return found.model_copy(update={"gates": (*found.gates, gate)})
