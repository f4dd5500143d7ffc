"""A database that was restored from a backup, as segments are replayed into it.

Changes when a row has to fit in another way. Keys are deleted first and rows inserted afterwards,
so that two rows which have swapped a unique value are a plain case.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg import sql

from failback.change_archive.segment import SegmentReader
from failback.change_archive.statements import statement
from failback.errors import ArchiveError
from failback.models.archive import ArchivedTable
from failback.reverse_sync.apply import names, rows_of
from failback.reverse_sync.catalogue import Table, read_named
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.matching import key_condition, row_text
from failback.reverse_sync.pgoutput import lsn_number, lsn_text
from failback.reverse_sync.staging import FEW_KEYS, Staging

_NAMED = 5


class RestoredDatabase:
    """One session on a restored database.

    Args:
        session: in autocommit mode, of a role that may disable triggers.
        backup: what it was restored from.
        chain: whose segments are replayed.
    """

    def __init__(self, session: Connection, backup: str, chain: str) -> None:
        self._session = session
        self._backup = backup
        self._chain = chain
        self._staging = Staging(session)
        self._tables: Mapping[str, Table] = {}

    def prepare(self, wanted: Mapping[str, tuple[frozenset[str], frozenset[str]]]) -> None:
        """Look whether everything fits, and make the table that remembers how far it got.

        Args:
            wanted: columns of rows and of keys that will come, by table.

        Raises:
            ArchiveError: a table or a column is missing; nothing was changed.
        """
        self._tables = read_named(self._session, wanted)
        lacking = []
        for name, (columns, keys) in sorted(wanted.items()):
            table = self._tables.get(name)
            if table is None:
                lacking.append(name)
                continue
            there = {column.name for column in table.columns}
            lacking += [f"{name}.{column}" for column in sorted((columns | keys) - there)]
        if lacking:
            raise ArchiveError(
                f"The restored database lacks what the archive has changes of: "
                f"{', '.join(lacking[:_NAMED])}{' and more' if len(lacking) > _NAMED else ''}.",
                "It was made on the target after the backup: make it in the restored database as "
                "it is on the target, then repeat the replay.",
            )
        self._session.execute(statement("replayed"))

    def begin(self, position: int) -> int:
        """How far it got before; the position where this is the first time."""
        self._session.execute(
            statement("replayed_begin"),
            {"backup": self._backup, "chain": self._chain, "upto": lsn_text(position)},
        )
        return self._upto("")

    def apply(self, upto: int, keys: int, data: SegmentReader | None) -> int | None:
        """Replay one segment, and remember it, in one transaction.

        Args:
            upto: where the segment ends.
            keys: that it carries.
            data: its data; None where nothing has changed.

        Returns:
            Rows that were inserted; None where the segment was replayed before.

        Raises:
            ArchiveError: the database refuses a row; nothing of the segment was changed.
        """
        rows = 0
        try:
            with self._session.transaction():
                self._session.execute(statement("apply_begin"))
                if self._upto("FOR UPDATE") >= upto:
                    return None
                for table, archived_keys, archived_rows in data.parts() if data else ():
                    with _refused(table):
                        rows += self._replace(table, archived_keys, archived_rows)
                self._session.execute(
                    statement("replayed_move"),
                    {
                        "backup": self._backup,
                        "chain": self._chain,
                        "upto": lsn_text(upto),
                        "keys": keys,
                    },
                )
        except BaseException:
            self._staging.settle(committed=False)
            raise
        self._staging.settle(committed=True)
        return rows

    def _upto(self, lock: str) -> int:
        row = self._session.execute(
            sql.SQL("SELECT upto::text FROM failback_archive.replayed WHERE backup = %s {}").format(
                sql.SQL("FOR UPDATE" if lock else "")
            ),
            [self._backup],
        ).fetchone()
        if row is None:
            raise ArchiveError(
                "The restored database forgot how far the replay had got.",
                "Restore the backup anew, then replay.",
            )
        return lsn_number(row[0])

    def _replace(
        self, archived: ArchivedTable, keys: Iterator[bytes], rows: Iterator[bytes]
    ) -> int:
        """Delete a table's changed rows, and insert them as the segment has them."""
        table = self._tables[archived.table]
        if archived.whole:
            self._session.execute(sql.SQL("DELETE FROM {}").format(rows_of(table)))
        else:
            self._delete(table, archived, keys)
        generated = {column.name for column in table.columns if column.generated}
        if generated.isdisjoint(archived.columns):
            return self._copy(table.identifier, archived.columns, rows)
        return self._insert(table, archived, generated, rows)

    def _delete(self, table: Table, archived: ArchivedTable, keys: Iterator[bytes]) -> None:
        few = archived.keys < FEW_KEYS and not archived.whole_row
        self._staging.plan_for(few=few)
        self._staging.prepare(table, archived.key)
        staged = self._staging.name(table)
        self._copy(staged, archived.key, keys)
        if archived.keys >= FEW_KEYS:
            self._session.execute(sql.SQL("ANALYZE {}").format(staged))
        same: sql.Composable = (
            sql.SQL("{} = {}").format(row_text(archived.key, "t"), row_text(archived.key, "k"))
            if archived.whole_row
            else key_condition(table, archived.key, "t", "k")
        )
        self._session.execute(
            sql.SQL("DELETE FROM {} AS t USING {} AS k WHERE {}").format(
                rows_of(table), staged, same
            )
        )

    def _insert(
        self, table: Table, archived: ArchivedTable, generated: set[str], rows: Iterator[bytes]
    ) -> int:
        """By way of a table aside: COPY cannot leave out what is computed here and not there."""
        aside = sql.Identifier("pg_temp", f"failback_rows_{table.oid}")
        self._session.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA"
            ).format(
                sql.Identifier(f"failback_rows_{table.oid}"),
                names(archived.columns),
                table.identifier,
            )
        )
        self._copy(aside, archived.columns, rows)
        kept = names([name for name in archived.columns if name not in generated])
        return self._session.execute(
            sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}").format(
                table.identifier, kept, kept, aside
            )
        ).rowcount

    def _copy(self, into: sql.Identifier, columns: tuple[str, ...], blocks: Iterator[bytes]) -> int:
        query = sql.SQL("COPY {} ({}) FROM STDIN").format(into, names(columns))
        with self._session.cursor() as cursor:
            with cursor.copy(query) as copy:
                for block in blocks:
                    copy.write(block)
            return cursor.rowcount


@contextmanager
def _refused(table: ArchivedTable) -> Iterator[None]:
    """Turn what the database refuses of a table into the archive's own words."""
    try:
        yield
    except (
        psycopg.IntegrityError,
        psycopg.DataError,
        psycopg.ProgrammingError,
        psycopg.NotSupportedError,
    ) as error:
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            raise
        why = (error.diag.message_primary or str(error)).rstrip(".")
        raise ArchiveError(
            f"The restored database refuses archived rows of {table.table}: {why}.",
            "Make the table as it is on the target, then repeat the replay; it goes on from there.",
        ) from error
