"""A reverse sync in memory that keeps its port's promises, for tests of workflows."""

from datetime import UTC, datetime

from failback.errors import FenceNotHeldError, FenceUpError, SafetyRuleError
from failback.models.common import Outcome, Side
from failback.models.repair import RepairReport, TableRepair
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
    Position,
    ReprotectReport,
    SyncStatus,
    TableDigest,
    VerifyReport,
)
from failback.ports import Progress
from failback.providers.reverse_sync.database import FakeCapture, FakeDatabase
from failback.providers.reverse_sync.migration import SLOT, TABLE, FakeMigration
from failback.providers.reverse_sync.settling import settle


class FakeReverseSync(FakeMigration):
    """Carries what `write` puts on the target to the source, by the real engine's rules.

    A fenced side refuses writes, the source's fence opens only on a fenced target with an
    empty or accepted tail, a late drain parks conflicts, and verification compares what
    both sides hold. Thread-safe.
    """

    def arm(self, capture: str | None = None) -> ArmReport:
        """See `ReverseSyncEngine.arm`. Both sides are equal afterwards, as after a first copy."""
        self._called_blocking("arm", capture)
        with self._lock:
            source, target = self._reach(Side.SOURCE), self._reach(Side.TARGET)
            if not self._armed:
                source.rows, source.fenced = dict(target.rows), True
                self._capture, self._slot_lost = FakeCapture(), False
                self._changed_on_receiver.clear()
                self._armed = True
            elif self._sender is Side.SOURCE:
                self._turn("")
            return self._armed_report(capture)

    def _armed_report(self, capture: str | None) -> ArmReport:
        return ArmReport(
            outcome=Outcome.SUCCEEDED,
            capture=capture or "slot",
            why="a fake has no choice",
            tables=(TABLE,),
            slot=SLOT,
            position=self._capture.position,
            canary=CanaryReport(outcome=Outcome.SUCCEEDED, milliseconds=1.0),
        )

    def reprotect(self, accepted: str = "", *, plan: bool = False) -> ReprotectReport:
        """See `ReverseSyncEngine.reprotect`."""
        self._called_blocking("reprotect", accepted, plan)
        with self._lock:
            self._must_be_armed()
            if plan:
                return ReprotectReport(outcome=Outcome.SUCCEEDED, planned=True, tables=(TABLE,))
            if self._sender is Side.TARGET:
                self._turn(accepted)
            elif self._reach(Side.SOURCE).fenced:
                raise FenceUpError("The fence of the source is up.", "Arm instead.")
            return ReprotectReport(**self._armed_report(None).model_dump())

    def disarm(self, accepted: str = "", only: Side | None = None) -> DisarmReport:
        """See `ReverseSyncEngine.disarm`."""
        self._called_blocking("disarm", accepted, only)
        with self._lock:
            if only is not None and (not accepted or self._databases[only.other].reachable):
                raise SafetyRuleError("Rule one_writer: both sides answer.", "Disarm both.")
            sides = [self._reach(side) for side in Side if only in (None, side)]
            self._require_settled()
            if self._armed and not accepted and self._reach(self._sender).fenced:
                self._require_empty_tail(self._sender.other)
            removed = (f"slot {SLOT}", f"fence on {TABLE}") if self._armed else ()
            for database in sides:
                database.fenced = False
            self._armed = False
            self._sender = Side.TARGET
            self._capture = FakeCapture()
            return DisarmReport(removed=removed)

    def status(self, *, canary: bool = False) -> SyncStatus:
        """See `ReverseSyncEngine.status`."""
        self._called_blocking("status", canary)
        with self._lock:
            source, target = self._reach(Side.SOURCE), self._reach(Side.TARGET)
            if not self._armed:
                return SyncStatus(armed=False, warnings=("nothing was armed",))
            return SyncStatus(
                armed=True,
                capture="slot",
                position=Position(
                    lsn=self._capture.applied, batch=self._batches, at=datetime.now(UTC)
                ),
                lag_seconds=self._capture.lag_seconds,
                lag_bytes=100 * self.tail,
                retained_wal_bytes=100 * self.tail,
                slot_status="lost" if self._slot_lost else "reserved",
                source_fenced=source.fenced,
                target_fenced=target.fenced,
                tables=(TABLE,),
                open_conflicts=sum(conflict.settled_at is None for conflict in self._parked),
                canary=CanaryReport(outcome=Outcome.SUCCEEDED) if canary else None,
                direction=f"{self._sender}-to-{self._sender.other}",
            )

    def warm(self) -> None:
        """See `ReverseSyncEngine.warm`."""
        self._called_blocking("warm")

    def run_batch(self) -> BatchReport:
        """See `ReverseSyncEngine.run_batch`."""
        self._called_blocking("run_batch")
        with self._lock:
            return self._batch()

    def drain(self, deadline_seconds: float, progress: Progress | None = None) -> DrainReport:
        """See `ReverseSyncEngine.drain`."""
        self._called_blocking("drain", deadline_seconds)
        return self._drain(deadline_seconds, progress)

    def drain_late(self, deadline_seconds: float, progress: Progress | None = None) -> DrainReport:
        """See `ReverseSyncEngine.drain_late`."""
        self._called_blocking("drain_late", deadline_seconds)
        return self._drain(deadline_seconds, progress)

    def synchronise_sequences(self) -> int:
        """See `ReverseSyncEngine.synchronise_sequences`."""
        self._called_blocking("synchronise_sequences")
        with self._lock:
            receiver, sender = self._reach(self._sender.other), self._reach(self._sender)
            moved = receiver.sequence <= sender.sequence
            receiver.sequence = max(receiver.sequence, sender.sequence + 1000 if moved else 0)
            return int(moved)

    def raise_fence(self, side: Side, grace_seconds: float) -> FenceReport:
        """See `ReverseSyncEngine.raise_fence`."""
        self._called_blocking("raise_fence", side, grace_seconds)
        with self._lock:
            self._must_be_armed()
            database = self._reach(side)
            changed, database.fenced = not database.fenced, True
            if database.prepared:
                raise FenceNotHeldError(
                    f"Prepared transactions hold the fence: {', '.join(database.prepared)}.",
                    "COMMIT PREPARED or ROLLBACK PREPARED each, then raise the fence again.",
                )
            terminated, database.stragglers = tuple(database.stragglers), []
            return FenceReport(
                outcome=Outcome.INCONCLUSIVE if self.unproved else Outcome.SUCCEEDED,
                side=side,
                raised=True,
                changed=changed,
                at=datetime.now(UTC),
                position=self._capture.position,
                terminated=terminated,
                proofs=() if self.unproved else ("a write was refused",),
                detail="the canary write was not answered" if self.unproved else "",
            )

    def lift_fence(self, side: Side, accepted: str = "") -> FenceReport:
        """See `ReverseSyncEngine.lift_fence`."""
        self._called_blocking("lift_fence", side, accepted)
        with self._lock:
            self._must_be_armed()
            database = self._reach(side)
            self._may_lift(side, accepted)
            changed, database.fenced = database.fenced, False
            if side is self._sender:
                # From here on the other side only receives.
                self._changed_on_receiver.clear()
            return FenceReport(
                outcome=Outcome.SUCCEEDED,
                side=side,
                raised=False,
                changed=changed,
                at=datetime.now(UTC),
                position=self._capture.position,
                detail=f"tail accepted by {accepted}" if accepted else "",
            )

    def fenced(self, side: Side) -> bool:
        """See `ReverseSyncEngine.fenced`."""
        self._called_blocking("fenced", side)
        with self._lock:
            return self._reach(side).fenced

    def canary(self) -> CanaryReport:
        """See `ReverseSyncEngine.canary`."""
        self._called_blocking("canary")
        with self._lock:
            self._must_be_armed()
            self._reach(self._sender.other)
            fenced = self._reach(self._sender).fenced
            return CanaryReport(
                outcome=Outcome.INCONCLUSIVE if fenced else Outcome.SUCCEEDED,
                milliseconds=1.0,
                detail=f"the {self._sender} is fenced" if fenced else "",
            )

    def verify(
        self, progress: Progress | None = None, *, cold: bool = False, examples: int = 100
    ) -> VerifyReport:
        """See `ReverseSyncEngine.verify`. It reads everything, cold or not."""
        self._called_blocking("verify", cold)
        if progress is not None:
            progress(f"comparing {TABLE}")
        with self._lock:
            source, target = self._reach(Side.SOURCE), self._reach(Side.TARGET)
            table = _compared(source, target, examples)
            return VerifyReport(
                outcome=Outcome.SUCCEEDED if table.equal else Outcome.FAILED,
                exact=source.fenced and target.fenced,
                started_at=datetime.now(UTC),
                seconds=0.0,
                ended_at=datetime.now(UTC),
                position=self._capture.applied,
                chunks_verified=1,
                tables=(table,),
                detail="" if table.equal else f"{TABLE} differs",
            )

    def verify_some(self, budget_seconds: float) -> LedgerReport:
        """See `ReverseSyncEngine.verify_some`. The one table is one chunk."""
        self._called_blocking("verify_some", budget_seconds)
        with self._lock:
            self._must_be_armed()
            equal = _compared(self._reach(Side.SOURCE), self._reach(Side.TARGET), 0).equal
            return LedgerReport(
                verified=int(equal),
                differing=int(not equal),
                clean=int(equal),
                dirty=int(not equal),
            )

    def repair(
        self, progress: Progress | None = None, *, plan_only: bool = True, rows: int = 20
    ) -> RepairReport:
        """See `ReverseSyncEngine.repair`."""
        self._called_blocking("repair", plan_only)
        with self._lock:
            source, target = self._reach(Side.SOURCE), self._reach(Side.TARGET)
            if not plan_only:
                self._must_be_armed()
                if not source.fenced:
                    raise SafetyRuleError(
                        "source_fenced: the source takes writes.", "Repair while it is fenced."
                    )
            found = _compared(source, target, rows)
            table = TableRepair(
                table=TABLE, missing=found.missing, extra=found.extra, different=found.different
            )
            if not plan_only:
                table = table.model_copy(update={"repaired": table.total})
                for key in source.rows.keys() | target.rows.keys():
                    source.put(key, target.rows.get(key))
            after = self.verify(progress)
            return RepairReport(
                outcome=after.outcome,
                applied=not plan_only,
                exact=source.fenced and target.fenced,
                tables=(table,) if table.total else (),
                verification=None if plan_only else after,
            )

    def conflicts(self, *, include_settled: bool = False) -> tuple[Conflict, ...]:
        """See `ReverseSyncEngine.conflicts`."""
        self._called_blocking("conflicts", include_settled)
        with self._lock:
            self._reach(Side.SOURCE)
            return tuple(c for c in self._parked if include_settled or c.settled_at is None)

    def settle_conflicts(self, choice: ConflictChoice) -> SettleReport:
        """See `ReverseSyncEngine.settle_conflicts`."""
        self._called_blocking("settle_conflicts", choice)
        with self._lock:
            return settle(self._parked, choice, self._reach(Side.SOURCE))

    def close(self) -> None:
        """See `ReverseSyncEngine.close`."""
        self._called_blocking("close")


def _compared(source: FakeDatabase, target: FakeDatabase, examples: int) -> TableDigest:
    missing = target.rows.keys() - source.rows.keys()
    extra = source.rows.keys() - target.rows.keys()
    common = source.rows.keys() & target.rows.keys()
    different = {key for key in common if source.rows[key] != target.rows[key]}
    return TableDigest(
        table=TABLE,
        source_rows=len(source.rows),
        target_rows=len(target.rows),
        source_digest=source.digest,
        target_digest=target.digest,
        missing=len(missing),
        extra=len(extra),
        different=len(different),
        keys=tuple(sorted(missing | extra | different))[:examples],
    )
