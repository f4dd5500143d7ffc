"""The ledger: which chunks both sides are known to agree on, kept where batches commit.

Changes when something else has to be known about a chunk. A chunk is clean while nothing that may
have changed it was committed on the receiver since both sides' digests agreed on it:

- a batch marks the chunks of its keys in the transaction that applies them;
- what somebody else changed on the receiver is found in the receiver's own log (`watch`);
- what the sender has committed and no batch has applied is found in the sender's log.

A comparison reads the marks in the snapshot that it compares. What it finds equal is recorded with
those marks, so that a mark that was set meanwhile keeps the chunk from being taken for clean.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString

from psycopg import sql

from failback.reverse_sync.catalogue import Table
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.cuts import Cut
from failback.reverse_sync.digests import Digest, Key, sortable
from failback.reverse_sync.pgoutput import lsn_text
from failback.reverse_sync.statements import statement

CHUNK_BYTES = 512 * 1024
"""Of a ledger's chunk: a few thousand rows, hashed in about 10 ms."""


@dataclass(frozen=True)
class LedgerTable:
    """One table as the ledger has it."""

    name: str
    identity: str
    marks: int
    """Transactions on the receiver that may have changed it, as they were counted."""
    cut: Cut
    clean: int
    """Chunks that are known to be equal."""
    digest: Digest
    """What the clean chunks add up to, on either side."""
    oldest: datetime | None
    """When the clean chunk that was looked at longest ago was."""
    dirty: Mapping[int, int] = field(default_factory=dict)
    """The other chunks, each with its marks."""


@dataclass(frozen=True)
class Agreed:
    """A chunk that both sides agreed on."""

    chunk: int
    marks: int
    digest: Digest


def install(connection: Connection) -> None:
    """Make the ledger's tables. Idempotent; the schema is there already."""
    connection.execute(statement("ledger"))


def is_installed(connection: Connection) -> bool:
    """Whether this side has a ledger."""
    row = connection.execute("SELECT to_regclass('failback.ledger_rule') IS NOT NULL").fetchone()
    return bool(row and row[0])


def read(
    connection: Connection, stream: str, *, cold: bool = False, doubted: Iterable[str] = ()
) -> dict[str, LedgerTable]:
    """The ledger of a stream by table, as the session's snapshot has it.

    Args:
        connection: a session on the receiver.
        stream: the stream's name.
        cold: take no chunk for clean.
        doubted: tables of which no chunk is taken for clean.
    """
    parameters = {"stream": stream, "cold": cold, "doubted": list(doubted)}
    rows = connection.execute(statement("ledger_read"), parameters)
    return {
        row[0]: LedgerTable(
            name=row[0],
            identity=row[1],
            marks=row[2],
            cut=Cut(tuple(zip(*row[3], strict=True))),
            clean=row[4],
            digest=Digest(row[5], int(row[6]), int(row[7])),
            oldest=row[8],
            dirty=dict(zip(row[9], row[10], strict=True)),
        )
        for row in rows.fetchall()
    }


def marked_since(
    connection: Connection, stream: str, since: Mapping[str, int]
) -> dict[str, dict[int, int]]:
    """By table, the chunks that were marked since it had so many marks, each with its marks."""
    found: dict[str, dict[int, int]] = {name: {} for name in since}
    rows = connection.execute(
        statement("ledger_marked_since"),
        {"stream": stream, "names": list(since), "marks": list(since.values())},
    )
    for name, chunk, marks in rows.fetchall():
        found[name][chunk] = marks
    return found


def clean_chunks(
    connection: Connection, stream: str, name: str, chunks: Iterable[int]
) -> dict[int, Agreed]:
    """Those of some chunks that are clean, with what the ledger says about each."""
    rows = connection.execute(
        statement("ledger_chunks"), {"stream": stream, "name": name, "chunks": list(chunks)}
    )
    return {
        row[0]: Agreed(row[0], row[1], Digest(row[2], int(row[3]), int(row[4])))
        for row in rows.fetchall()
    }


def oldest(
    connection: Connection, stream: str, age_seconds: float, *, limit: int = 1000
) -> tuple[tuple[str, int, int], ...]:
    """Clean chunks as (table, chunk, marks), not looked at for so long; the oldest first."""
    rows = connection.execute(
        "SELECT name, chunk, marks FROM failback.ledger"
        " WHERE stream = %s AND verified_marks = marks"
        " AND verified_at < clock_timestamp() - make_interval(secs => %s)"
        " ORDER BY verified_at, name, chunk LIMIT %s",
        [stream, age_seconds, limit],
    )
    return tuple(rows.fetchall())


def cut(connection: Connection, stream: str, name: str, identity: str, parts: Cut) -> None:
    """Part a table anew. The caller is the stream's only consumer, inside a transaction."""
    bounds = [list(column) for column in zip(*parts.bounds, strict=True)]
    connection.execute(
        statement("ledger_cut"),
        {"stream": stream, "name": name, "identity": identity, "bounds": bounds},
    )
    # Marks go on from those of the table, so that none of an older cut is taken for one of these.
    connection.execute(
        "INSERT INTO failback.ledger (stream, name, chunk, marks)"
        " SELECT stream, name, generate_series(0, %s), marks FROM failback.ledger_table"
        " WHERE stream = %s AND name = %s",
        [parts.count - 1, stream, name],
    )


