"""One attempt at a batch: captured, netted, copied and committed together with its position.

Changes when the order of these steps does. The order is what nothing is lost by:

1. the sender's snapshot is taken, then a position that covers all it sees;
2. what was captured is read up to that position; keys are netted; tables of which changes are
   unknown are compared by checksum, and the keys that differ come to them;
3. the receiver deletes those keys and inserts their rows as the snapshot has them, and moves
   its position, in one transaction;
4. only then is the sender told to forget them: the slot is advanced, the changelog shortened.

After a batch that read everything, the receiver equals the snapshot. A transaction that was in
the log but not yet in the snapshot holds the position back, and its keys come again.
"""

from collections import Counter
from collections.abc import Iterable

from failback.errors import (
    SlotBusyError,
    SlotLostError,
)
from failback.models.sync import BatchReport
from failback.reverse_sync import (
    capture,
    fence,
    head_start,
    parallel_apply,
    position,
    stopped,
    ways,
)
from failback.reverse_sync.apply import Applied, Carrier, Work
from failback.reverse_sync.capture import Horizon
from failback.reverse_sync.lane import Armed, Ends, Lane
from failback.reverse_sync.late_tail import Late, LateTail, TornError
from failback.reverse_sync.order import Order
from failback.reverse_sync.parallel_apply import ParallelApply
from failback.reverse_sync.pgoutput import (
    MARKER,
    Changes,
    lsn_text,
)
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.refusals import (
    Stale,
    Torn,
    refusing,
)
from failback.reverse_sync.reproof import Reproof, Unlike
from failback.reverse_sync.statements import statement
from failback.reverse_sync.suspects import Suspects
from failback.reverse_sync.ways import Captured
from failback.reverse_sync.works import catalogues_hold, rewritten, works_of

_MOST_DIFFERENCES = 200_000
"""Beyond so many differing keys of a table it is copied whole."""


