"""The reverse sync as activities and the CLI use it: one object, blocking, thread-safe.

Changes when `failback.ports.ReverseSyncEngine` does. The work is done in the modules beside it.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from failback.errors import NotArmedError, SlotBusyError, UnreachableError
from failback.models.common import Side
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
from failback.reverse_sync import (
    batch,
    canary,
    conflicts,
    drain,
    fence,
    position,
    protection,
    safety,
    sequences,
    settling,
    status,
)
from failback.reverse_sync.arming import CANARY
from failback.reverse_sync.catalogue import OWN_SCHEMA
from failback.reverse_sync.control import Control
from failback.reverse_sync.heading import Heading
from failback.reverse_sync.housekeeping import Housekeeping
from failback.reverse_sync.lane import Lane
from failback.reverse_sync.order import Order
from failback.reverse_sync.proving import EXAMPLES, Proving
from failback.reverse_sync.pulse import Progress, Pulse
from failback.reverse_sync.settings import SyncSettings

# Where nothing is captured, comparing may take this share of the time at most, and goes on no
# more often than this.
_COMPARE_SHARE = 10.0
_COMPARE_SECONDS = 30.0


class ReverseSync:
    """Carries the sender's changes to the receiver, and keeps both sides' fences.

    Sessions are kept open between calls and opened again after a failure. Batches go one at a
    time, between processes as well; a drain goes before continuous batches.

    Args:
        settings: what to carry between which databases.
    """

    def __init__(self, settings: SyncSettings) -> None:
        # Fences are raised while somebody looks at the status: each has sessions of its own.
        self._control = Control(settings.servers)
        self._looking = Control(settings.servers)
        self._lane_lock = threading.Lock()
        self._draining = threading.Event()
        self._point(settings)
        self._heading = Heading(settings, self._looking, self._turned)
        self._keeping = Housekeeping(self._control)
        self._compare_at = 0.0

    def _point(self, settings: SyncSettings) -> None:
        self.settings = settings
        self._direction = settings.direction
        self._lane = Lane(settings.servers, settings.direction, settings.parallel)
        self._proving = Proving(settings, self._draining)

    def _turned(self, settings: SyncSettings) -> None:
        """Work in the direction of these settings from here on."""
        with self._lane_lock:
            self._lane.close()
            self._proving.close()
            self._point(settings)

    def arm(self, capture: str | None = None) -> ArmReport:
        """Install fence and capture, fence the receiver, prove both with a canary.

        Idempotent; arming again for other tables adds and removes them. A table that is added,
        or of which changes were not captured, is compared by checksum by the next batch, and what
        differs is carried over. A refusal changes nothing. Where the estate is reprotected and the
        target was made live again, the stream is turned back, without a copy.

        Args:
            capture: the way to capture changes, `slot`, `changelog` or `diff`; None picks the
                best that rights and versions allow.

        Raises:
            ConfigurationError: there is no such way.
            MissingRightError: the way that was asked for needs something that is missing.
            SafetyRuleError: the estate is reprotected, and the source is live.
            FailbackError: whatever `preflight.examine` or `arming.install` finds.
        """
        self._heading.follow()
        if self._direction.sender is Side.SOURCE:
            protection.turn(self.settings)
            self._heading.follow()
        return self._armed(capture)

    def _armed(self, capture: str | None) -> ArmReport:
        return protection.arm(
            self.settings, capture, lambda side: self.raise_fence(side, 1.0), self.canary
        )

    def reprotect(self, accepted: str = "", *, plan: bool = False) -> ReprotectReport:
        """After a rollback: carry the source's changes to the target from now on.

        Nothing is copied; what the source has changed since it is live was captured. Idempotent,
        and to be repeated after tables were added.

        Args:
            accepted: who accepts that what is left in the target's tail is overwritten.
            plan: look whether it can be done, and change nothing.

        Raises:
            NotArmedError: nothing is armed.
            SafetyRuleError: the rollback is not over, with the rule's name.
            FailbackError: whatever `preflight.examine` or `arming.install` finds.
        """
        self._heading.follow()
        if plan:
            return protection.turn_planned(self.settings, accepted)
        if self._direction.sender is Side.TARGET:
            protection.turn(self.settings, accepted)
            self._heading.follow()
        report = self._armed(None)
        return ReprotectReport(
            **report.model_dump(),
            sequences=self.synchronise_sequences(),
            uncaptured=self.status().uncaptured,
        )

    def disarm(self, accepted: str = "", only: Side | None = None) -> DisarmReport:
        """Remove everything that arming made on both sides, and let both take writes.

        Args:
            accepted: who accepts that the rest of the tail is given up.
            only: the side that is left, where the other one is gone for good.

        Raises:
            SafetyRuleError: the sender is fenced and its tail is not empty; conflicts are open; or
                a side is to be left out although it answers.
        """
        self._heading.follow()
        with self._lane_lock:
            self._lane.close()
            return protection.disarm(self.settings, self._control, accepted, only)

    def status(self, *, canary: bool = False) -> SyncStatus:
        """Readiness, with everything that would block a rollback."""
        self._heading.follow()
        flown = self.canary() if canary else None
        with self._looking.both() as sessions:
            found = status.read(self.settings, sessions)
        return found.model_copy(update={"canary": flown})

    def warm(self) -> None:
        """Open sessions and read catalogues, so that the next call starts at once."""
        self._heading.follow()
        with self._control.both(), self._looking.both(), self._lane_lock:
            self._lane.warm()
        self._proving.warm()

    def run_batch(self) -> BatchReport:
        """Carry one batch over; stands aside, and says so, where another consumer is at work.

        Raises:
            NotArmedError: nothing is armed.
            SlotLostError: changes may be missing.
            SlotBusyError: a session that is no consumer of ours keeps reading the slot.
            SchemaDriftError: the two schemas differ in a way that would lose data.
            TableRefusedError: the receiver refuses rows that the sender has.
        """
        return self._batch()

    def _batch(self, only: frozenset[str] = frozenset()) -> BatchReport:
        """One continuous batch; see `Order` for `only`."""
        try:
            return self._one_batch(only)
        except NotArmedError:
            # Another process may have turned the stream round.
            if not self._heading.follow():
                raise
            return self._one_batch(only)

    def _one_batch(self, only: frozenset[str]) -> BatchReport:
        if self._draining.is_set() or not self._lane_lock.acquire(blocking=False):
            return BatchReport(position="", skipped="another consumer holds the stream")
        try:
            order = Order(
                self.settings.object_name,
                limit=self.settings.batch_changes,
                compare=bool(only) or time.monotonic() >= self._compare_at,
                only=only,
            )
            report = batch.run(self._lane, order)
            if report.compared and not only:
                pause = max(_COMPARE_SECONDS, _COMPARE_SHARE * report.seconds)
                self._compare_at = time.monotonic() + pause
            if not report.skipped:
                self._keeping.after_batch(self._lane, self.settings)
            return report
        finally:
            self._lane_lock.release()
            self._keeping.keep_limit(self.settings)

    def drain(self, deadline_seconds: float, progress: Progress | None = None) -> DrainReport:
        """Batches until the receiver has all that the sender has committed by now.

        Args:
            deadline_seconds: after so long the answer is `inconclusive`.
            progress: told about twice a second that work goes on; may raise to stop it.

        Raises:
            SlotBusyError: another consumer keeps the stream.
            FailbackError: as `run_batch`.
        """
        try:
            return self._drain(deadline_seconds, progress)
        except NotArmedError:
            if not self._heading.follow():
                raise
            return self._drain(deadline_seconds, progress)

    def _drain(self, deadline_seconds: float, progress: Progress | None) -> DrainReport:
        with self._first(deadline_seconds), Pulse(progress, self._lane.cancel) as pulse:
            return drain.run(
                self._lane,
                self.settings.object_name,
                limit=self.settings.batch_changes,
                deadline_seconds=deadline_seconds,
                pulse=pulse,
            )

    def drain_late(self, deadline_seconds: float, progress: Progress | None = None) -> DrainReport:
        """As `drain`, against a receiver that takes writes: conflicts are parked.

        Every batch does so from the moment the receiver's fence is lifted; a receiver that is
        still fenced changes nothing itself, so that this is a plain drain there.
        """
        return self.drain(deadline_seconds, progress)

    def synchronise_sequences(self) -> int:
        """Set the receiver's sequences beyond both sides', with head-room; how many moved."""
        self._heading.follow_once()
        direction = self._direction
        with self._control.both() as sessions:
            receiver = sessions[direction.receiver]
            names = position.armed_names(receiver, direction)
            schemas = {name.partition(".")[0] for name in names} - {OWN_SCHEMA}
            return sequences.synchronise(
                sessions[direction.sender], receiver, schemas, self.settings.sequence_headroom
            )

    def raise_fence(self, side: Side, grace_seconds: float) -> FenceReport:
        """Refuse new writes, wait for those in flight, prove it. Ends stragglers."""
        with self._control.session(side) as session:
            return fence.raise_(
                self.settings.servers,
                side,
                grace_seconds,
                self.settings.writer_roles(side),
                connection=session,
            )

    def lift_fence(self, side: Side, accepted: str = "") -> FenceReport:
        """Let writes in.

        Args:
            side: whose fence to lift.
            accepted: who, or which policy, accepts that this side lacks what is in the tail.

        Raises:
            SafetyRuleError: a rule forbids it; the rule's name is part of the cause.
            SlotBusyError: a batch is at work on the receiver and does not end.
        """
        with self._control.session(side) as session:
            # A rule that is looked up for the wrong direction would let a second writer in.
            self._heading.agree(session)
        direction = self._direction
        safety.may_lift(self.settings, self._control, side, accepted)
        with self._control.session(side) as session:
            if side is direction.receiver:
                position.mark_writable(session, direction)
            report = fence.lift(self.settings.servers, side, connection=session)
        if side is direction.sender:
            # Where the receiver does not answer, its mark stays, and batches go on parking.
            with (
                contextlib.suppress(UnreachableError),
                self._control.session(direction.receiver) as receiver,
            ):
                position.mark_receiving(receiver, direction)
        return report

    def fenced(self, side: Side) -> bool:
        """Whether a side refuses writes now; a side without a fence does not."""
        with self._control.session(side) as session:
            return fence.is_up(session) is True

    def canary(self) -> CanaryReport:
        """Write, update and delete a row on the sender, and see each on the receiver."""
        self._heading.follow_once()
        with self._looking.both() as sessions:
            return canary.fly(
                sessions[self._direction.sender],
                sessions[self._direction.receiver],
                lambda: self._batch(frozenset([CANARY])),
            )

    def verify(
        self, progress: Progress | None = None, *, cold: bool = False, examples: int = EXAMPLES
    ) -> VerifyReport:
        """Compare both sides: rows, digests, foreign keys, business rules.

        Everything that the configuration names is compared, armed or not. What both sides agreed
        on earlier is not read again where `ledgered` finds that nothing has changed it, and never
        trusted when `cold`.

        Raises:
            UnknownTablePatternError: a pattern matches no table.
        """
        self._heading.follow_once()
        return self._proving.verify(progress, cold=cold, examples=examples)

    def verify_some(self, budget_seconds: float) -> LedgerReport:
        """Compare some of what is not known to be equal, between batches; see `rolling`.

        Raises:
            NotArmedError: nothing is armed.
        """
        self._heading.follow_once()
        return self._proving.verify_some(budget_seconds)

    def repair(
        self, progress: Progress | None = None, *, plan_only: bool = True, rows: int = 20
    ) -> RepairReport:
        """Make the receiver's rows the sender's where they differ; see `repair`.

        Raises:
            SafetyRuleError: the receiver takes writes.
            NotArmedError: nothing is armed.
        """
        self._heading.follow_once()
        return self._proving.repair(progress, plan_only=plan_only, rows=rows)

    def conflicts(self, *, include_settled: bool = False) -> tuple[Conflict, ...]:
        """Parked conflicts, oldest first; both sides tell of settled ones."""
        self._heading.follow()
        found: list[Conflict] = []
        for side in Side if include_settled else (self._direction.receiver,):
            with self._looking.session(side) as session:
                found += conflicts.read(session, include_settled=include_settled, side=side)
        return tuple(sorted(found, key=lambda one: one.parked_at))

    def settle_conflicts(self, choice: ConflictChoice) -> SettleReport:
        """Make the version that somebody decided for the right one; see `settling.settle`."""
        self._heading.follow()
        return settling.settle(self.settings.servers, self._direction, choice)

    def close(self) -> None:
        """Give the sessions back; the next call opens new ones."""
        self._control.close()
        self._looking.close()
        self._proving.close()
        with self._lane_lock:
            self._lane.close()

    @contextmanager
    def _first(self, wait_seconds: float) -> Iterator[None]:
        """Hold the lane; continuous batches of this process stand aside meanwhile."""
        self._draining.set()
        try:
            if not self._lane_lock.acquire(timeout=max(0.0, wait_seconds)):
                raise SlotBusyError(
                    f"A batch of this process has held the stream for {wait_seconds:.1f} s.",
                    "It goes on by itself when that one has committed.",
                )
            try:
                yield
            finally:
                self._lane_lock.release()
        finally:
            self._draining.clear()
