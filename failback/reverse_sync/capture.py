"""What the sender changed: the slot, a snapshot to read rows in, and the keys that changed.

Changes when changes are captured in another way. The slot is only ever peeked at; it is
advanced after the receiver has committed, and never before.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from failback.errors import SlotBusyError, SlotLostError, UnreachableError
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.copying import copied_out, without_frame
from failback.reverse_sync.netting import Netting
from failback.reverse_sync.pgoutput import (
    Changes,
    Decoder,
    Snapshot,
    lsn_number,
    lsn_text,
)
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.statements import statement

_FIELD_START = 6  # number of fields, length of the only one
_BUSY_SECONDS = 2.0

ARM_AGAIN = (
    "Run `failback arm` again: from then on changes are captured, and the next batch compares both "
    "sides by checksum and carries over what differs."
)
_PAUSE_SECONDS = 0.01


@dataclass(frozen=True)
class Slot:
    """A slot of this database that pgoutput writes, as its server tells it."""

    system_identifier: int
    exists: bool
    wal_status: str
    """`reserved`, `extended`, `unreserved` or `lost`; empty where there is no slot."""
    confirmed: int | None
    """Up to where it was advanced."""
    timeline: int = 0
    """Of the server now."""
    insert: int = 0
    """Where the server's log ends now."""
    witness: int = 0
    """How many batches the server knows to have been carried over from it."""


@dataclass(frozen=True)
class Horizon:
    """A snapshot of the sender, and a position that covers all that it sees."""

    snapshot: Snapshot
    lsn: int
    """Every commit that the snapshot sees lies before it."""
    flushed: bool
    """Whether the log is on disk, and so readable, up to `lsn`."""
    at: datetime
    """The sender's clock."""
    slot: Slot

    @property
    def backlog(self) -> int:
        """Bytes of the log that the slot has to tell."""
        return self.lsn - (self.slot.confirmed or 0)


def open_horizon(reader: Connection, position: StreamPosition, sender: str) -> Horizon:
    """Begin the sender's transaction of a batch; its snapshot is taken before the position.

    Args:
        reader: a session in autocommit mode with no transaction open.
        position: what the receiver holds; the slot has to fit it.
        sender: the side's name, for messages.

    Raises:
        SlotLostError: the slot is missing, invalid, was moved by somebody else, or belongs to
            another server.
    """
    horizon = unchecked_horizon(reader, position, sender)
    check_slot(horizon.slot, position, sender)
    return horizon


def unchecked_horizon(
    reader: Connection,
    position: StreamPosition,
    sender: str,
    before: Callable[[], None] = lambda: None,
) -> Horizon:
    """As `open_horizon`, whatever the slot is like.

    Args:
        reader: a session in autocommit mode with no transaction open.
        position: what the receiver holds.
        sender: the side's name, for messages.
        before: called in the transaction before its snapshot is taken, such as to lock tables.
    """
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    before()
    try:
        row = reader.execute(statement("horizon"), {"slot": position.slot}).fetchone()
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise standby(sender) from error
    if row is None:
        raise SlotLostError(f"The {sender} told nothing about itself.")
    snapshot, insert, flushed, at, *facts = row
    lsn = lsn_number(insert)
    return Horizon(Snapshot.parse(snapshot), lsn, lsn_number(flushed) >= lsn, at, _slot(facts))


def read_slot(connection: Connection, name: str) -> Slot:
    """The slot as it is now."""
    row = connection.execute(statement("slot"), {"slot": name}).fetchone()
    return _slot(row or (0, False, None, None, 0, "0/0", 0))


def _slot(facts: Sequence[Any]) -> Slot:
    system, exists, wal_status, confirmed, timeline, insert, witness = facts
    return Slot(
        system_identifier=system,
        exists=exists,
        wal_status=wal_status or "",
        confirmed=None if confirmed is None else lsn_number(confirmed),
        timeline=timeline,
        insert=lsn_number(insert),
        witness=witness,
    )


def standby(side: str) -> UnreachableError:
    """The error for a server that is in recovery, and so takes no writes and tells no position."""
    return UnreachableError(
        f"The {side} is in recovery: a standby, or a server that is being restored.",
        f"Connect to the primary; correct {side}.dsn where it moved.",
    )


def check_slot(slot: Slot, position: StreamPosition, sender: str) -> None:
    """Compare the slot with what the receiver holds.

    The slot never runs ahead of the receiver: it is advanced after the receiver's commit. A
    slot that is ahead was advanced or made anew by somebody else, and skipped changes.

    Raises:
        SlotLostError: changes may be missing, with why.
    """
    check_history(slot, position, sender)
    cure = ARM_AGAIN
    if not slot.exists or slot.confirmed is None:
        raise SlotLostError(f"The slot {position.slot} is gone from the {sender}.", cure)
    if slot.wal_status == "lost":
        raise SlotLostError(
            f"The {sender} has invalidated the slot {position.slot}: the log it needs is gone.",
            cure,
        )
    if slot.confirmed > position.lsn:
        raise SlotLostError(
            f"The slot {position.slot} stands at {lsn_text(slot.confirmed)}, behind which the "
            f"receiver's position {lsn_text(position.lsn)} lies: somebody else advanced it or "
            "made it anew.",
            cure,
        )


