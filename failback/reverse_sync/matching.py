"""How a table of the sender meets the one of the same name on the receiver.

Changes when another difference between two schemas can be carried over, or has to be refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg import sql

from failback.errors import SchemaDriftError, TableRefusedError
from failback.models.common import Side
from failback.models.sync import TableProblem
from failback.reverse_sync import drift
from failback.reverse_sync.catalogue import Column, Table
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.pgoutput import WholeRow


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
            [drift.missing_table(table, direction.receiver)]
            if counterpart is None
            else drift.differences(table, counterpart, direction)
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


def _same_form(sent: Column, received: Column) -> bool:
    """Whether binary values of one column are understood as the same value by the other."""
    return (
        sent.binary_safe
        and received.binary_safe
        and sent.base_kind == received.base_kind
        and (sent.base_kind == "e" or sent.base_type == received.base_type)
        and sent.is_array == received.is_array
    )
