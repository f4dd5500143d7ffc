"""Carries one share of a catch-up: some tables, or some of the keys of one, in one transaction.

Changes when the order of these steps does. The order is what nothing is overwritten by:

1. the share joins the others that carry, which keeps everybody from taking the stream over, and
   makes sure that its catch-up is still open;
2. only then is its snapshot of the sender taken, so that its rows are never older than those of a
   batch that went before;
3. the receiver deletes the keys and inserts their rows as the snapshot has them, and the share is
   noted as carried, in one transaction.

The snapshot is newer than the catch-up's position, so that rows which changed meanwhile come early;
their keys come again with the batch after it.
"""

import time

from failback.errors import SlotBusyError
from failback.models.catch_up import ShareOutcome, ShareReport
from failback.reverse_sync import (
    capture,
    catch_up_record,
    parallel_apply,
    position,
    sharing,
    ways,
)
from failback.reverse_sync.apply import Applied, Carrier, Work
from failback.reverse_sync.catch_up_record import CatchUpRun, KeptShare
from failback.reverse_sync.lane import Armed, Lane
from failback.reverse_sync.pgoutput import MARKER, lsn_text
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.pulse import Pulse
from failback.reverse_sync.refusals import Refused, Stale, Stopped, Torn, refusing
from failback.reverse_sync.statements import statement
from failback.reverse_sync.unwinding import abandon
from failback.reverse_sync.works import catalogues_hold, rewritten

_JOIN_SECONDS = 2.0
_PAUSE_SECONDS = 0.02
_ATTEMPTS = 3
_LOOK_UP = """
SELECT set_config(
    'random_page_cost', least(current_setting('random_page_cost')::float8, 1.1)::text, true)
"""
# With the usual cost of a random page, the planner reads a table through for a share of its keys
# that is a hundredth of its rows: once for every share, where a batch does so once for all.


class VoidError(Exception):
    """The catch-up is over, for the reason in its argument."""


class UnfitError(Exception):
    """The share cannot be carried by itself, for the reason in its argument."""


def carry(lane: Lane, run: str, number: int, pulse: Pulse) -> ShareReport:
    """Carry a share, or say that it was carried before.

    Args:
        lane: sessions that nobody else uses.
        run: the catch-up.
        number: the share's.
        pulse: called while rows flow; raises to stop.

    Raises:
        NotArmedError: nothing is armed.
        SlotLostError: changes may be missing.
        SlotBusyError: an earlier attempt at this share does not end.
    """
    started = time.monotonic()
    for _ in range(_ATTEMPTS):
        try:
            report = _Share(lane, run, number, pulse).carry()
        except VoidError as void:
            abandon(lane)
            return ShareReport(outcome=ShareOutcome.VOID, detail=str(void))
        except Stale:
            abandon(lane)
            lane.forget()
        except Torn:
            abandon(lane)
            return _refused("unique values changed hands after the keys were read")
        except Stopped as stopped:
            abandon(lane)
            return _refused(f"{stopped.problem.table} {stopped.problem.problem}")
        except (Refused, UnfitError) as unfit:
            abandon(lane)
            return _refused(f"{unfit}: {unfit.__cause__}" if unfit.__cause__ else str(unfit))
        else:
            return report.model_copy(update={"seconds": time.monotonic() - started})
    return _refused("a table's storage is replaced again and again")


def _refused(why: str) -> ShareReport:
    return ShareReport(outcome=ShareOutcome.REFUSED, detail=why[:1000])


