"""How a table of the sender meets the one of the same name on the receiver.

Changes when another difference between two schemas can be carried over, or has to be refused.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg import sql

from failback.errors import SchemaDriftError, TableRefusedError
from failback.models.common import Side
from failback.models.sync import TableProblem
from failback.reverse_sync.catalogue import Column, Table
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.pgoutput import WholeRow

# Receiver types that hold every value of the sender's type; such a table travels as text.
_WIDER = frozenset(
    {
        ("pg_catalog.int2", "pg_catalog.int4"),
        ("pg_catalog.int2", "pg_catalog.int8"),
        ("pg_catalog.int4", "pg_catalog.int8"),
        ("pg_catalog.varchar", "pg_catalog.text"),
        ("pg_catalog.text", "pg_catalog.varchar"),
    }
)
_MODIFIER = re.compile(r"\((\d+)\)")


@dataclass(frozen=True)
class TablePair:
    """A table as both sides have it, and how its rows travel."""

    sent: Table
    received: Table
    columns: tuple[str, ...]
    """The columns that are copied, by name; their order may differ between the sides."""
    binary: bool
    """Whether rows may travel in binary form; text otherwise."""

    @property
    def qualified(self) -> str:
        """`schema.table`."""
        return self.sent.qualified

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row, those of the sender; without a key, all of them."""
        return self.sent.key or WholeRow(self.columns)

    @property
    def keyless(self) -> bool:
        """Whether a row is known by all its values, and may be there several times.

        A batch deletes every row that has the values of a changed one, and inserts as many as
        the sender has: how often it stood on either side does not matter.
        """
        return not self.sent.key

    def same_row(self, table: Table, left: str, right: str) -> sql.Composed:
        """A condition that two aliases of one side's table have the same key.

        Args:
            table: the table as that side has it.
            left: an alias.
            right: another one.
        """
        if self.keyless:
            return sql.SQL("{} = {}").format(
                row_text(self.columns, left), row_text(self.columns, right)
            )
        return key_condition(table, self.key, left, right)

    @property
    def binary_key(self) -> bool:
        """Whether keys may travel in binary form."""
        return all(_same_form(self.sent.column(k), self.received.column(k)) for k in self.key)


def row_text(columns: Iterable[str], alias: str) -> sql.Composed:
    """All values of a row as one text, which tells NULL from empty and -0 from 0.

    Types such as json and point have no equality of their own, and 1.0 equals 1.00 by that of
    numeric; the text of two rows is the same when they look the same to everybody.
    """
    listed = sql.SQL(", ").join(sql.Identifier(alias, column) for column in columns)
    return sql.SQL('ROW({})::text COLLATE "C"').format(listed)


def key_condition(table: Table, key: Iterable[str], left: str, right: str) -> sql.Composed:
    """`left.k = right.k AND …` with the operator of each key column's own type.

    Sessions run with a bare search path, where the operator of a type that an extension made
    would not be found, or another one would be taken for it.
    """
    parts = []
    for column in map(table.column, key):
        schema = column.base_type.partition(".")[0] if column.base_kind == "b" else "pg_catalog"
        parts.append(
            sql.SQL("{}.{} OPERATOR({}.=) {}.{}").format(
                sql.Identifier(left),
                column.identifier,
                sql.Identifier(schema),
                sql.Identifier(right),
                column.identifier,
            )
        )
    return sql.SQL(" AND ").join(parts)


def refusals(tables: Iterable[Table], side: Side) -> tuple[TableProblem, ...]:
    """Tables whose changes cannot be captured as the sender has them."""
    problems = []
    for table in tables:
        name = table.qualified
        if table.unlogged:
            problems.append(
                TableProblem(
                    table=name,
                    problem=f"is unlogged on the {side.value}, so its changes are in no log",
                    cure=f"ALTER TABLE {name} SET LOGGED",
                )
            )
        if table.kind == "p" and table.key_source != "primary key":
            # A partition that is made later would have no replica identity, and the product's
            # own updates of it would fail.
            problems.append(
                TableProblem(
                    table=name,
                    problem=f"is partitioned and has no primary key on the {side.value}",
                    cure=f"ALTER TABLE {name} ADD PRIMARY KEY (…), or exclude it",
                )
            )
    return tuple(problems)