def record(
    connection: Connection,
    stream: str,
    table: LedgerTable,
    agreed: Sequence[Agreed],
    lsn: int,
) -> None:
    """Remember that both sides agreed on some chunks of a table.

    Args:
        connection: a session in autocommit mode on the receiver.
        stream: the stream's name.
        table: as it was in the snapshot that was compared.
        agreed: the chunks, with the marks of that snapshot.
        lsn: the receiver's position in that snapshot.
    """
    connection.execute(
        statement("ledger_record"),
        {
            "stream": stream,
            "name": table.name,
            "identity": table.identity,
            "lsn": lsn_text(lsn),
            "chunks": [each.chunk for each in agreed],
            "marks": [each.marks for each in agreed],
            "rows": [each.digest.rows for each in agreed],
            "first": [str(each.digest.first) for each in agreed],
            "second": [str(each.digest.second) for each in agreed],
        },
    )


def mark(
    connection: Connection, stream: str, table: Table, key: Sequence[str], keys: sql.Identifier
) -> None:
    """Some rows of a table are changed by the transaction at work.

    Args:
        connection: the session whose transaction changes them.
        stream: the stream's name.
        table: as this side has it.
        key: the columns that identify a row.
        keys: a table of the session with the changed keys.
    """
    connection.execute(
        sql.SQL(statement("ledger_mark")).format(
            stream=sql.Literal(stream),
            name=sql.Literal(table.qualified),
            place=_place(table, key),
            keys=keys,
        )
    )


def mark_whole(connection: Connection, stream: str, names: Sequence[str]) -> None:
    """Any row of some tables may be changed by the transaction at work."""
    if names:
        connection.execute(
            statement("ledger_mark_whole"), {"stream": stream, "names": sorted(names)}
        )


def mark_chunks(connection: Connection, stream: str, name: str, chunks: Iterable[int]) -> None:
    """Some chunks of a table may be changed by the transaction at work."""
    parameters = {"stream": stream, "name": name, "chunks": sorted(chunks)}
    connection.execute(statement("ledger_mark_chunks"), parameters)


def touched(
    connection: Connection, stream: str, table: Table, keys: Sequence[Key]
) -> frozenset[int]:
    """The chunks that some keys of a table are in."""
    if not keys:
        return frozenset()
    columns = table.key_columns
    given = [sql.Identifier(f"g{place}") for place, _ in enumerate(columns)]
    comma = sql.SQL(", ")
    rows = connection.execute(
        sql.SQL(statement("ledger_touched")).format(
            place=_place(table, table.key),
            casts=comma.join(
                _cast(name, c.type_name) for name, c in zip(given, columns, strict=True)
            ),
            arrays=comma.join([sql.SQL("%s::text[]")] * len(columns)),
            given=comma.join(given),
            columns=comma.join(column.identifier for column in columns),
            stream=sql.Literal(stream),
            name=sql.Literal(table.qualified),
        ),
        [list(values) for values in zip(*keys, strict=True)],
    )
    return frozenset(row[0] for row in rows.fetchall())


def rules(connection: Connection, stream: str) -> dict[str, str]:
    """Foreign keys that held, each with the marks that its tables had then."""
    rows = connection.execute(
        "SELECT name, state FROM failback.ledger_rule WHERE stream = %s", [stream]
    )
    return dict(rows.fetchall())


def record_rules(connection: Connection, stream: str, held: Mapping[str, str]) -> None:
    """Remember that foreign keys held while their tables had these marks."""
    if held:
        connection.execute(
            "INSERT INTO failback.ledger_rule (stream, name, state)"
            " SELECT %s, * FROM unnest(%s::text[], %s::text[])"
            " ON CONFLICT (stream, name) DO UPDATE SET state = excluded.state,"
            " verified_at = clock_timestamp()",
            [stream, list(held), list(held.values())],
        )


class Marks:
    """Marks what a batch changes, where there is a ledger.

    Args:
        connection: the session that batches are applied with.
        stream: the stream's name.
    """

    def __init__(self, connection: Connection, stream: str) -> None:
        self._connection = connection
        self._stream = stream
        self._kept = is_installed(connection)

    def keys(self, table: Table, key: Sequence[str], keys: sql.Identifier) -> None:
        """See `mark`."""
        if self._kept:
            mark(self._connection, self._stream, table, key, keys)

    def whole(self, names: Sequence[str]) -> None:
        """See `mark_whole`."""
        if self._kept:
            mark_whole(self._connection, self._stream, names)


def _place(table: Table, key: Sequence[str]) -> sql.Composed:
    """The number of the chunk that a key `k` is in, by the bounds of `marked`."""
    columns = [table.column(name) for name in key]
    comma = sql.SQL(", ")
    values = [sql.Identifier(f"b{place}") for place, _ in enumerate(columns)]
    casts = [sortable(c, _cast(v, c.type_name)) for v, c in zip(values, columns, strict=True)]
    keys = [sortable(column, sql.Identifier("k", column.name)) for column in columns]
    # There is no bucket of an array, and one of a row that holds it.
    one = len(columns) == 1 and not columns[0].is_array
    return sql.SQL(
        "width_bucket({}, (SELECT array_agg({} ORDER BY n) FROM marked AS m"
        " CROSS JOIN unnest({}) WITH ORDINALITY AS u ({}, n)))"
    ).format(
        keys[0] if one else sql.SQL("ROW({})").format(comma.join(keys)),
        casts[0] if one else sql.SQL("ROW({})").format(comma.join(casts)),
        comma.join(
            sql.SQL("m.bounds[{0}:{0}]").format(sql.Literal(place + 1))
            for place, _ in enumerate(columns)
        ),
        comma.join(values),
    )


def _cast(value: sql.Composable, type_name: str) -> sql.Composed:
    written: LiteralString = type_name
    return sql.SQL("{}::{}").format(value, sql.SQL(written))
