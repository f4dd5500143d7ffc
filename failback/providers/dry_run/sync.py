"""The reverse sync in a dry run: real status, everything else is only told."""

from datetime import UTC, datetime

from failback.errors import NotArmedError, SafetyRuleError
from failback.models.common import Outcome, Side
from failback.models.repair import RepairReport
from failback.models.settling import ConflictChoice, SettleReport
from failback.models.sync import (
    ArmReport,
    BatchReport,
    CanaryReport,
    Conflict,
    DisarmReport,
    DrainReport,
    FenceReport,
    LedgerReport,
    ReprotectReport,
    SyncStatus,
    VerifyReport,
)
from failback.ports import Progress, ReverseSyncEngine
from failback.providers.dry_run.journal import DryRunJournal

DRY_RUN = "dry run"
"""The detail of every report that stands for something that was not done."""


class DryRunSync:
    """Implements `ReverseSyncEngine`.

    What needs an armed reverse path is refused as the real engine refuses it, and so is a
    fence that the safety rules keep up. Both sides are only read.

    Args:
        real: the engine whose status is read.
        journal: where writes are told.
    """

    def __init__(self, real: ReverseSyncEngine, journal: DryRunJournal) -> None:
        self._real = real
        self._journal = journal
        self._fences: dict[Side, bool] = {}

    def arm(self, capture: str | None = None) -> ArmReport:
        """See `ReverseSyncEngine.arm`."""
        self._journal.would("install capture and fence on both sides, and fence the source")
        self._fences[Side.SOURCE] = True
        return ArmReport(outcome=Outcome.SUCCEEDED, capture=capture or "slot", why=DRY_RUN)

    def reprotect(self, accepted: str = "", *, plan: bool = False) -> ReprotectReport:
        """See `ReverseSyncEngine.reprotect`; only ever a plan."""
        del plan
        return self._real.reprotect(accepted, plan=True)

    def disarm(self, accepted: str = "", only: Side | None = None) -> DisarmReport:
        """See `ReverseSyncEngine.disarm`."""
        del accepted, only
        self._journal.would("remove capture and fence from both sides")
        return DisarmReport()

    def status(self, *, canary: bool = False) -> SyncStatus:
        """See `ReverseSyncEngine.status`; real but for the canary and told fences."""
        status = self._real.status()
        told = {
            "source_fenced": self._fences.get(Side.SOURCE, status.source_fenced),
            "target_fenced": self._fences.get(Side.TARGET, status.target_fenced),
            "canary": self.canary() if canary else None,
        }
        return status.model_copy(update=told)

    def warm(self) -> None:
        """See `ReverseSyncEngine.warm`; it only reads."""
        self._real.warm()

    def run_batch(self) -> BatchReport:
        """See `ReverseSyncEngine.run_batch`."""
        status = self._armed()
        self._journal.would(f"carry one batch to the source: {_tail(status)}")
        return BatchReport(position=_position(status), caught_up=True, skipped=DRY_RUN)

    def drain(self, deadline_seconds: float, progress: Progress | None = None) -> DrainReport:
        """See `ReverseSyncEngine.drain`."""
        return self._drain("drain the tail into the source", deadline_seconds, progress)

    def drain_late(self, deadline_seconds: float, progress: Progress | None = None) -> DrainReport:
        """See `ReverseSyncEngine.drain_late`."""
        return self._drain(
            "drain the late tail into the source, parking conflicts", deadline_seconds, progress
        )

    def synchronise_sequences(self) -> int:
        """See `ReverseSyncEngine.synchronise_sequences`."""
        self._armed()
        self._journal.would("set the source's sequences above the maximum of both sides")
        return 0

    def raise_fence(self, side: Side, grace_seconds: float) -> FenceReport:
        """See `ReverseSyncEngine.raise_fence`."""
        self._armed()
        self._journal.would(
            f"raise the fence on the {side}, and end writers that take longer than "
            f"{grace_seconds:g} s"
        )
        return self._fence(side, raised=True)

    def lift_fence(self, side: Side, accepted: str = "") -> FenceReport:
        """See `ReverseSyncEngine.lift_fence`."""
        self._armed()
        if not self.fenced(side.other):
            raise SafetyRuleError(
                f"Rule one_writer: the {side.other} takes writes, so the {side} must not.",
                f"Fence the {side.other} first.",
            )
        rest = f", its tail accepted by {accepted}" if accepted else ""
        self._journal.would(f"lift the fence of the {side}{rest}")
        return self._fence(side, raised=False)

    def fenced(self, side: Side) -> bool:
        """See `ReverseSyncEngine.fenced`."""
        told = self._fences.get(side)
        return self._real.fenced(side) if told is None else told

    def canary(self) -> CanaryReport:
        """See `ReverseSyncEngine.canary`."""
        self._journal.would("write, update and delete a canary row, and see each on the source")
        return CanaryReport(outcome=Outcome.SUCCEEDED, detail=DRY_RUN)

    def verify(
        self, progress: Progress | None = None, *, cold: bool = False, examples: int = 100
    ) -> VerifyReport:
        """See `ReverseSyncEngine.verify`.

        Not run: the sides are not fenced, so that it would report the live tail as
        differences, at the price of reading every row.
        """
        del cold, examples
        if progress is not None:
            progress(DRY_RUN)
        tables = self._armed().tables
        self._journal.would(f"compare rows and digests of both sides, tables: {len(tables)}")
        return VerifyReport(
            outcome=Outcome.SUCCEEDED,
            exact=False,
            started_at=datetime.now(UTC),
            seconds=0.0,
            detail=f"{DRY_RUN}: nothing was compared",
        )

    def verify_some(self, budget_seconds: float) -> LedgerReport:
        """Nothing: a rehearsal keeps no ledger."""
        del budget_seconds
        return LedgerReport(detail=DRY_RUN)

    def repair(
        self, progress: Progress | None = None, *, plan_only: bool = True, rows: int = 20
    ) -> RepairReport:
        """Nothing: a rollback repairs nothing, so a rehearsal has nothing to tell."""
        del progress, plan_only, rows
        return RepairReport(outcome=Outcome.INCONCLUSIVE, detail=DRY_RUN)

    def conflicts(self, *, include_settled: bool = False) -> tuple[Conflict, ...]:
        """See `ReverseSyncEngine.conflicts`."""
        return self._real.conflicts(include_settled=include_settled)

    def settle_conflicts(self, choice: ConflictChoice) -> SettleReport:
        """See `ReverseSyncEngine.settle_conflicts`; a plan is made, and nothing else."""
        return self._real.settle_conflicts(choice.model_copy(update={"plan": True}))

    def close(self) -> None:
        """See `ReverseSyncEngine.close`."""
        self._real.close()

    def _armed(self) -> SyncStatus:
        status = self._real.status()
        if not status.armed:
            raise NotArmedError("Nothing was armed.", "Run `failback arm` first.")
        return status

    def _drain(self, what: str, deadline: float, progress: Progress | None) -> DrainReport:
        status = self._armed()
        if progress is not None:
            progress(DRY_RUN)
        self._journal.would(f"{what} within {deadline:g} s: {_tail(status)}")
        return DrainReport(
            outcome=Outcome.SUCCEEDED,
            position=_position(status),
            wanted=_position(status),
            lag_before_seconds=status.lag_seconds,
            detail=f"{DRY_RUN}: {_tail(status)}",
        )

    def _fence(self, side: Side, *, raised: bool) -> FenceReport:
        changed = self.fenced(side) is not raised
        self._fences[side] = raised
        return FenceReport(
            outcome=Outcome.SUCCEEDED,
            side=side,
            raised=raised,
            changed=changed,
            at=datetime.now(UTC),
            detail=DRY_RUN,
        )


def _position(status: SyncStatus) -> str:
    return status.position.lsn if status.position else ""


def _tail(status: SyncStatus) -> str:
    """The tail as it is at present, in words."""
    if status.lag_bytes is None:
        return "how long it is, is not known"
    if status.lag_bytes == 0:
        return "it is empty at present"
    age = "" if status.lag_seconds is None else f", {status.lag_seconds:.1f} s old"
    return f"it is {status.lag_bytes} bytes long at present{age}"
