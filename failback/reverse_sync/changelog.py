"""The changelog: keys that triggers wrote down on the sender, read in the batch's snapshot.

Changes when the changelog is read or shortened in another way. What is applied is exactly what
the snapshot sees of it, so rows and keys are of one moment. What has been applied is told by a
snapshot as well, which the receiver keeps with the data: a row that commits late is not in it,
however small its number, and comes with the next batch.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from failback.errors import SlotLostError
from failback.reverse_sync.capture import ARM_AGAIN
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.copying import copied_out, without_frame
from failback.reverse_sync.key_set import KeySet
from failback.reverse_sync.pgoutput import Changes, Keys, Relation, Snapshot
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.statements import statement
from failback.reverse_sync.tail import Tail

NAME = "changelog"
NOTHING = "1:1:"
"""A snapshot that sees no row of the changelog."""

_COUNT = struct.Struct("!h")
_LENGTH = struct.Struct("!i")


@dataclass(frozen=True)
class Found:
    """What a snapshot sees of the changelog and the receiver has not applied."""

    changes: Changes
    cut: bool
    """Whether there is more."""
    applied: str
    """What will have been applied with it, as a snapshot."""
    logs: tuple[str, ...]
    """Tables of the changelog with rows that can be taken out afterwards."""


@dataclass(frozen=True)
class _Log:
    """One table's share of the changelog."""

    table: int
    """The oid of the table whose keys they are."""
    log: str
    """The changelog's table, without its schema."""
    rows: int
    """Rows that are to be applied."""
    whole: bool
    """Whether all of the table may have changed."""


def check(connection: Connection, held: StreamPosition, snapshot: Snapshot, sender: str) -> None:
    """Whether the changelog is the one that the receiver knows, with all it had.

    Raises:
        SlotLostError: it is gone, or older than what the receiver has applied already.
    """
    row = connection.execute("SELECT to_regclass('failback.changelog') IS NULL").fetchone()
    if row is None or row[0]:
        raise SlotLostError(f"The changelog is gone from the {sender}.", ARM_AGAIN)
    applied = Snapshot.parse(held.applied or NOTHING)
    if snapshot.xmax < applied.xmax:
        raise SlotLostError(
            f"The {sender} was restored to an earlier state: its transactions end at "
            f"{snapshot.xmax}, and the receiver has applied some up to {applied.xmax}.",
            ARM_AGAIN,
        )


def read(
    connection: Connection,
    applied: str | None,
    snapshot: Snapshot,
    relations: Mapping[int, Relation],
    *,
    limit: int | None,
    binary: bool,
) -> Found:
    """The distinct keys that the snapshot sees, without those that are applied.

    Args:
        connection: in the batch's transaction on the side that has the changelog.
        applied: what the receiver has applied, as a snapshot.
        snapshot: that transaction's.
        relations: the armed tables by oid, each with its key as columns; keys of others are let
            go.
        limit: whole transactions of about so many rows are read; None reads all.
        binary: whether keys are wanted in binary form.
    """
    known = applied or NOTHING
    upto = _cut(connection, known, snapshot, limit)
    logs = _logs(connection, known, upto)
    changes = Changes()
    for log in logs:
        relation = relations.get(log.table)
        if relation is None or not log.rows:
            continue
        changes.changes += log.rows
        if log.whole:
            changes.truncated[log.table] = None
        else:
            changes.keys.append(_keys(connection, relation, log, (known, upto), binary=binary))
    state = connection.execute(
        statement("changelog_oldest"), {"applied": known, "upto": upto}
    ).fetchone()
    changes.oldest = state[0] if state else None
    return Found(
        changes,
        cut=upto < snapshot.xmax,
        applied=_text(snapshot, upto),
        logs=tuple(dict.fromkeys(log.log for log in logs)),
    )


def forget(connection: Connection, logs: tuple[str, ...], applied: str) -> None:
    """Take out the rows that the receiver has applied.

    Args:
        connection: a session in autocommit mode on the side that has the changelog.
        logs: the changelog's tables that have such rows.
        applied: exactly the rows that this snapshot sees are taken out.
    """
    with connection.transaction():
        for log in logs:
            connection.execute(
                sql.SQL(
                    "DELETE FROM ONLY failback.{}"
                    " WHERE pg_visible_in_snapshot(xid, %s::pg_snapshot)"
                ).format(sql.Identifier(log)),
                [applied],
            )


def look(connection: Connection, applied: str | None) -> Tail:
    """Whether the changelog has rows that are not applied."""
    row = connection.execute(
        statement("changelog_tail"), {"applied": applied or NOTHING}
    ).fetchone()
    if row is None:
        raise psycopg.InternalError("The server told no time.")
    pending, oldest, now, end = row
    return Tail(pending, oldest, now, int(end))


def size(connection: Connection) -> int:
    """Bytes that the changelog takes."""
    row = connection.execute(statement("changelog_size")).fetchone()
    return row[0] if row else 0


def _cut(connection: Connection, known: str, snapshot: Snapshot, limit: int | None) -> int:
    """Transactions below this number are read: all that the snapshot sees, or a share of them.

    A share always reaches as far as what is applied already, so that one snapshot tells what
    has been applied.
    """
    if limit is None:
        return snapshot.xmax
    row = connection.execute(
        statement("changelog_cut"), {"applied": known, "limit": limit}
    ).fetchone()
    if row is None:
        return snapshot.xmax
    return min(snapshot.xmax, max(int(row[0]) + 1, Snapshot.parse(known).xmax))


def _logs(connection: Connection, known: str, upto: int) -> list[_Log]:
    """The tables of the changelog that have rows; those that are applied already count as none."""
    rows = connection.execute(statement("changelog_logs"), {"applied": known, "upto": upto})
    return [_Log(*row) for row in rows.fetchall()]


def _keys(
    connection: Connection,
    relation: Relation,
    log: _Log,
    between: tuple[str, int],
    *,
    binary: bool,
) -> Keys:
    """One table's distinct keys."""
    cast = sql.SQL("" if binary else "::text")
    columns = sql.SQL(", ").join(
        sql.SQL("{}{}").format(sql.Identifier(name), cast) for name in relation.columns
    )
    query = sql.SQL(statement("changelog_keys")).format(
        columns=columns,
        log=sql.Identifier(log.log),
        applied=sql.Literal(between[0]),
        upto=sql.Literal(str(between[1])),
    )
    kind = b"b" if binary else b"t"
    values = KeySet()
    for block in without_frame(copied_out(connection, query)):
        values.update(_key(row, kind) for row in block)
        values.bound()
    return Keys(relation, relation.columns, values)


def _key(row: bytes, kind: bytes) -> bytes:
    """One row of a binary COPY as a stream would write its values."""
    (count,) = _COUNT.unpack_from(row)
    if count == 1:
        return kind + row[_COUNT.size :]
    return b"".join(kind + value for value in _fields(row, _COUNT.size, count))


def _fields(row: bytes, offset: int, count: int) -> Iterator[bytes]:
    """Each value with its length before it."""
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(row, offset)
        end = offset + _LENGTH.size + length
        yield row[offset:end]
        offset = end


def _text(snapshot: Snapshot, upto: int) -> str:
    """A snapshot that sees what this one sees of the transactions below a number."""
    running = sorted(number for number in snapshot.running if number < upto)
    return f"{min(snapshot.xmin, upto)}:{upto}:{','.join(map(str, running))}"
