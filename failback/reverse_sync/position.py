"""How far a stream has been applied: what the receiver holds, committed with the data.

Changes when something else has to be remembered between two batches.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from psycopg import sql

from failback.errors import NotArmedError, SchemaDriftError, SlotBusyError, SlotLostError
from failback.reverse_sync import sharing
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.pgoutput import lsn_number, lsn_text
from failback.reverse_sync.statements import statement

# Advisory locks are pairs of 32-bit numbers: "fail" in ASCII, and which agreement it is.
_SPACE = sharing.SPACE
_CONSUMER, _PRIORITY, _ARMING = 1, 2, 3
_PAUSE_SECONDS = 0.005
_MARK_SECONDS = 5.0


@dataclass(frozen=True)
class StreamPosition:
    """A stream's row on the receiver, with the receiver's log position of the same moment."""

    slot: str
    system_identifier: int
    """Of the sender; another server under the same name is another history."""
    lsn: int
    batch: int
    updated_at: datetime
    receiver_slot: str
    receiver_lsn: int | None
    """Where the receiver began to take writes again; None while it does not."""
    receiver_now: int
    copy_whole: frozenset[str]
    """Tables to be copied whole by the next batch."""
    tables: str
    """A digest of the names of the armed tables."""
    capture: str = "slot"
    """How the sender's changes are captured: `slot`, `changelog` or `diff`."""
    receiver_capture: str = "slot"
    """How the receiver's own changes are found: `slot`, `changelog` or `none`."""
    timeline: int | None = None
    """Of the sender; a failover or a restore begins another one."""
    applied: str | None = None
    """The changelog's rows that this snapshot sees have been applied."""
    acknowledged: int = 0
    """A batch that the sender's own count is known to have reached."""
    lost: str = ""
    """Why changes may be missing, until capture begins anew; empty while none are."""
    unproven: Mapping[str, str] = field(default_factory=dict)
    """Tables that may differ by more than what is captured, with why."""
    stopped: Mapping[str, str] = field(default_factory=dict)
    """Tables that batches leave out for now, with why."""
    uncaptured: Mapping[str, str] = field(default_factory=dict)
    """Tables of which no change can be captured, with why: they are compared again and again."""
    proved_fenced: bool = False
    """Both sides were compared and made equal while the sender was fenced."""
    proved_raising: int | None = None
    """Which raising of the fence it was; None where the sender does not count them."""
    catch_up: bool = False
    """Whether a catch-up is open. Who takes the stream takes it away."""


def read(connection: Connection, direction: Direction) -> StreamPosition:
    """The stream's position.

    Raises:
        NotArmedError: there is none.
        SchemaDriftError: an earlier version armed it, and kept less.
    """
    try:
        row = connection.execute(statement("position_read"), {"stream": direction.name}).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        row = None
    except psycopg.errors.UndefinedColumn as error:
        raise SchemaDriftError(
            f"An earlier version of failback armed the {direction.receiver.value}, and keeps less "
            "there than this one needs.",
            "Run `failback arm` once with this version; nothing is lost, and the position stays.",
        ) from error
    if row is None:
        raise NotArmedError(
            f"Nothing is armed: the {direction.receiver.value} holds no position of the stream "
            f"{direction.name}.",
            "Run `failback arm` first.",
        )
    return StreamPosition(
        slot=row[0],
        system_identifier=row[1],
        lsn=lsn_number(row[2]),
        batch=row[3],
        updated_at=row[4],
        receiver_slot=row[5],
        receiver_lsn=None if row[6] is None else lsn_number(row[6]),
        receiver_now=lsn_number(row[7]),
        copy_whole=frozenset(row[8]),
        tables=row[9],
        capture=row[10],
        receiver_capture=row[11],
        timeline=row[12],
        applied=row[13],
        acknowledged=row[14],
        unproven=row[15],
        proved_fenced=row[16],
        stopped=row[17],
        uncaptured=row[18],
        lost=row[19],
        proved_raising=row[20],
        catch_up=row[21],
    )


def armed_names(connection: Connection, direction: Direction) -> tuple[str, ...]:
    """The tables whose history is known, as `schema.table`."""
    rows = connection.execute(
        "SELECT name FROM failback.stream_table WHERE stream = %s ORDER BY name", [direction.name]
    )
    return tuple(name for (name,) in rows.fetchall())


def write(
    connection: Connection,
    direction: Direction,
    lsn: int,
    *,
    changes: int = 0,
    keys: int = 0,
    applied: str | None = None,
    acknowledged: int | None = None,
    proved_fenced: bool = False,
    proved_raising: int | None = None,
) -> None:
    """Move the position forward, in the transaction that applies what lies before it.

    Args:
        connection: in that transaction, on the receiver.
        direction: the stream's.
        lsn: the new position.
        changes: captured changes that were applied, to be added up.
        keys: distinct keys of them.
        applied: the snapshot whose changelog rows have been applied; None leaves it.
        acknowledged: the batch that the sender has counted; None leaves it.
        proved_fenced: both sides were compared and made equal while the sender was fenced, and
            nothing was captured since.
        proved_raising: which raising of the fence that was.

    Raises:
        SlotLostError: the receiver holds a later position already.
    """
    moved = connection.execute(
        statement("position_write"),
        {
            "stream": direction.name,
            "lsn": lsn_text(lsn),
            "changes": changes,
            "keys": keys,
            "applied": applied,
            "acknowledged": acknowledged,
            "proved_fenced": proved_fenced,
            "proved_raising": proved_raising,
        },
    )
    if moved.rowcount != 1:
        raise SlotLostError(
            f"The position of {direction.name} would go back to {lsn_text(lsn)}.",
            "Two consumers used the stream at once; verify both sides before you go on.",
        )


