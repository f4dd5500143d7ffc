"""Carries the tail over to a receiver that takes writes: what it changed itself is never lost.

Changes when a conflict is recognised or treated in another way. In the batch's transaction on
the receiver:

1. the rows with changed keys are locked, so that nobody changes them until the commit;
2. what the receiver changed itself is read: whoever changed one of those rows before has
   committed by then, and is found, since the moment the receiver began to take writes. Where it
   cannot be found, every late row that differs counts as changed on both sides;
3. rows that both sides changed are parked with both images, and the receiver's version stays;
4. the others become what the sender has: deleted, updated in place or inserted. A row that does
   not fit, because somebody took its key or a unique value meanwhile, is parked too: the table's
   rows are put back as they were and the step is done again without it.

Each changed key is applied or parked, in the transaction that moves the position: a batch that
is repeated after a crash finds the position moved, or nothing done.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from failback.models.common import Side
from failback.reverse_sync import own_changes
from failback.reverse_sync.apply import Applied, Work, names, rows_of, select_rows
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.copying import copied_out
from failback.reverse_sync.images import image
from failback.reverse_sync.key_blocks import binary_blocks, text_blocks
from failback.reverse_sync.lane import Armed, Lane
from failback.reverse_sync.matching import TablePair, key_condition, row_text
from failback.reverse_sync.pgoutput import Keys
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.statements import statement

_ROLES = ("keys", "locked", "changed", "rows", "done", "parked")

COPIES = "(copies)"
"""In the image of a row of a table without a key: how many such rows there are."""


class TornError(Exception):
    """Part of the stream was read, and some rows do not fit without the rest."""


@dataclass(frozen=True)
class Late:
    """What was done for the tables of a batch."""

    applied: dict[str, Applied]
    conflicts: int
    """Rows that were parked and were not before."""
    parked: int
    """Rows that were parked, or found parked already."""


@dataclass(frozen=True)
class LateTail:
    """One batch of the tail.

    Args:
        lane: the sessions; the reader and the writer are in the batch's transactions.
        held: the stream's position, with the moment the receiver began to take writes.
        armed: the armed tables.
        publication: the publication's name, the same on both sides.
        binary_keys: whether changed keys came in binary form.
        complete: whether the stream was read to the reader's snapshot.
        pulse: called while rows flow; raises to stop.
    """

    lane: Lane
    held: StreamPosition
    armed: Armed
    publication: str
    binary_keys: bool
    complete: bool
    pulse: Callable[[], None]

    def carry(
        self, works: Sequence[Work], refusing: Callable[[Work], AbstractContextManager[None]]
    ) -> Late:
        """Apply or park every changed key.

        Args:
            works: what is to be done, by table.
            refusing: turns what the receiver refuses of a table into the batch's own error.

        Raises:
            TornError: a row does not fit, and not all of the stream was read.
            SlotLostError: what the receiver changed cannot be told any more.
        """
        tables = [_LateTable(self.lane, work, self.binary_keys) for work in works]
        for table in tables:
            with refusing(table.work):
                table.stage()
            self.pulse()
        # In one order for everybody, so that two of us cannot wait for each other.
        for table in sorted(tables, key=lambda each: each.pair.received.oid):
            table.lock()
        found = own_changes.find(
            self.lane,
            self.held,
            self.armed,
            publication=self.publication,
            binary=self.binary_keys,
        )
        changes = found.changes
        truncated = {self._pair_name(oid) for oid in changes.truncated}
        late = Late({}, 0, 0)
        for table in tables:
            own = [
                keys
                for keys in changes.keys
                if self._pair_name(keys.relation.oid) == table.pair.qualified
            ]
            table.find(own, truncated=found.unknown or table.pair.qualified in truncated)
            with refusing(table.work):
                late.applied[table.pair.qualified] = table.apply(complete=self.complete)
            parked = table.park()
            late = Late(late.applied, late.conflicts + sum(parked), late.parked + len(parked))
            self.pulse()
        return late

    def _pair_name(self, oid: int) -> str | None:
        """The armed table that a relation of the receiver belongs to."""
        for name, pair in self.armed.pairs.items():
            if oid == pair.received.oid or any(p.oid == oid for p in pair.received.partitions):
                return name
        return None


class _LateTable:
    """One table's share of a batch, in temporary tables of the writer's session."""

    def __init__(self, lane: Lane, work: Work, binary_keys: bool) -> None:
        self.lane = lane
        self.work = work
        self._binary_keys = binary_keys
        self._writer: Connection = lane.writer

    @property
    def pair(self) -> TablePair:
        """The table on both sides."""
        return self.work.pair

    def stage(self) -> None:
        """Bring the changed keys and the sender's rows to the writer's session."""
        self._run("conflict_tables")
        pair = self.pair
        if self.work.whole:
            # A table that was truncated, or whose changes are not known by key: every row that
            # either side has is changed.
            self._run("conflict_all_keys")
            self._pour("keys", pair.key, None)
        else:
            self._fill("keys", self.work.keys)
            self.lane.read_keys.fill(pair.sent, pair.key, self.work.keys, binary=self._binary_keys)
        keys = None if self.work.whole else self.lane.read_keys.name(pair.sent)
        self._pour("rows", pair.columns, keys)

    def lock(self) -> None:
        """Keep everybody from changing the rows that will be changed or parked."""
        if self._deferrable():
            # Our own check of such a value sees only what is committed.
            self._run("conflict_lock_table")
        self._run("conflict_lock")

    def find(self, own: Iterable[Keys], *, truncated: bool) -> None:
        """Mark the keys that the receiver changed as well."""
        self._fill("changed", own)
        self._run("conflict_find", truncated=sql.Literal(truncated))

    def apply(self, *, complete: bool) -> Applied:
        """Make the rows that are not parked those of the sender; what does not fit is parked.

        Raises:
            TornError: something does not fit, and not all of the stream was read.
        """
        while True:
            self._writer.execute("SAVEPOINT failback_late")
            try:
                applied = self._in_place()
            except (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation):
                # Rows that swapped a unique value, or one that somebody else has now.
                self._writer.execute("ROLLBACK TO SAVEPOINT failback_late")
                deleted = self._run("conflict_delete").rowcount
                applied = Applied(deleted, self._insert())
            left = self._left()
            if not left:
                self._writer.execute("RELEASE SAVEPOINT failback_late")
                return applied
            if not complete:
                raise TornError
            # What was deleted for the others may be what these need: begin again without them.
            self._writer.execute("ROLLBACK TO SAVEPOINT failback_late")
            self._park_left(left)

    def _in_place(self) -> Applied:
        """Delete what the sender has no more, update what both have, insert the rest."""
        received = self.pair.received
        deleted = self._run("conflict_gone").rowcount
        rest = [name for name in self.pair.columns if name not in self.pair.key]
        updated = 0
        if self.pair.keyless:
            # How often a row is there counts as well.
            deleted += self._run("conflict_delete").rowcount
        elif not rest:
            # A row that is nothing but its key is there already.
            self._run("conflict_same")
        elif any(received.column(name).identity for name in rest):
            # Such a column may take no other value by UPDATE.
            deleted += self._run("conflict_delete").rowcount
        else:
            assignments = sql.SQL(", ").join(
                sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in rest
            )
            updated = self._run("conflict_update", assignments=assignments).rowcount
        inserted = self._insert()
        return Applied(deleted=deleted + updated, inserted=updated + inserted)

    def _insert(self) -> int:
        """Insert what is neither there nor parked, and leave out what does not fit."""
        if not self._deferrable():
            return self._run("conflict_insert").rowcount
        inserted = 0
        for (wanted,) in self._run("conflict_left").fetchall():
            self._writer.execute("SAVEPOINT failback_row")
            try:
                self._run("conflict_insert_one", wanted=sql.Literal(wanted))
                inserted += 1
            except (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation):
                self._writer.execute("ROLLBACK TO SAVEPOINT failback_row")
            self._writer.execute("RELEASE SAVEPOINT failback_row")
        return inserted

    def _left(self) -> list[list[str]]:
        """The keys of rows that did not fit."""
        rows = self._run("conflict_left").fetchall()
        for columns in self._deferrable():
            same = key_condition(self.pair.received, columns, "t", "s")
            rows += self._run("conflict_duplicate", same_value=same).fetchall()
        # A row may not fit in more ways than one.
        return [list(key) for key in dict.fromkeys(tuple(row[0]) for row in rows)]

    def _deferrable(self) -> list[list[str]]:
        """The columns of unique constraints that are not checked at once."""
        oid = sql.Literal(self.pair.received.oid)
        return [row[0] for row in self._run("conflict_deferrable", oid=oid).fetchall()]

    def park(self) -> list[bool]:
        """Keep both images of each parked row; returns for each whether it is new."""
        receiver = self.lane.direction.receiver
        columns = {Side.SOURCE: "source_image", Side.TARGET: "target_image"}
        rows = self._run(
            "conflict_park",
            receiver_image=sql.Identifier(columns[receiver]),
            sender_image=sql.Identifier(columns[receiver.other]),
        ).fetchall()
        self._run("conflict_outdated")
        return [row[0] for row in rows]

    def _park_left(self, left: Sequence[Sequence[str]]) -> None:
        types: list[LiteralString] = [self.pair.received.column(k).type_name for k in self.pair.key]
        casts = sql.SQL(", ").join(
            sql.SQL("k.{}::{}").format(sql.Identifier(f"k{place}"), sql.SQL(each))
            for place, each in enumerate(types)
        )
        query = sql.SQL("INSERT INTO {} SELECT {}, {} FROM unnest({}) AS k ({})").format(
            self._name("parked"),
            casts,
            sql.Literal("its key or a unique value is taken"),
            sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(self.pair.key)),
            sql.SQL(", ").join(sql.Identifier(f"k{n}") for n, _ in enumerate(self.pair.key)),
        )
        self._writer.execute(query, [list(values) for values in zip(*left, strict=True)])

    def _fill(self, role: str, changed: Iterable[Keys]) -> None:
        """Copy keys, as a stream wrote them, into one of the temporary tables."""
        for keys in changed:
            if not keys.values:
                continue
            self._copy_in(
                role,
                keys.names,
                binary_blocks(keys) if self._binary_keys else text_blocks(keys),
                binary=self._binary_keys,
            )

    def _pour(self, role: str, columns: Sequence[str], keys: sql.Identifier | None) -> None:
        """Copy the sender's rows, or a part of their columns, into a temporary table."""
        pair = self.pair
        giving = sql.SQL("COPY (SELECT {} FROM ({}) AS t) TO STDOUT (FORMAT {})").format(
            names(columns), select_rows(pair, keys), _form(pair.binary)
        )
        blocks = (b"".join(block) for block in copied_out(self.lane.reader, giving))
        self._copy_in(role, columns, blocks, binary=pair.binary)

    def _copy_in(
        self, role: str, columns: Sequence[str], blocks: Iterator[bytes], *, binary: bool
    ) -> None:
        taking = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
            self._name(role), names(columns), _form(binary)
        )
        with self._writer.cursor() as cursor, cursor.copy(taking) as copy:
            for block in blocks:
                copy.write(block)

    def _name(self, role: str) -> sql.Identifier:
        return sql.Identifier("pg_temp", f"failback_late_{role}_{self.pair.received.oid}")

    def _run(self, name: str, **extra: sql.Composable) -> psycopg.Cursor[tuple[Any, ...]]:
        parts = {**self._parts(), **extra}
        return self._writer.execute(sql.SQL(statement(name)).format(**parts))

    def _parts(self) -> Mapping[str, sql.Composable]:
        """Whatever the statements name: tables, column lists and conditions on keys."""
        pair, comma = self.pair, sql.SQL(", ")
        received = pair.received

        def listed(alias: str, columns: Sequence[str]) -> sql.Composed:
            return comma.join(sql.Identifier(alias, column) for column in columns)

        def texts(alias: str, columns: Sequence[str]) -> sql.Composed:
            return comma.join(
                sql.SQL("{}::text").format(sql.Identifier(alias, column)) for column in columns
            )

        def equal(left: str, right: str) -> sql.Composed:
            return pair.same_row(received, left, right)

        key_text = sql.SQL(" || ', ' || ").join(
            sql.SQL("{} || p.{}::text").format(sql.Literal(f"{name}="), sql.Identifier(name))
            for name in pair.key
        )
        t_image, k_same = image("t", pair.columns), listed("k", pair.key)
        t_order: sql.Composable = listed("t", pair.key)
        if pair.keyless:
            # Of rows that are alike one image is kept, with their number; json has no order.
            key_text = sql.SQL("{}::text").format(image("p", pair.key))
            t_image = sql.SQL(
                "min({}::text)::jsonb || jsonb_build_object({}, count(*)::text)"
            ).format(t_image, sql.Literal(COPIES))
            k_same, t_order = row_text(pair.key, "k"), sql.SQL("t.ctid")
        return {
            **{role: self._name(role) for role in _ROLES},
            "table": rows_of(received),
            "into": received.identifier,
            "key": names(pair.key),
            "columns": names(pair.columns),
            "stream": sql.Literal(self.lane.direction.name),
            "name": sql.Literal(pair.qualified),
            "key_text": key_text,
            "t_key": listed("t", pair.key),
            "k_key": listed("k", pair.key),
            "l_key": listed("l", pair.key),
            "k_same": k_same,
            "t_order": t_order,
            "t_image": t_image,
            "t_once": sql.SQL("HAVING count(*) > 0" if pair.keyless else ""),
            "p_image": image("p", pair.key),
            "s_texts": texts("s", pair.key),
            "t_is_k": equal("t", "k"),
            "k_is_c": equal("k", "c"),
            "t_is_p": equal("t", "p"),
            "t_is_l": equal("t", "l"),
            "t_is_s": equal("t", "s"),
            "l_is_p": equal("l", "p"),
            "l_is_s": equal("l", "s"),
            "s_is_p": equal("s", "p"),
            "s_is_d": equal("s", "d"),
            "p_is_k": equal("p", "k"),
        }


def _form(binary: bool) -> sql.SQL:
    return sql.SQL("binary" if binary else "text")
