"""Two sides in memory with capture and fence between them: what the fake engine works on."""

import threading
import time
from datetime import UTC, datetime

from failback.errors import NotArmedError, SafetyRuleError, SlotLostError, UnreachableError
from failback.models.common import Outcome, Side
from failback.models.sync import BatchReport, Conflict, DrainReport
from failback.ports import Progress
from failback.providers.faults import Call, Faults
from failback.providers.reverse_sync.database import FakeCapture, FakeDatabase, image

TABLE = "public.documents"
SLOT = "failback_fake"


class FakeMigration(Faults):
    """Two databases with one table each, and what a test may do to them.

    Args:
        armed: start as after a successful `arm`: slot made, source fenced.
        batch_keys: how many changed keys one batch carries.
        calls: see `Faults`.
    """

    def __init__(
        self, *, armed: bool = True, batch_keys: int = 1000, calls: list[Call] | None = None
    ) -> None:
        super().__init__("sync", calls)
        self._lock = threading.RLock()
        self._batch_keys = batch_keys
        self._databases = {side: FakeDatabase() for side in Side}
        self._capture = FakeCapture()
        self._armed = armed
        self._databases[Side.SOURCE].fenced = armed
        self._sender = Side.TARGET
        self._slot_lost = False
        self._changed_on_receiver: set[str] = set()
        self._parked: list[Conflict] = []
        self._batches = 0
        self._cut_after: dict[Side, int] = {}
        self.stalled = False
        """While set, batches carry nothing, and a drain reports at once that it is late."""
        self.unproved = False
        """While set, a raised fence cannot be proved: its report is inconclusive."""

    # What a test does to the two sides.

    def write(self, side: Side, key: str, value: str | None) -> bool:
        """A product's write; None deletes. Returns whether it was acknowledged."""
        with self._lock:
            database = self._databases[side]
            if not database.reachable or database.fenced:
                return False
            database.put(key, value)
            database.sequence += 1
            if self._armed and side is self._sender:
                self._capture.add(key)
            elif self._armed:
                self._changed_on_receiver.add(key)
            return True

    def corrupt(self, side: Side, key: str, value: str | None) -> None:
        """Change a row behind every capture and fence, so that verification finds it."""
        with self._lock:
            self._databases[side].put(key, value)

    def database(self, side: Side) -> FakeDatabase:
        """One side, to look at its rows or to give it stragglers and prepared transactions."""
        return self._databases[side]

    def cut(self, side: Side, *, after_batches: int = 0) -> None:
        """Make one side unreachable, now or once so many more batches were carried."""
        with self._lock:
            if after_batches:
                self._cut_after[side] = after_batches
            else:
                self._databases[side].reachable = False

    def mend(self, side: Side) -> None:
        """Make one side reachable again."""
        with self._lock:
            self._cut_after.pop(side, None)
            self._databases[side].reachable = True

    def lose_slot(self) -> None:
        """Drop the slot behind failback's back."""
        self._slot_lost = True

    @property
    def tail(self) -> int:
        """Changed keys that the receiver does not have."""
        return len(self._capture.changes)

    # Mechanics.

    def _reach(self, side: Side) -> FakeDatabase:
        database = self._databases[side]
        if not database.reachable:
            raise UnreachableError(
                f"The {side}'s database does not answer.", "Start it, or mend the way to it."
            )
        return database

    def _must_be_armed(self) -> None:
        if not self._armed:
            raise NotArmedError("Nothing was armed.", "Run `failback arm` first.")

    def _batch(self) -> BatchReport:
        self._must_be_armed()
        receiver, sender = self._reach(self._sender.other), self._reach(self._sender)
        if self._slot_lost:
            raise SlotLostError(f"Slot {SLOT} is gone.", "Arm again, and verify both sides.")
        keys = [] if self.stalled else self._capture.take(self._batch_keys)
        lag = self._capture.lag_seconds
        clashing = [key for key in keys if key in self._changed_on_receiver]
        for key in keys:
            if key in clashing:
                self._park(key)
            else:
                receiver.put(key, sender.rows.get(key))
        self._capture.settle(keys)
        self._batches += 1
        self._count_down_cuts()
        carried = len(keys) - len(clashing)
        return BatchReport(
            position=self._capture.applied,
            changes=len(keys),
            keys=len(keys),
            rows=carried,
            deleted=carried,
            by_table={TABLE: len(keys)} if keys else {},
            caught_up=not self.tail,
            lag_seconds=lag,
        )

    def _may_lift(self, side: Side, accepted: str) -> None:
        """Raise where a safety rule keeps a side's fence up."""
        other = self._databases[side.other]
        if other.reachable and not other.fenced:
            raise SafetyRuleError(
                f"Rule one_writer: the {side.other} takes writes, so the {side} must not.",
                f"Fence the {side.other} first.",
            )
        if accepted:
            return
        if not other.reachable:
            raise SafetyRuleError(
                f"Rule tail_drained: the {side.other} does not answer, so nobody knows what "
                f"the {side} lacks.",
                "Name who accepts that.",
            )
        self._require_empty_tail(side)

    def _require_empty_tail(self, side: Side) -> None:
        if self.tail if side is not self._sender else self._changed_on_receiver:
            raise SafetyRuleError(
                f"Rule tail_drained: the {side.other} has changes that the {side} lacks.",
                "Drain the tail, or name who accepts its loss.",
            )

    def _require_settled(self) -> None:
        if any(conflict.settled_at is None for conflict in self._parked):
            raise SafetyRuleError(
                "Rule conflicts_settled: rows are parked.", "Settle each of them first."
            )

    def _turn(self, accepted: str) -> None:
        """Let the receiver send, from the moment it took writes again."""
        left, live = self._sender, self._sender.other
        sender, receiver = self._reach(left), self._reach(live)
        if not sender.fenced or receiver.fenced:
            raise SafetyRuleError(
                f"Rule one_writer: the {live} is not the one that is live.", "Roll back first."
            )
        self._require_settled()
        if not accepted:
            self._require_empty_tail(live)
        doubted = {conflict.key for conflict in self._parked}
        if accepted:
            doubted |= sender.rows.keys() | receiver.rows.keys()
        self._capture = FakeCapture()
        for key in sorted(self._changed_on_receiver | doubted):
            self._capture.add(key)
        self._changed_on_receiver.clear()
        self._sender = live

    def _park(self, key: str) -> None:
        source, target = self._databases[Side.SOURCE], self._databases[Side.TARGET]
        self._parked.append(
            Conflict(
                id=len(self._parked) + 1,
                table=TABLE,
                key=key,
                source_image=image(key, source),
                target_image=image(key, target),
                parked_at=datetime.now(UTC),
                stored_on=self._sender.other,
            )
        )

    def _count_down_cuts(self) -> None:
        for side, left in list(self._cut_after.items()):
            if left > 1:
                self._cut_after[side] = left - 1
            else:
                self.cut(side)
                del self._cut_after[side]

    def _drain(self, deadline: float, progress: Progress | None) -> DrainReport:
        started = time.monotonic()
        parked_before = len(self._parked)
        lag = self._capture.lag_seconds
        wanted = self._capture.position
        batches = keys = 0
        while True:
            with self._lock:
                batch = self._batch()
            batches, keys = batches + 1, keys + batch.keys
            if progress is not None:
                progress(f"{keys} keys carried over, {self.tail} left")
            if batch.caught_up or self.stalled or time.monotonic() - started > deadline:
                break
        return DrainReport(
            outcome=Outcome.SUCCEEDED if batch.caught_up else Outcome.INCONCLUSIVE,
            position=batch.position,
            wanted=wanted,
            batches=batches,
            changes=keys,
            keys=keys,
            seconds=time.monotonic() - started,
            lag_before_seconds=lag,
            conflicts=len(self._parked) - parked_before,
            detail="" if batch.caught_up else f"{self.tail} changed keys are left",
        )