def match(
    sent: Iterable[Table], received: Mapping[str, Table], direction: Direction
) -> tuple[tuple[TablePair, ...], tuple[TableProblem, ...]]:
    """Pairs of tables that fit, and what is wrong with those that do not."""
    pairs, problems = [], []
    for table in sent:
        counterpart = received.get(table.qualified)
        found = (
            [_missing_table(table, direction.receiver)]
            if counterpart is None
            else _drift(table, counterpart, direction)
        )
        if counterpart is None or found:
            problems.extend(found)
            continue
        copied = tuple(
            column.name for column in table.columns if not counterpart.column(column.name).generated
        )
        binary = all(_same_form(table.column(c), counterpart.column(c)) for c in copied)
        pairs.append(TablePair(table, counterpart, copied, binary))
    return tuple(pairs), tuple(problems)


def refuse(
    problems: Iterable[TableProblem], error: type[TableRefusedError | SchemaDriftError]
) -> None:
    """Raise one error that names every problem; do nothing where there is none."""
    problems = tuple(problems)
    if not problems:
        return
    cause = "; ".join(f"{each.table} {each.problem}" for each in problems)
    cures = dict.fromkeys(each.cure for each in problems if each.cure)
    raise error(f"{cause}.", f"{'; '.join(cures)}." if cures else "")


def _missing_table(table: Table, receiver: Side) -> TableProblem:
    return TableProblem(
        table=table.qualified,
        problem=f"does not exist on the {receiver.value}",
        cure=f"Create {table.qualified} on the {receiver.value} as pg_dump --schema-only "
        f"--table={table.qualified} of the {receiver.other.value} writes it, or exclude it",
    )


def _drift(sent: Table, received: Table, direction: Direction) -> list[TableProblem]:
    """Differences between two tables that would lose or change data."""
    name, here, there = sent.qualified, direction.receiver.value, direction.sender.value
    known = {column.name: column for column in received.columns}
    problems = []

    def problem(text: str, cure: str) -> None:
        problems.append(TableProblem(table=name, problem=text, cure=cure))

    for column in sent.columns:
        counterpart = known.pop(column.name, None)
        quoted = column.identifier.as_string()
        if counterpart is None:
            problem(
                f"lacks the column {column.name} on the {here}",
                f"On the {here} run ALTER TABLE {name} ADD COLUMN {quoted} {column.type_name}",
            )
        elif not counterpart.generated and not _holds(column, counterpart):
            problem(
                f"has {column.name} as {counterpart.type_name} on the {here} and as "
                f"{column.type_name} on the {there}",
                f"On the {here} run ALTER TABLE {name} ALTER COLUMN {quoted} TYPE "
                f"{column.type_name}",
            )
        elif missing := [label for label in column.labels if label not in counterpart.labels]:
            problem(
                f"has values of {column.name} on the {there} that {column.base_type} on the "
                f"{here} lacks: {', '.join(missing)}",
                f"On the {here} run ALTER TYPE {counterpart.base_type} ADD VALUE '{missing[0]}'",
            )
        elif counterpart.not_null and not column.not_null and not counterpart.generated:
            problem(
                f"allows NULL in {column.name} on the {there} and not on the {here}",
                f"On the {here} run ALTER TABLE {name} ALTER COLUMN {quoted} DROP NOT NULL",
            )
    for column in known.values():
        if not column.generated:
            problem(
                f"has the column {column.name} on the {here} alone, whose values would be lost",
                f"Add the column on the {there}, or drop it on the {here}",
            )
    if not problems and sent.key and frozenset(sent.key) not in received.unique_keys:
        columns = ", ".join(column.identifier.as_string() for column in sent.key_columns)
        problem(
            f"has no unique index over its key ({columns}) on the {here}",
            f"On the {here} run ALTER TABLE {name} ADD PRIMARY KEY ({columns})",
        )
    return problems


def _holds(sent: Column, received: Column) -> bool:
    """Whether every value of the sender's column fits the receiver's and stays the same."""
    if sent.type_name == received.type_name:
        return True
    if sent.is_array != received.is_array:
        return False
    same = sent.base_type == received.base_type
    if not same and (sent.base_type, received.base_type) not in _WIDER:
        return False
    allowed, given = _length(received), _length(sent)
    if allowed is None:
        return "(" not in received.type_name
    return given is not None and given <= allowed and received.base_type == "pg_catalog.varchar"


def _length(column: Column) -> int | None:
    """The one modifier of a type such as `character varying(40)`."""
    found = _MODIFIER.search(column.type_name)
    return int(found.group(1)) if found else None


def _same_form(sent: Column, received: Column) -> bool:
    """Whether binary values of one column are understood as the same value by the other."""
    return (
        sent.binary_safe
        and received.binary_safe
        and sent.base_kind == received.base_kind
        and (sent.base_kind == "e" or sent.base_type == received.base_type)
        and sent.is_array == received.is_array
    )
