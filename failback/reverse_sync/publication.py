"""What is published of each table: its key and no more, wherever that is enough.

Changes when a table needs another replica identity, or another share of it is published.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from failback.errors import TableRefusedError
from failback.reverse_sync.catalogue import Partition, Table
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.statements import statement

_FULL, _NOTHING, _DEFAULT = "f", "n", "d"
_LOCK_TIMEOUT_MS = 200
_ATTEMPTS = 50
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Member:
    """One table of a publication."""

    identifier: sql.Identifier
    columns: tuple[str, ...]
    """The published columns; empty publishes all of them."""

    def clause(self) -> sql.Composed:
        """As CREATE and ALTER PUBLICATION take it."""
        if not self.columns:
            return sql.SQL("ONLY {}").format(self.identifier)
        return sql.SQL("ONLY {} ({})").format(
            self.identifier, sql.SQL(", ").join(map(sql.Identifier, self.columns))
        )


def members(tables: Iterable[Table]) -> tuple[Member, ...]:
    """What to publish of the tables.

    Where a replica identity is FULL the server wants every column published. A partitioned
    table is published whole, so that partitions made later are published from their first
    row, and each present partition by its key; `publish_via_partition_root` would publish the
    key alone, but leave out the TRUNCATE of a single partition.
    """
    found = []
    for table in tables:
        if table.kind != "p":
            columns = () if table.replica_identity == _FULL else table.key
            found.append(Member(table.identifier, columns))
            continue
        found.append(Member(table.identifier, ()))
        found.extend(
            Member(leaf.identifier, () if leaf.replica_identity == _FULL else table.key)
            for leaf in table.leaves
        )
    return tuple(found)


def publish(connection: Connection, name: str, wanted: Sequence[Member]) -> None:
    """Make the publication hold exactly these members. Idempotent.

    The publication keeps existing while members change, so that the slot never reads a
    stretch of the log without it.
    """
    clauses = sql.SQL(", ").join(member.clause() for member in wanted)
    exists = connection.execute("SELECT FROM pg_publication WHERE pubname = %s", [name]).fetchone()
    verb = (
        "ALTER PUBLICATION {} SET TABLE {}"
        if exists is not None
        else "CREATE PUBLICATION {} FOR TABLE {}"
    )
    connection.execute(sql.SQL(verb).format(sql.Identifier(name), clauses))


def published(connection: Connection, name: str) -> frozenset[str]:
    """The tables of the publication as `schema.table`; a table that was made anew is none."""
    rows = connection.execute(statement("published"), {"publication": name})
    return frozenset(table for (table,) in rows.fetchall())


def unpublish(connection: Connection, name: str) -> bool:
    """Drop the publication; returns whether there was one."""
    exists = connection.execute("SELECT FROM pg_publication WHERE pubname = %s", [name]).fetchone()
    connection.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(name)))
    return exists is not None


def identify(connection: Connection, tables: Iterable[Table]) -> tuple[str, ...]:
    """Give tables a replica identity where updates would fail without; returns which.

    What an identity was is written down in the same transaction, for `restore`.
    """
    changed = []
    for table in tables:
        by_key = table.key_source == "primary key"
        if not table.key and table.kind == "r":
            if table.replica_identity != _FULL:
                _identify(connection, table, sql.SQL("FULL"))
                changed.append(table.qualified)
            continue
        if table.replica_identity == _NOTHING or (
            table.replica_identity == _DEFAULT and not by_key
        ):
            wanted = (
                sql.SQL("DEFAULT")
                if by_key
                else sql.SQL("USING INDEX {}").format(sql.Identifier(table.key_index))
            )
            _identify(connection, table, wanted)
            changed.append(table.qualified)
        for leaf in table.leaves:
            if leaf.replica_identity == _NOTHING:
                _identify(connection, leaf, sql.SQL("DEFAULT"))
                changed.append(leaf.qualified)
    return tuple(changed)


def restore(connection: Connection) -> tuple[str, ...]:
    """Give back the replica identities that `identify` changed; returns which. Idempotent."""
    rows = connection.execute(statement("identities")).fetchall()
    for undone, schema, name, was in rows:
        forget = (
            "DELETE FROM failback.undo WHERE kind = 'replica identity' AND object = %s",
            [undone],
        )
        if schema is None:  # the table was dropped meanwhile
            connection.execute(*forget)
            continue
        back = sql.SQL("ALTER TABLE {} REPLICA IDENTITY {}").format(
            sql.Identifier(schema, name), sql.SQL("NOTHING" if was == _NOTHING else "DEFAULT")
        )
        _patiently(connection, undone, [(back, []), forget])
    return tuple(row[0] for row in rows)


def _identify(connection: Connection, table: Table | Partition, wanted: sql.Composable) -> None:
    remember = (
        statement("undo_record"),
        ["replica identity", table.identifier.as_string(), table.replica_identity],
    )
    change = sql.SQL("ALTER TABLE {} REPLICA IDENTITY {}").format(table.identifier, wanted)
    _patiently(connection, table.qualified, [remember, (change, [])])


def _patiently(
    connection: Connection,
    table: str,
    steps: Sequence[tuple[LiteralString | sql.Composed, list[str]]],
) -> None:
    """Run the steps in one transaction; never queue writers behind a lock for long."""
    for _ in range(_ATTEMPTS):
        try:
            with connection.transaction():
                connection.execute(
                    sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(_LOCK_TIMEOUT_MS))
                )
                for query, parameters in steps:
                    connection.execute(query, parameters)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            time.sleep(_PAUSE_SECONDS)
        else:
            return
    raise TableRefusedError(
        f"The replica identity of {table} cannot be changed: the table has been locked for "
        f"{_ATTEMPTS * (_LOCK_TIMEOUT_MS / 1000 + _PAUSE_SECONDS):.0f} s.",
        "Let the transaction that locks it end, then run the same command again.",
    )