def check_history(server: Slot, position: StreamPosition, sender: str) -> None:
    """Whether the sender is the server that was armed, with the same history.

    Raises:
        SlotLostError: it is another one, or was failed over or restored: what the receiver holds
            may never have happened there, and what happened since may not have been captured.
    """
    if position.lost:
        raise SlotLostError(position.lost, ARM_AGAIN)
    if server.system_identifier != position.system_identifier:
        raise SlotLostError(
            f"The {sender} is another server than the one that was armed: its system identifier "
            f"is {server.system_identifier}, not {position.system_identifier}.",
            ARM_AGAIN,
        )
    if position.timeline is not None and server.timeline != position.timeline:
        raise SlotLostError(
            f"The {sender} was failed over or restored since it was armed: its timeline is "
            f"{server.timeline}, not {position.timeline}.",
            ARM_AGAIN,
        )
    if server.insert < position.lsn:
        raise SlotLostError(
            f"The {sender} was restored to an earlier state: its log ends at "
            f"{lsn_text(server.insert)}, before the position {lsn_text(position.lsn)} that the "
            "receiver holds.",
            ARM_AGAIN,
        )
    if server.witness < position.acknowledged:
        raise SlotLostError(
            f"The {sender} was restored to an earlier state: it has counted {server.witness} "
            f"batches, and the receiver knows of {position.acknowledged}.",
            ARM_AGAIN,
        )


def witness(helper: Connection, batch: int) -> None:
    """Have the sender count a batch, before the receiver commits it.

    Args:
        helper: a session in autocommit mode on the sender.
        batch: the receiver's number of the batch.
    """
    with helper.transaction():
        helper.execute("SET LOCAL synchronous_commit = on")
        helper.execute("SELECT setval('failback.witness', %s)", [batch])


def count(helper: Connection) -> int:
    """As `witness`, with the next number of the sender's own, for one of several at work."""
    with helper.transaction():
        helper.execute("SET LOCAL synchronous_commit = on")
        row = helper.execute("SELECT nextval('failback.witness')").fetchone()
    return row[0] if row else 0


def flush(helper: Connection) -> None:
    """Bring the sender's log to disk up to here, with a tiny transaction."""
    with helper.transaction():
        helper.execute("SET LOCAL synchronous_commit = on")
        helper.execute("SELECT pg_logical_emit_message(true, 'failback_flush', '')")


def peek(
    helper: Connection,
    *,
    slot: str,
    publication: str,
    upto: int,
    limit: int | None,
    binary: bool,
    decoder: Decoder,
) -> Changes:
    """Read the slot up to a position, without moving it.

    Args:
        helper: a session in autocommit mode on the side that has the slot.
        slot: the slot's name.
        publication: the publication's name.
        upto: transactions that committed before this position are complete.
        limit: stop at the first commit after so many messages; None reads all.
        binary: whether values are asked for in binary form.
        decoder: takes the messages; a `Netting` has the server put equal or like ones together.

    Raises:
        SlotBusyError: another session reads the slot, and goes on doing so.
        SlotLostError: the server refuses to read it any more.
    """
    query = sql.SQL(statement(decoder.form)).format(
        slot=sql.Literal(slot),
        upto=sql.Literal(lsn_text(upto)),
        limit=sql.Literal(limit),
        publication=sql.Literal(publication),
        binary=sql.Literal("true" if binary else "false"),
    )
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            rows = without_frame(copied_out(helper, query))
            return decoder.consume(rows if isinstance(decoder, Netting) else _messages(rows))
        except psycopg.errors.ObjectInUse as error:
            _wait_or_give_up(slot, deadline, error)
        except psycopg.errors.UndefinedObject as error:
            raise SlotLostError(f"The slot {slot} cannot be read: {error}.") from error
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            raise SlotLostError(
                f"The slot {slot} cannot be read any more: {error.diag.message_primary}.",
                ARM_AGAIN,
            ) from error


def advancing(slot: str, lsn: int) -> sql.Composed:
    """The statement that lets the server forget what lies before a position.

    The function refuses to go back, and to go beyond what is on disk.
    """
    return sql.SQL(statement("advance")).format(
        slot=sql.Literal(slot), lsn=sql.Literal(lsn_text(lsn))
    )


def advance(helper: Connection, slot: str, lsn: int) -> None:
    """Let the server forget what lies before a position. Never moves back.

    Raises:
        SlotBusyError: another session reads the slot, and goes on doing so.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            helper.execute(advancing(slot, lsn))
        except psycopg.errors.ObjectInUse as error:
            _wait_or_give_up(slot, deadline, error)
        else:
            return


def _messages(rows: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    """The only field of each row."""
    for block in rows:
        yield [row[_FIELD_START:] for row in block]


def _wait_or_give_up(slot: str, deadline: float, error: psycopg.Error) -> None:
    """A killed consumer's session may linger for a moment."""
    if time.monotonic() >= deadline:
        raise SlotBusyError(
            f"The slot {slot} is being read by another session: {error.diag.message_primary}.",
            "It goes on by itself when that session ends.",
        ) from error
    time.sleep(_PAUSE_SECONDS)
