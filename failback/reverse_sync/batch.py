"""One batch: captured, netted, copied and committed together with its position.

Changes when the order of these steps does. The order is what nothing is lost by:

1. the sender's snapshot is taken, then a position that covers all it sees;
2. the slot is read up to that position; keys are netted;
3. the receiver deletes those keys and inserts their rows as the snapshot has them, and moves
   its position, in one transaction;
4. only then is the slot advanced.

After a batch that read everything, the receiver equals the snapshot. A transaction that was in
the log but not yet in the snapshot holds the position back, and its keys come again.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg.pq import TransactionStatus

from failback.errors import FailbackError, SchemaDriftError, SlotBusyError, TableRefusedError
from failback.models.sync import BatchReport
from failback.reverse_sync import capture, position
from failback.reverse_sync.apply import Applied, Carrier, Pulse, Work
from failback.reverse_sync.capture import Horizon
from failback.reverse_sync.lane import Armed, Lane, UnknownRelation, fingerprints
from failback.reverse_sync.late_tail import Late, LateTail, TornError
from failback.reverse_sync.pgoutput import (
    MARKER,
    Changes,
    Decoder,
    Keys,
    ProtocolError,
    lsn_text,
)
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.statements import statement

_ATTEMPTS = 4


class _Stale(Exception):  # noqa: N818 - not an error: the batch begins again
    """A catalogue changed under the batch."""


class _Refused(Exception):  # noqa: N818 - turned into the operator's error after the rollback
    """The receiver refused rows of the table in its argument."""


class _Torn(Exception):  # noqa: N818 - not an error: the batch begins again
    """Part of the stream was read, and the rows read so far do not fit without the rest."""


@dataclass(frozen=True)
class Order:
    """What a batch is asked for.

    Args:
        publication: name of the publication on the sender.
        limit: captured changes per batch.
        priority: wait for the stream instead of standing aside.
        wait_seconds: how long to wait with priority.
        pulse: called while rows flow; raises to stop.
    """

    publication: str
    limit: int | None
    priority: bool = False
    wait_seconds: float = 2.0
    pulse: Pulse = field(default=lambda: None)


def run(lane: Lane, order: Order) -> BatchReport:
    """Carry one batch over. On any error both sides stay as they were.

    Raises:
        NotArmedError: nothing is armed.
        SlotLostError: changes may be missing.
        SlotBusyError: another consumer kept the stream.
        SchemaDriftError: the two schemas differ in a way that would lose data.
        TableRefusedError: the receiver refuses rows that the sender has.
    """
    limit = order.limit
    attempts = 0
    while attempts < _ATTEMPTS:
        try:
            return _attempt(lane, order, limit)
        except UnknownRelation as unknown:
            # Each oid is told once, so this ends by itself.
            lane.forget(unknown.args[0])
        except _Stale:
            attempts += 1
            lane.forget()
        except _Torn:
            attempts += 1
            # More of the stream makes the rows fit; all of it always does.
            limit = None if limit is None or attempts > 1 else limit * 4
    raise SchemaDriftError(
        "The schema kept changing while a batch was being carried over.",
        "Wait until the change has finished; nothing was lost.",
    )


def _attempt(lane: Lane, order: Order, limit: int | None) -> BatchReport:
    started = time.monotonic()
    try:
        lane.writer.execute("BEGIN")
        if not position.take(lane.writer, wait_seconds=order.wait_seconds, priority=order.priority):
            lane.writer.execute("ROLLBACK")
            return BatchReport(position="", skipped="another consumer holds the stream")
        report = _Batch(lane, order, limit, position.read(lane.writer, lane.direction)).carry()
    except _Refused as refused:
        cause = refused.__cause__
        _abandon(lane)
        if not isinstance(cause, psycopg.Error):
            raise
        raise _refusal(lane, str(refused), cause) from cause
    except psycopg.errors.TransactionRollback as error:
        # A deadlock or a serialization failure: the other one went first.
        _abandon(lane)
        raise _Stale from error
    except psycopg.Error as error:
        explained = _explained(lane, error)
        _abandon(lane)
        if explained is error:
            raise
        raise explained from error
    except BaseException:
        _abandon(lane)
        raise
    return report.model_copy(update={"seconds": time.monotonic() - started})


class _Batch:
    """A batch at work: one snapshot on the sender, one transaction on the receiver."""

    def __init__(self, lane: Lane, order: Order, limit: int | None, held: StreamPosition) -> None:
        self.lane = lane
        self.order = order
        self.limit = limit
        self.held = held
        self.armed: Armed = lane.armed(self._names, held.tables)

    def carry(self) -> BatchReport:
        horizon = capture.open_horizon(
            self.lane.reader, self.held, self.lane.direction.sender.value
        )
        changes = self._captured(horizon)
        works = self._works(changes)
        late = Late({}, conflicts=0, parked=0)
        if works:
            late = self._apply(works, torn=self._is_cut(changes, horizon))
        reached = self._reached(changes, horizon)
        keys = sum(work.count for work in works)
        if reached > self.held.lsn or works:
            position.write(
                self.lane.writer,
                self.lane.direction,
                reached,
                changes=changes.changes,
                keys=keys,
            )
        self.lane.writer.execute("COMMIT")
        self._committed(reached, horizon.slot.confirmed)
        return BatchReport(
            position=lsn_text(reached),
            changes=changes.changes,
            keys=keys,
            rows=sum(each.inserted for each in late.applied.values()),
            deleted=sum(each.deleted for each in late.applied.values()),
            by_table={work.pair.qualified: work.count for work in works},
            caught_up=reached == horizon.lsn,
            lag_seconds=max(0.0, (horizon.at - changes.oldest).total_seconds())
            if changes.oldest
            else 0.0,
            conflicts=late.conflicts,
            parked=late.parked,
        )

    def _names(self) -> tuple[str, ...]:
        return position.armed_names(self.lane.writer, self.lane.direction)

    def _captured(self, horizon: Horizon) -> Changes:
        """The stream from the receiver's position to the horizon."""
        helper = self.lane.helper
        if not horizon.flushed:
            capture.flush(helper)
        try:
            changes = capture.peek(
                helper,
                slot=self.held.slot,
                publication=self.order.publication,
                upto=horizon.lsn,
                limit=self.limit,
                binary=self.armed.binary_keys,
                decoder=Decoder(self.armed.key_columns, horizon.snapshot.sees, known=self.held.lsn),
            )
        except ProtocolError as error:
            raise SchemaDriftError(
                f"The stream does not fit the catalogue: {error}",
                "A key was changed after arming: run `failback arm` again.",
            ) from error
        # Somebody who advanced the slot between the first look and the reading is caught here.
        slot = capture.read_slot(helper, self.held.slot)
        capture.check_slot(slot, self.held, self.lane.direction.sender.value)
        return changes

    def _works(self, changes: Changes) -> list[Work]:
        """What to do, by table. A table that was truncated is copied whole."""
        whole = set(self.held.copy_whole)
        for oid in changes.truncated:
            pair = self.armed.by_oid.get(oid)
            if pair is not None:
                whole.add(pair.qualified)
        keys: dict[str, list[Keys]] = {}
        for found in changes.keys:
            if found.values:
                keys.setdefault(self.armed.by_oid[found.relation.oid].qualified, []).append(found)
        return [
            Work(pair, tuple(keys.get(name, ())), whole=name in whole)
            for name, pair in self.armed.pairs.items()
            if name in whole or name in keys
        ]

    def _is_cut(self, changes: Changes, horizon: Horizon) -> bool:
        """Whether the limit ended the reading before the horizon."""
        return (
            self.limit is not None and changes.messages >= self.limit and changes.end < horizon.lsn
        )

    def _reached(self, changes: Changes, horizon: Horizon) -> int:
        """The new position: the snapshot sees every commit before it, and all were read."""
        read = changes.end if self._is_cut(changes, horizon) else horizon.lsn
        if changes.barrier is not None:
            read = min(read, changes.barrier)
        return max(self.held.lsn, read)

    def _apply(self, works: list[Work], *, torn: bool) -> Late:
        self._check_catalogues(works)
        writer = self.lane.writer
        writer.execute(statement("apply_begin"))
        writer.execute(
            "SELECT pg_logical_emit_message(true, %s, %s)", [MARKER, self.lane.direction.name]
        )
        if self.held.receiver_lsn is None:
            late = Late(self._carry(works, torn=torn), conflicts=0, parked=0)
        else:
            late = self._carry_late(works, torn=torn)
        self._check_rewritten(works)
        if self.held.copy_whole:
            writer.execute(
                "UPDATE failback.stream_table SET copy_whole = false"
                " WHERE stream = %s AND name = ANY (%s) AND copy_whole",
                [self.lane.direction.name, list(self.held.copy_whole)],
            )
        return late

    def _carry(self, works: list[Work], *, torn: bool) -> dict[str, Applied]:
        carrier = Carrier(
            reader=self.lane.reader,
            writer=self.lane.writer,
            read_keys=self.lane.read_keys,
            write_keys=self.lane.write_keys,
            binary_keys=self.armed.binary_keys,
            pulse=self.order.pulse,
        )
        applied = {}
        for work in works:
            self.order.pulse()
            with _refusing(work, torn=torn):
                applied[work.pair.qualified] = carrier.carry(work)
        return applied

    def _carry_late(self, works: list[Work], *, torn: bool) -> Late:
        """The receiver takes writes: what it changed itself stays."""
        tail = LateTail(
            lane=self.lane,
            held=self.held,
            armed=self.armed,
            publication=self.order.publication,
            complete=not torn,
            pulse=self.order.pulse,
        )
        try:
            return tail.carry(works, lambda work: _refusing(work, torn=torn))
        except TornError as error:
            raise _Torn from error

    def _check_catalogues(self, works: Iterable[Work]) -> None:
        """A column that was added since the catalogues were read must not be left out."""
        for session, known, oids in (
            (self.lane.reader, self.armed.sent, [work.pair.sent.oid for work in works]),
            (self.lane.writer, self.armed.received, [work.pair.received.oid for work in works]),
        ):
            if fingerprints(session, oids) != {oid: known[oid] for oid in oids}:
                raise _Stale

    def _check_rewritten(self, works: Iterable[Work]) -> None:
        """A table whose storage was replaced looks empty to an older snapshot."""
        oids = [work.pair.sent.oid for work in works]
        oids += [leaf.oid for work in works for leaf in work.pair.sent.leaves]
        row = self.lane.reader.execute(statement("rewritten"), {"tables": oids}).fetchone()
        if row is not None:
            raise _Stale

    def _committed(self, reached: int, confirmed: int | None) -> None:
        """The receiver has it for good: let the sender forget what lies before."""
        self.lane.reader.execute("COMMIT")
        self.lane.settle(committed=True)
        if confirmed is not None and confirmed >= reached:
            return
        try:
            capture.advance(self.lane.helper, self.held.slot, reached)
        except SlotBusyError:
            # The data is safe; the slot is advanced after the next batch.
            return


