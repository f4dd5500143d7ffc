"""Brings changed keys to a server: one temporary table per table and session, used again.

Changes when keys are handed over in another way.
"""

from collections.abc import Iterable

from psycopg import sql

from failback.reverse_sync.catalogue import Table
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.key_blocks import binary_blocks, text_blocks
from failback.reverse_sync.pgoutput import Keys
from failback.reverse_sync.statements import statement

FEW_KEYS = 500
"""Below so many keys of a table, each row is looked up by index without asking the planner."""


class Staging:
    """The temporary key tables of one session.

    Args:
        connection: the session; it may be in a transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ready: set[tuple[int, int]] = set()
        self._fresh: set[tuple[int, int]] = set()
        self._few: bool | None = None

    def settle(self, *, committed: bool) -> None:
        """A transaction ended: key tables that were made in it are there, or gone with it."""
        if committed:
            self._ready |= self._fresh
        self._fresh.clear()
        self._few = None

    def plan_for(self, *, few: bool) -> None:
        """Plan the transaction's next statements for few keys or for many.

        A key table is new to the planner, which takes it for thousands of keys and reads the
        whole table instead of a few rows. For many keys it is analyzed, and plans by itself.
        """
        if few is not self._few:
            self._connection.execute(
                statement("plan_for_few") if few else statement("plan_for_many")
            )
            self._few = few

    def name(self, table: Table, part: int = 0) -> sql.Identifier:
        """The key table of a part of a table's keys, in this session."""
        return sql.Identifier("pg_temp", _name(table, part))

    def prepare(self, table: Table, key: tuple[str, ...], part: int = 0) -> None:
        """Make the key table, once; its columns have the types of the table's own.

        It empties itself at every commit.
        """
        known = table.oid, part
        if known in self._ready or known in self._fresh:
            return
        self._connection.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA"
            ).format(
                sql.Identifier(_name(table, part)),
                sql.SQL(", ").join(map(sql.Identifier, key)),
                table.identifier,
            )
        )
        self._fresh.add(known)

    def fill(
        self,
        table: Table,
        key: tuple[str, ...],
        changed: Iterable[Keys],
        *,
        binary: bool,
        part: int = 0,
    ) -> int:
        """Copy keys into the key table; returns how many. A key may be there twice."""
        self.prepare(table, key, part)
        count = 0
        for keys in changed:
            if not keys.values:
                continue
            statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
                self.name(table, part),
                sql.SQL(", ").join(map(sql.Identifier, keys.names)),
                sql.SQL("binary" if binary else "text"),
            )
            blocks = binary_blocks(keys) if binary else text_blocks(keys)
            with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
                for block in blocks:
                    copy.write(block)
            count += len(keys.values)
        if count >= FEW_KEYS:
            self._connection.execute(sql.SQL("ANALYZE {}").format(self.name(table, part)))
        return count


def _name(table: Table, part: int) -> str:
    return f"failback_keys_{table.oid}" + (f"_{part}" if part else "")
