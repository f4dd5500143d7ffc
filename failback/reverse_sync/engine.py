"""The reverse sync as activities and the CLI use it: one object, blocking, thread-safe.

Changes when `failback.ports.ReverseSyncEngine` does. The work is done in the modules beside it.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from failback.errors import FailbackError, NotArmedError, SlotBusyError, UnreachableError
from failback.models.common import Outcome, Side
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
    SyncStatus,
    VerifyReport,
)
from failback.reverse_sync import (
    arming,
    batch,
    canary,
    conflicts,
    drain,
    fence,
    position,
    preflight,
    safety,
    sequences,
    settling,
    status,
    wal_limit,
    watch,
)
from failback.reverse_sync.capture import advance
from failback.reverse_sync.catalogue import OWN_SCHEMA
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.control import Control
from failback.reverse_sync.lane import Lane
from failback.reverse_sync.pgoutput import lsn_text
from failback.reverse_sync.proving import EXAMPLES, Proving
from failback.reverse_sync.pulse import Progress, Pulse
from failback.reverse_sync.rereading import shorten
from failback.reverse_sync.settings import SyncSettings

_ADVANCE_SECONDS = 10.0
_LIMIT_SECONDS = 5.0
# Where nothing is captured, comparing may take this share of the time at most, and goes on no
# more often than this.
_COMPARE_SHARE = 10.0
_COMPARE_SECONDS = 30.0
_SHORTEN_SECONDS = 5.0


class ReverseSync:
    """Carries the sender's changes to the receiver, and keeps both sides' fences.

    Sessions are kept open between calls and opened again after a failure. Batches go one at a
    time, between processes as well; a drain goes before continuous batches.

    Args:
        settings: what to carry between which databases.
    """

    def __init__(self, settings: SyncSettings) -> None:
        self.settings = settings
        self._direction = settings.direction
        # Fences are raised while somebody looks at the status: each has sessions of its own.
        self._control = Control(settings.servers)
        self._looking = Control(settings.servers)
        self._lane = Lane(settings.servers, settings.direction)
        self._lane_lock = threading.Lock()
        self._draining = threading.Event()
        self._proving = Proving(settings, self._draining)
        self._advance_at = self._shorten_at = self._limit_at = self._compare_at = 0.0

    def arm(self, capture: str | None = None) -> ArmReport:
        """Install fence and capture, fence the receiver, prove both with a canary.

        Idempotent; arming again for other tables adds and removes them. A table that is added,
        or of which changes were not captured, is compared by checksum by the next batch, and what
        differs is carried over. A refusal changes nothing.

        Args:
            capture: the way to capture changes, `slot`, `changelog` or `diff`; None picks the
                best that rights and versions allow.

        Raises:
            ConfigurationError: there is no such way.
            MissingRightError: the way that was asked for needs something that is missing.
            FailbackError: whatever `preflight.examine` or `arming.install` finds.
        """
        settings, direction = self.settings, self._direction
        with self._alone() as sessions:
            sender, receiver = sessions[direction.sender], sessions[direction.receiver]
            plan = preflight.examine(settings, sender, receiver, capture)
            installed = arming.install(settings, plan, sender, receiver)
        fenced = self.raise_fence(direction.receiver, grace_seconds=1.0)
        flown = self.canary()
        warnings = list(installed.warnings)
        if fenced.outcome is not Outcome.SUCCEEDED:
            warnings.append(f"the fence of the {direction.receiver.value}: {fenced.detail}")
        return ArmReport(
            outcome=_worst(
                fenced.outcome,
                flown.outcome,
                Outcome.FAILED if plan.problems else Outcome.SUCCEEDED,
            ),
            capture=plan.choice.sender,
            why=plan.choice.why,
            tables=installed.tables,
            slot=installed.slot,
            position=lsn_text(installed.lsn),
            canary=flown,
            problems=plan.problems,
            warnings=tuple(warnings),
        )

    def disarm(self) -> DisarmReport:
        """Remove everything that arming made on both sides, and let both take writes.

        Raises:
            SafetyRuleError: the sender is fenced and its tail is not empty.
        """
        direction = self._direction
        safety.may_disarm(self.settings, self._control)
        with self._alone() as sessions, self._lane_lock:
            self._lane.close()
            removed = arming.remove(
                self.settings, sessions[direction.sender], sessions[direction.receiver]
            )
        return DisarmReport(removed=removed)

    def status(self, *, canary: bool = False) -> SyncStatus:
        """Readiness, with everything that would block a rollback."""
        flown = self.canary() if canary else None
        with self._looking.both() as sessions:
            found = status.read(self.settings, sessions)
        return found.model_copy(update={"canary": flown})

    def warm(self) -> None:
        """Open sessions and read catalogues, so that the next call starts at once."""
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
        """One continuous batch; see `batch.Order` for `only`."""
        if self._draining.is_set() or not self._lane_lock.acquire(blocking=False):
            return BatchReport(position="", skipped="another consumer holds the stream")
        try:
            order = batch.Order(
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
                self._housekeeping()
            return report
        finally:
            self._lane_lock.release()
            self._keep_limit()

    def drain(self, deadline_seconds: float, progress: Progress | None = None) -> DrainReport:
        """Batches until the receiver has all that the sender has committed by now.

        Args:
            deadline_seconds: after so long the answer is `inconclusive`.
            progress: told about twice a second that work goes on; may raise to stop it.

        Raises:
            SlotBusyError: another consumer keeps the stream.
            FailbackError: as `run_batch`.
        """
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
        with self._looking.both() as sessions:
            return canary.fly(
                sessions[self._direction.sender],
                sessions[self._direction.receiver],
                lambda: self._batch(frozenset([arming.CANARY])),
            )

    def verify(
        self, progress: Progress | None = None, *, cold: bool = False, examples: int = EXAMPLES
    ) -> VerifyReport:
        """Compare both sides: rows, digests, foreign keys, business rules.

        Everything that the configuration names is compared, armed or not. Where the ledger says
        that both sides agreed on a part of a table and nothing has changed it since, that part is
        not read again; see `ledgered` for what it takes to be trusted.

        Args:
            progress: called about every second, and for each table; may raise to stop.
            cold: read everything.
            examples: so many keys of differing rows are named for each table.

        Raises:
            UnknownTablePatternError: a pattern matches no table.
        """
        return self._proving.verify(progress, cold=cold, examples=examples)

    def verify_some(self, budget_seconds: float) -> LedgerReport:
        """Verify some of what is not known to be equal, and then what was read longest ago.

        For the time between batches: stands aside for whoever has priority on the stream, and
        takes no lock that a writer would wait for.

        Args:
            budget_seconds: about so long it may take.

        Raises:
            NotArmedError: nothing is armed.
        """
        return self._proving.verify_some(budget_seconds)

    def conflicts(self, *, include_settled: bool = False) -> tuple[Conflict, ...]:
        """Parked conflicts, oldest first."""
        with self._looking.session(self._direction.receiver) as session:
            return conflicts.read(session, include_settled=include_settled)

    def settle_conflicts(self, choice: ConflictChoice) -> SettleReport:
        """Make the version that somebody decided for the right one; see `settling.settle`."""
        return settling.settle(self.settings.servers, self._direction, choice)

    def close(self) -> None:
        """Give the sessions back; the next call opens new ones."""
        self._control.close()
        self._looking.close()
        self._proving.close()
        with self._lane_lock:
            self._lane.close()

    @contextmanager
    def _alone(self) -> Iterator[dict[Side, Connection]]:
        """Sessions of their own for arming and disarming; nobody else is at it."""
        servers, direction = self.settings.servers, self._direction
        with (
            contextlib.closing(servers.connect(Side.SOURCE, autocommit=True)) as source,
            contextlib.closing(servers.connect(Side.TARGET, autocommit=True)) as target,
        ):
            sessions = {Side.SOURCE: source, Side.TARGET: target}
            position.take_arming(sessions[direction.receiver])
            with servers.explaining(direction.sender):
                yield sessions

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

    def _housekeeping(self) -> None:
        """Now and then, between batches: what keeps later ones short."""
        now = time.monotonic()
        if now >= self._shorten_at:
            self._shorten_at = now + _SHORTEN_SECONDS
            shorten(self._lane.helper, self.settings.object_name)
        if now >= self._advance_at:
            # The receiver may forget its own log, as long as nobody but us writes there.
            self._advance_at = now + _ADVANCE_SECONDS
            with contextlib.suppress(NotArmedError, SlotBusyError):
                held = position.read(self._lane.writer, self._direction)
                if held.receiver_lsn is None and not watch.is_kept(self._lane.writer, held):
                    advance(self._lane.writer, held.receiver_slot, held.receiver_now)

    def _keep_limit(self) -> None:
        """Give the slot up where the estate wants the sender's disk to go first.

        Also after a batch that failed: a receiver that is away is what makes the log grow. Never
        while the sender is fenced: then the tail is all there is, and grows no more.
        """
        settings, now = self.settings, time.monotonic()
        if settings.on_wal_limit != wal_limit.DROP_SLOT or now < self._limit_at:
            return
        self._limit_at = now + _LIMIT_SECONDS
        with (
            contextlib.suppress(FailbackError),
            self._control.session(self._direction.sender) as sender,
        ):
            if fence.is_up(sender) is False:
                wal_limit.enforce(sender, settings.object_name, settings.max_retained_wal_mb)


def _worst(*outcomes: Outcome) -> Outcome:
    """Failed before inconclusive before succeeded."""
    for outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return outcome
    return Outcome.SUCCEEDED