def lose(connection: Connection, direction: Direction, cause: str) -> None:
    """Changes may be missing, and that stays so until capture begins anew.

    What shows it may pass by itself: a restored sender's log grows beyond the position again.

    Args:
        connection: a session in autocommit mode on the receiver.
        direction: the stream's.
        cause: why, as a sentence.
    """
    connection.execute(
        "UPDATE failback.stream SET lost = %s WHERE name = %s AND lost = ''",
        [cause, direction.name],
    )


def mark_writable(connection: Connection, direction: Direction) -> None:
    """The receiver is about to take writes: its own changes count from here.

    Called while it is still fenced. Waits for the batch at work, which does not look for the
    receiver's own changes; later ones do. A mark that is there already stays. Where nothing is
    armed there is nothing to mark.

    Args:
        connection: a session in autocommit mode on the receiver.
        direction: the stream's.

    Raises:
        SlotBusyError: the batch at work does not end.
    """
    try:
        read(connection, direction)
    except NotArmedError:
        return
    prefer(connection, _MARK_SECONDS)
    try:
        with connection.transaction():
            take_over(connection, wait_seconds=_MARK_SECONDS)
            connection.execute(statement("position_writable"), {"stream": direction.name})
    finally:
        if not connection.closed:
            unprefer(connection)


def mark_receiving(connection: Connection, direction: Direction) -> None:
    """The receiver takes no writes of its own any more."""
    try:
        read(connection, direction)
    except NotArmedError:
        return
    connection.execute(
        "UPDATE failback.stream SET receiver_lsn = NULL, proved_fenced = false WHERE name = %s",
        [direction.name],
    )


def take(connection: Connection, *, wait_seconds: float = 0.0, priority: bool = False) -> bool:
    """Become the stream's only consumer until the transaction ends.

    A consumer with priority announces itself first, with `prefer`, and then waits; one without
    stands aside at once.

    Returns:
        False when this consumer has no priority, and another one is waiting or at work.

    Raises:
        SlotBusyError: another consumer kept the stream for longer than `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        row = connection.execute(
            statement("position_take"),
            {"priority": priority, "space": _SPACE, "urgent": _PRIORITY, "consumer": _CONSUMER},
        ).fetchone()
        if row is not None and row[0]:
            return True
        if not priority:
            return False
        if time.monotonic() >= deadline:
            raise _busy(wait_seconds)
        time.sleep(_PAUSE_SECONDS)


def take_over(connection: Connection, *, wait_seconds: float) -> None:
    """As `take` with priority, from an open catch-up as well: no share is at work afterwards.

    A batch does the same in two steps, because the position that it reads anyway tells whether
    there is a catch-up.

    Raises:
        SlotBusyError: another consumer kept the stream, or a share does not end.
    """
    take(connection, wait_seconds=wait_seconds, priority=True)
    sharing.void(connection, patient=True)


def prefer(connection: Connection, wait_seconds: float) -> None:
    """Announce a consumer with priority, until `unprefer` or the session's end.

    Waits for the batch that is at work; while it waits no new one begins.

    Args:
        connection: a session in autocommit mode on the receiver.
        wait_seconds: after so long it is an error.

    Raises:
        SlotBusyError: another consumer kept the stream for longer.
    """
    try:
        with connection.transaction():
            connection.execute(
                sql.SQL("SET LOCAL lock_timeout = {}").format(
                    sql.Literal(max(1, round(wait_seconds * 1000)))
                )
            )
            connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", [_SPACE, _PRIORITY])
    except psycopg.errors.LockNotAvailable as error:
        raise _busy(wait_seconds) from error


def unprefer(connection: Connection) -> None:
    """Take the announcement back."""
    connection.execute("SELECT pg_advisory_unlock_shared(%s, %s)", [_SPACE, _PRIORITY])


def is_preferred(connection: Connection) -> bool:
    """Whether a consumer with priority has announced itself."""
    row = connection.execute(
        "SELECT pg_try_advisory_xact_lock(%s, %s)", [_SPACE, _PRIORITY]
    ).fetchone()
    return row is None or not row[0]


def awaited(connection: Connection) -> bool:
    """Whether a consumer with priority has announced itself, or is about to.

    As `is_preferred`, without taking a lock that others would meet.
    """
    row = connection.execute(
        statement("advisory_holders"),
        {"space": _SPACE, "number": _PRIORITY, "mode": "ShareLock"},
    ).fetchone()
    return row is not None


def _busy(seconds: float) -> SlotBusyError:
    return SlotBusyError(
        f"Another consumer has held the stream for {seconds:.1f} s.",
        "It goes on by itself when that one has committed its batch.",
    )


def take_arming(connection: Connection) -> None:
    """Become the only one who arms or disarms, until the session ends.

    Raises:
        SlotBusyError: somebody else is at it.
    """
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", [_SPACE, _ARMING]).fetchone()
    if row is None or not row[0]:
        raise SlotBusyError(
            "Another failback is arming or disarming this database right now.",
            "Wait until it has finished, then look at `failback sync status`.",
        )