@contextmanager
def _refusing(work: Work, *, torn: bool) -> Iterator[None]:
    """Turn what the receiver refuses of a table inside the block into the batch's own words."""
    try:
        yield
    except (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation) as error:
        if torn:
            raise _Torn from error
        raise _Refused(work.pair.qualified) from error
    except (psycopg.IntegrityError, psycopg.DataError, psycopg.ProgrammingError) as error:
        raise _Refused(work.pair.qualified) from error


def _abandon(lane: Lane) -> None:
    """Roll both sides back; a session that cannot be is closed, and opened anew when needed."""
    for session, _ in lane.sessions():
        try:
            if session.info.transaction_status is TransactionStatus.ACTIVE:
                session.close()
            elif session.info.transaction_status is not TransactionStatus.IDLE:
                session.execute("ROLLBACK")
        except psycopg.Error:
            session.close()
    lane.settle(committed=False)


def _explained(lane: Lane, error: psycopg.Error) -> Exception:
    """The operator's error for one that a server raised; that one where there is none."""
    sessions = lane.sessions()
    suspects = [side for session, side in sessions if session.closed] or [
        side
        for session, side in sessions
        if session.info.transaction_status is TransactionStatus.INERROR
    ]
    side = suspects[0] if suspects else lane.direction.sender
    return lane.servers.explained(side, error)


def _refusal(lane: Lane, table: str, error: psycopg.Error) -> Exception:
    """Why rows of a table were refused: most often because the schemas differ by now."""
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return _explained(lane, error)
    lane.forget()
    try:
        lane.armed(lambda: position.armed_names(lane.writer, lane.direction), "")
    except FailbackError as drift:
        return drift
    receiver = lane.direction.receiver.value
    return TableRefusedError(
        f"The {receiver} refuses rows of {table} that the {lane.direction.sender.value} has: "
        f"{error.diag.message_primary or error}.",
        f"Change what refuses them on the {receiver}; nothing was lost, the batch comes again.",
    )
