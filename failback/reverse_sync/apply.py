"""Makes the receiver's rows those of the sender for a set of keys: delete, then insert.

Changes when rows are carried over in another way. Deleting first makes two rows that swap a
unique value a plain case, where an upsert would stop at the first of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from failback.reverse_sync.catalogue import Table
from failback.reverse_sync.copying import copied_out
from failback.reverse_sync.lane import Ends
from failback.reverse_sync.matching import TablePair
from failback.reverse_sync.pgoutput import Keys
from failback.reverse_sync.staging import FEW_KEYS

Pulse = Callable[[], None]
"""Called often while rows flow; raises to stop."""


@dataclass(frozen=True)
class Work:
    """What is to be done for one table in a batch."""

    pair: TablePair
    keys: tuple[Keys, ...] = ()
    whole: bool = False
    """Copy the whole table, because not every change of it is known by key."""
    part: int = 0
    """Which of a table's key tables takes the keys; parts of one batch have no key in common."""

    @property
    def count(self) -> int:
        """Distinct keys, as the stream told them."""
        return sum(len(keys.values) for keys in self.keys)


@dataclass(frozen=True)
class Applied:
    """What was done for one table."""

    deleted: int = 0
    inserted: int = 0
    bytes: int = 0
    """Of the rows, as they travelled."""


@dataclass(frozen=True)
class Carrier:
    """Carries rows from a snapshot of the sender into a transaction of the receiver.

    Args:
        ends: the reader is in a REPEATABLE READ transaction on the sender, the writer in one of
            the receiver.
        binary_keys: whether the stream's values came in binary form.
        pulse: called while rows flow.
        copied: told how many rows and bytes were copied since it was told last.
    """

    ends: Ends
    binary_keys: bool
    pulse: Pulse
    copied: Callable[[int, int], None] = field(default=lambda _rows, _bytes: None)

    def carry(self, work: Work) -> Applied:
        """Delete a table's changed rows on the receiver, and insert them as they are now."""
        pair = work.pair
        if not work.whole:
            # No index finds a row by all its values: such a table is read through once.
            few = work.count < FEW_KEYS and not pair.keyless
            for staging, table in (
                (self.ends.read_keys, pair.sent),
                (self.ends.write_keys, pair.received),
            ):
                staging.plan_for(few=few)
                staging.fill(table, pair.key, work.keys, binary=self.binary_keys, part=work.part)
        deleted = self.ends.writer.execute(self._delete(work)).rowcount
        self.pulse()
        inserted, size = self._copy(work)
        return Applied(deleted=deleted, inserted=inserted, bytes=size)

    def _delete(self, work: Work) -> sql.Composed:
        received = work.pair.received
        if work.whole:
            return sql.SQL("DELETE FROM {}").format(rows_of(received))
        return sql.SQL("DELETE FROM {} AS t USING {} AS k WHERE {}").format(
            rows_of(received),
            self.ends.write_keys.name(received, work.part),
            work.pair.same_row(received, "t", "k"),
        )

    def _copy(self, work: Work) -> tuple[int, int]:
        """Rows and bytes that were copied."""
        pair = work.pair
        form = sql.SQL("binary" if pair.binary else "text")
        taking = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
            pair.received.identifier, names(pair.columns), form
        )
        giving = sql.SQL("COPY ({}) TO STDOUT (FORMAT {})").format(
            select_rows(
                pair, None if work.whole else self.ends.read_keys.name(pair.sent, work.part)
            ),
            form,
        )
        size = 0
        with self.ends.writer.cursor() as sink:
            with sink.copy(taking) as copy:
                for block in copied_out(self.ends.reader, giving):
                    data = b"".join(block)
                    copy.write(data)
                    size += len(data)
                    self.copied(len(block), len(data))
                    self.pulse()
            return sink.rowcount, size


def select_rows(pair: TablePair, keys: sql.Identifier | None) -> sql.Composed:
    """The rows of a table as the sender has them; all, or those whose key is in a key table.

    A semi-join: a key that is there twice does not yield its row twice.
    """
    columns = sql.SQL(", ").join(
        sql.SQL("t.{}").format(sql.Identifier(name)) for name in pair.columns
    )
    query = sql.SQL("SELECT {} FROM {} AS t").format(columns, rows_of(pair.sent))
    if keys is None:
        return query
    return sql.SQL("{} WHERE EXISTS (SELECT FROM {} AS k WHERE {})").format(
        query, keys, pair.same_row(pair.sent, "t", "k")
    )


def rows_of(table: Table) -> sql.Composed:
    """A table's own rows: without inheriting tables, but with all partitions."""
    return sql.SQL("{}{}").format(sql.SQL("" if table.kind == "p" else "ONLY "), table.identifier)


def names(columns: Sequence[str]) -> sql.Composed:
    """Quoted names with commas."""
    return sql.SQL(", ").join(map(sql.Identifier, columns))