class _Share:
    """One attempt at a share."""

    def __init__(self, lane: Lane, run: str, number: int, pulse: Pulse) -> None:
        self._lane = lane
        self._run = run
        self._number = number
        self._pulse = pulse
        self._rows = 0
        self._bytes = 0

    def carry(self) -> ShareReport:
        lane = self._lane
        self._join()
        held = position.read(lane.writer, lane.direction)
        run, share = self._kept(held)
        if share.carried:
            lane.writer.execute("ROLLBACK")
            return ShareReport(
                outcome=ShareOutcome.CARRIED, keys=share.keys, rows=share.rows, bytes=share.bytes
            )
        ways.of(held.capture).open(lane, held)
        armed = self._armed(run)
        works = catch_up_record.works(lane.writer, self._run, self._number, armed.pairs)
        if not catalogues_hold(lane.reader, lane.writer, armed, works):
            raise Stale
        applied = self._apply(run, works)
        if rewritten(lane.reader, works):
            raise Stale
        for work in works:
            parallel_apply.mark(lane.marks, lane.ends(), work)
        self._commit(run, applied)
        return ShareReport(
            outcome=ShareOutcome.CARRIED,
            keys=share.keys,
            rows=applied.inserted,
            deleted=applied.deleted,
            bytes=applied.bytes,
        )

    def _join(self) -> None:
        """Begin the receiver's transaction as one of those who carry."""
        writer = self._lane.writer
        deadline = time.monotonic() + _JOIN_SECONDS
        while True:
            writer.execute("BEGIN")
            if sharing.join(writer):
                break
            writer.execute("ROLLBACK")
            if time.monotonic() >= deadline:
                raise VoidError("another consumer is taking the stream over")
            self._pulse()
            time.sleep(_PAUSE_SECONDS)
        if not sharing.claim(writer, self._number):
            raise SlotBusyError(
                f"An earlier attempt at share {self._number} of a catch-up does not end.",
                "It goes on by itself when that session has ended.",
            )

    def _kept(self, held: StreamPosition) -> tuple[CatchUpRun, KeptShare]:
        writer = self._lane.writer
        run = catch_up_record.opened(writer, self._lane.direction, held)
        if run is None or run.run != self._run:
            raise VoidError("another consumer has taken the stream over")
        for share in catch_up_record.shares(writer, self._run):
            if share.number == self._number:
                return run, share
        raise VoidError(f"the catch-up has no share {self._number}")

    def _armed(self, run: CatchUpRun) -> Armed:
        """The share's tables, where they are what they were when their keys were read."""
        lane = self._lane
        names = catch_up_record.names(lane.writer, self._run, self._number)
        armed = lane.armed(lambda: names, f"{self._run}/{self._number}")
        for name in names:
            pair = armed.pairs.get(name)
            if pair is None:
                problem = armed.stopped.get(name)
                raise UnfitError(f"{name} {problem.problem if problem else 'is not armed'}")
            if catch_up_record.shape(armed, pair) != run.shapes[name]:
                raise UnfitError(f"{name} was changed after its keys were read")
        return armed

    def _apply(self, run: CatchUpRun, works: tuple[Work, ...]) -> Applied:
        lane = self._lane
        lane.writer.execute(statement("apply_begin"))
        lane.writer.execute(
            "SELECT pg_logical_emit_message(true, %s, %s)", [MARKER, lane.direction.name]
        )
        for session in (lane.reader, lane.writer):
            session.execute(_LOOK_UP)
        total = Applied()
        carrier = Carrier(
            lane.ends(), binary_keys=run.binary, pulse=self._pulse, copied=self._copied
        )
        for work in works:
            self._pulse()
            with refusing(work, torn=True):
                done = carrier.carry(work)
            total = Applied(
                deleted=total.deleted + done.deleted,
                inserted=total.inserted + done.inserted,
                bytes=total.bytes + done.bytes,
            )
        return total

    def _copied(self, rows: int, size: int) -> None:
        self._rows += rows
        self._bytes += size
        self._pulse.text = f"share {self._number}: {self._rows} rows, {self._bytes} bytes"

    def _commit(self, run: CatchUpRun, applied: Applied) -> None:
        lane = self._lane
        count = capture.count(lane.helper)
        lane.writer.execute(
            statement("catch_up_carried"),
            {
                "run": self._run,
                "share": self._number,
                "rows": applied.inserted,
                "bytes": applied.bytes,
            },
        )
        counted = lane.writer.execute(
            statement("catch_up_witness"),
            {
                "stream": lane.direction.name,
                "count": count,
                "origin": lsn_text(run.origin),
                "origin_applied": run.origin_applied,
            },
        )
        if counted.rowcount != 1:
            raise VoidError("the stream's position was moved meanwhile")
        lane.writer.execute("COMMIT")
        lane.reader.execute("COMMIT")
        lane.settle(committed=True)