class Attempt:
    """A batch at work: one snapshot on the sender, one transaction on the receiver."""

    def __init__(self, lane: Lane, order: Order, limit: int | None, held: StreamPosition) -> None:
        self.lane = lane
        self.order = order
        self.limit = limit
        self.held = held
        self.lost: SlotLostError | None = None
        self.still = False
        self.raising: int | None = None
        self.crew: ParallelApply | None = None
        self.begun: tuple[Work, ...] = ()
        self.torn = False
        self.armed: Armed = lane.armed(self._names, held.tables)
        self.way = ways.of(held.capture)
        # The stream writes keys of all tables in one form, a comparison as text.
        self.binary = self.armed.binary_keys and not self.unproven

    @property
    def unproven(self) -> frozenset[str]:
        """Tables that may differ by more than what is captured."""
        if self.way.everything and self.order.only:
            return self.order.only.intersection(self.armed.pairs)
        if self.lost is not None or self.way.everything:
            return frozenset(self.armed.pairs)
        names = set(self.held.unproven)
        if self._compares_uncaptured:
            names.update(self.held.uncaptured)
        return frozenset(names.intersection(self.armed.pairs))

    @property
    def _compares_uncaptured(self) -> bool:
        """Whether tables that nothing tells of are due to be compared."""
        return bool(self.held.uncaptured) and self.order.compare and not self.order.only

    def carry(self) -> BatchReport:
        """Take the steps, and commit both sides; whatever it raises, nothing was committed."""
        try:
            return self._carried()
        except BaseException:
            if self.crew is not None:
                self.crew.stop()
            raise

    def _carried(self) -> BatchReport:
        if self.way.everything and not self.order.compare:
            self.lane.writer.execute("ROLLBACK")
            return BatchReport(
                position=lsn_text(self.held.lsn), skipped="the next comparison is not due yet"
            )
        horizon = self._horizon()
        captured = self._captured(horizon)
        changes = captured.changes
        unlike = self._unlike()
        rest = works_of(self.armed, changes, self.held.copy_whole, unlike)
        works = [*self.begun, *rest]
        late = Late({}, conflicts=0, parked=0)
        if works:
            late = self._apply(rest)
        proved = self._prove(unlike) and not captured.cut
        raising = self.raising if proved else None
        if not proved and not works and self._is_still_proved(captured):
            proved, raising = True, self.held.proved_raising
        reached = captured.reached
        keys = sum(work.count for work in works)
        witnessed = self._witness() if works else None
        told = (self.held.proved_fenced, self.held.proved_raising)
        if reached > self.held.lsn or works or told != (proved, raising):
            position.write(
                self.lane.writer,
                self.lane.direction,
                reached,
                changes=changes.changes,
                keys=keys,
                applied=captured.applied,
                acknowledged=witnessed,
                proved_fenced=proved,
                proved_raising=raising,
            )
        if {name: each.problem for name, each in self.armed.stopped.items()} != self.held.stopped:
            stopped.keep(self.lane.writer, self.lane.direction, self.armed.stopped)
        if self.crew is not None:
            self.crew.commit()
        self.lane.writer.execute("COMMIT")
        self._committed(horizon, captured)
        return BatchReport(
            position=lsn_text(reached),
            changes=changes.changes,
            keys=keys,
            rows=sum(each.inserted for each in late.applied.values()),
            deleted=sum(each.deleted for each in late.applied.values()),
            by_table=_counts(works),
            caught_up=reached >= horizon.lsn and not captured.cut and not self.armed.stopped,
            lag_seconds=max(0.0, (horizon.at - changes.oldest).total_seconds())
            if changes.oldest
            else 0.0,
            conflicts=late.conflicts,
            parked=late.parked,
            stopped=tuple(self.armed.stopped.values()),
            compared=tuple(sorted(each.pair.qualified for each in unlike)),
            backlog_bytes=horizon.lsn - reached if captured.cut and self._may_be_shared else 0,
        )

    @property
    def _may_be_shared(self) -> bool:
        """Whether what is left can be carried by a catch-up; see `catch_up_plan`."""
        return not (self.unproven or self.armed.stopped or self.held.receiver_lsn)

    def _names(self) -> tuple[str, ...]:
        return position.armed_names(self.lane.writer, self.lane.direction)

    def _horizon(self) -> Horizon:
        """The snapshot; whether the sender stands still is looked at before it is taken."""
        if self.way.everything or self._compares_uncaptured:
            self.still = self._stands_still()
        try:
            return self.way.open(self.lane, self.held)
        except SlotLostError as error:
            self.lane.reader.execute("ROLLBACK")
            self.still = self.order.reprove and self._stands_still()
            if not self.held.lost:
                # Not in the batch's transaction, which is rolled back.
                position.lose(self.lane.observer, self.lane.direction, error.cause)
            if not self.still:
                raise
            self.lost, self.binary = error, False
        sender = self.lane.direction.sender.value
        return capture.unchecked_horizon(self.lane.reader, self.held, sender)

    def _witness(self) -> int | None:
        """Have the sender count the batch; none of a drain, whose every millisecond counts."""
        if self.order.priority:
            return None
        batch = self.held.batch + 1
        capture.witness(self.lane.helper, batch)
        return batch

    def _stands_still(self) -> bool:
        """Whether the sender is fenced, and nobody's write is in flight any more."""
        helper = self.lane.helper
        self.raising = fence.raising(helper)
        if fence.is_up(helper) is not True:
            return False
        row = helper.execute("SELECT EXISTS (SELECT FROM failback.writers_in_flight)").fetchone()
        return row is not None and not row[0]

    def _captured(self, horizon: Horizon) -> Captured:
        """What was captured from the receiver's position to the horizon."""
        if self.lost is not None:
            # Whatever the server's log is like now, the old position stays: capture is lost.
            return Captured(Changes(), max(self.held.lsn, horizon.lsn))
        if self.way.everything and self.order.only:
            return Captured(Changes(), self.held.lsn)
        captured = self.way.read(
            self.lane,
            self.held,
            self.armed,
            horizon,
            limit=self.limit,
            binary=self.binary,
            beginning=self._begin_early(horizon),
        )
        head_start.leave_out(self.begun, captured.changes)
        self.torn = captured.cut
        return captured

    def _begin_early(self, horizon: Horizon) -> Changes | None:
        """Have the beginning of a long backlog carried while the rest is being read."""
        if self.lane.hands == 1 or self.unproven or self.held.copy_whole:
            return None
        beginning = self.way.beginning(
            self.lane, self.held, self.armed, horizon, binary=self.binary
        )
        self.begun = head_start.works(self.armed, beginning)
        if self.begun:
            self._begin([Work(pair) for pair in self.armed.pairs.values()])
            crew = self._crew(reading=True)
            crew.add(head_start.pieces(self.begun, len(crew.hands)))
        return beginning

    def _unlike(self) -> tuple[Unlike, ...]:
        """What the unproven tables differ by, as of the snapshot."""
        suspects = self._suspects()
        due = suspects.to_compare
        if due:
            self._check_catalogues([Work(pair) for pair in due])
        return suspects.reproof.compare(due)

    def _suspects(self) -> Suspects:
        return Suspects(
            lane=self.lane,
            held=self.held,
            pairs=tuple(self.armed.pairs[name] for name in sorted(self.unproven)),
            reproof=Reproof(
                self.lane.reader,
                self.lane.writer,
                self.lane.direction,
                most=_MOST_DIFFERENCES,
                pulse=self.order.pulse,
            ),
        )

    def _prove(self, unlike: tuple[Unlike, ...]) -> bool:
        """Whether both sides hold the same rows of all tables, and the sender stands still.

        Raises:
            Stopped: a table still differs: something changes rows as they are written.
        """
        suspects = self._suspects()
        if not suspects.pairs:
            return False
        suspects.prove(unlike)
        # Whatever is captured was read to the snapshot.
        everything = self.lost is not None or self.way.everything
        untold = set(self.armed.pairs if everything else self.held.uncaptured)
        return self.still and not self.armed.stopped and untold.issubset(self.unproven)

    def _is_still_proved(self, captured: Captured) -> bool:
        """Whether an earlier proof stays, where a batch compared less and carries nothing.

        It does where that proof names the fence's raising: whoever relies on it sees by that
        whether the sender could be written to since. What is captured all the same was written past
        the fence, and who knows what else was.
        """
        held = self.held
        named = held.proved_fenced and held.proved_raising is not None
        return named and not (captured.changes.changes or captured.cut or self.armed.stopped)

    def _begin(self, works: list[Work]) -> None:
        """Begin to write rows of these tables on the receiver."""
        self._check_catalogues(works)
        writer = self.lane.writer
        writer.execute(statement("apply_begin"))
        writer.execute(
            "SELECT pg_logical_emit_message(true, %s, %s)", [MARKER, self.lane.direction.name]
        )

    def _crew(self, *, reading: bool = False) -> ParallelApply:
        """Several hands, waiting for works."""
        self.crew = ParallelApply(self.lane, self._carry_one)
        self.crew.start(reading=reading)
        return self.crew

    def _apply(self, works: list[Work]) -> Late:
        """Carry what has not begun yet, and wait for what has."""
        if self.crew is None:
            self._begin(works)
        writer = self.lane.writer
        if self.held.receiver_lsn is None:
            late = Late(self._carry(works), conflicts=0, parked=0)
        else:
            late = self._carry_late(works)
        self._check_rewritten([*self.begun, *works])
        copied = self.held.copy_whole.intersection(self.armed.pairs)
        if copied:
            writer.execute(
                "UPDATE failback.stream_table SET copy_whole = false"
                " WHERE stream = %s AND name = ANY (%s) AND copy_whole",
                [self.lane.direction.name, list(copied)],
            )
        return late

    def _carry(self, works: list[Work]) -> dict[str, Applied]:
        lane = self.lane
        many = sum(work.count for work in works) >= parallel_apply.MANY_KEYS
        if self.crew is not None or (many and lane.hands > 1):
            crew = self.crew or self._crew()
            crew.add(parallel_apply.shares(works, len(crew.hands)))
            return crew.finish()
        lane.give_back()
        applied = {}
        for work in works:
            applied[work.pair.qualified] = self._carry_one(lane.ends(), work)
            parallel_apply.mark(lane.marks, lane.ends(), work)
        return applied

    def _carry_one(self, ends: Ends, work: Work) -> Applied:
        self.order.pulse()
        carrier = Carrier(ends, binary_keys=self.binary, pulse=self.order.pulse)
        with refusing(work, torn=self.torn):
            return carrier.carry(work)

    def _carry_late(self, works: list[Work]) -> Late:
        """The receiver takes writes: what it changed itself stays."""
        tail = LateTail(
            lane=self.lane,
            held=self.held,
            armed=self.armed,
            publication=self.order.publication,
            binary_keys=self.binary,
            complete=not self.torn,
            pulse=self.order.pulse,
        )
        self.lane.marks.whole([work.pair.qualified for work in works])
        try:
            return tail.carry(works, lambda work: refusing(work, torn=self.torn))
        except TornError as error:
            raise Torn from error

    def _check_catalogues(self, works: Iterable[Work]) -> None:
        """A column that was added since the catalogues were read must not be left out."""
        if not catalogues_hold(self.lane.reader, self.lane.writer, self.armed, works):
            raise Stale

    def _check_rewritten(self, works: Iterable[Work]) -> None:
        """A table whose storage was replaced looks empty to an older snapshot."""
        if rewritten(self.lane.reader, works):
            raise Stale

    def _committed(self, horizon: Horizon, captured: Captured) -> None:
        """The receiver has it for good: let the sender forget what lies before."""
        self.lane.reader.execute("COMMIT")
        self.lane.settle(committed=True)
        if self.lost is not None:
            return
        try:
            self.way.acknowledge(self.lane, self.held, horizon, captured)
        except SlotBusyError:
            # The data is safe; the sender forgets after the next batch.
            return


def _counts(works: Iterable[Work]) -> dict[str, int]:
    """Keys by table."""
    counts: Counter[str] = Counter()
    for work in works:
        counts[work.pair.qualified] += work.count
    return dict(counts)
