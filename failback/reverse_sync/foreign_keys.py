"""Foreign keys that do not hold: rows applied under the replica role were not checked.

Changes when a kind of constraint has to be checked in another way. Each constraint is one
set-based anti-join; nothing is locked or written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from failback.models.sync import RuleResult
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.rules import run_check
from failback.reverse_sync.statements import statement

TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True)
class ForeignKey:
    """One foreign key, which can be asked for rows that it does not hold for."""

    name: str
    """`schema.table.constraint`."""
    parts: Mapping[str, sql.Composable]
    """Of the query."""
    skipped: str = ""
    """Why it is not checked; empty where it is."""
    tables: tuple[str, str] = ("", "")
    """The tables that it leads from and to, as `schema.table`."""
    columns: tuple[tuple[str, str], ...] = ()
    """Pairs of columns, of the one and of the other table."""

    def query(self, within: sql.Composable | None = None) -> sql.Composed:
        """A query for (violations, example).

        Args:
            within: a condition on `child`, the table that the key leads from; None for all rows.
        """
        return sql.SQL(statement("foreign_key_violations")).format(
            within=within or sql.SQL("true"), **self.parts
        )


def read_foreign_keys(connection: Connection, tables: Sequence[int]) -> tuple[ForeignKey, ...]:
    """The foreign keys that lead from or to the tables with these oids."""
    rows = connection.execute(statement("foreign_keys"), {"tables": list(tables)})
    return tuple(_foreign_key(row) for row in rows.fetchall())


def check_foreign_key(
    session: Connection,
    foreign_key: ForeignKey,
    timeout_seconds: float = TIMEOUT_SECONDS,
    within: sql.Composable | None = None,
) -> RuleResult:
    """Count the rows that a foreign key does not hold for, with up to five examples.

    Args:
        session: inside a read-only transaction.
        foreign_key: the key.
        timeout_seconds: after so long its answer is not known.
        within: see `ForeignKey.query`.
    """
    if foreign_key.skipped:
        return RuleResult(name=foreign_key.name, violations=0, detail=foreign_key.skipped)
    return run_check(session, foreign_key.name, foreign_key.query(within), timeout_seconds)


def _foreign_key(row: tuple[object, ...]) -> ForeignKey:
    name, child_schema, child, child_only, parent_schema, parent, parent_only, *rest = row
    validated, temporal, match_full, columns = rest
    if not isinstance(columns, list):
        raise TypeError("a foreign key has columns")
    skipped = ""
    if not validated:
        skipped = "NOT VALID: the database itself does not claim that it holds."
    elif temporal:
        skipped = "A temporal key (PERIOD) is not checked."
    children = [sql.Identifier("child", column[0]) for column in columns]
    present = [sql.SQL("{} IS NOT NULL").format(column) for column in children]
    # MATCH SIMPLE lets a row pass that has any null; MATCH FULL only one that has nothing else.
    complete = sql.SQL(" OR " if match_full else " AND ").join(present)
    parts = {
        "child_columns": sql.SQL(", ").join(children),
        "child": _relation(child_schema, child, only=bool(child_only)),
        "complete": sql.SQL("({})").format(complete),
        "parent": _relation(parent_schema, parent, only=bool(parent_only)),
        "matches": sql.SQL(" AND ").join(_match(column) for column in columns),
    }
    tables = (f"{child_schema}.{child}", f"{parent_schema}.{parent}")
    return ForeignKey(
        f"{child_schema}.{child}.{name}",
        parts,
        skipped,
        tables,
        tuple((column[0], column[1]) for column in columns),
    )


def _relation(schema: object, name: object, *, only: bool) -> sql.Composed:
    identifier = sql.Identifier(str(schema), str(name))
    return sql.SQL("ONLY {}" if only else "{}").format(identifier)


def _match(column: list[str]) -> sql.Composed:
    """The constraint's own operator and collation, as the server's check uses them."""
    child, parent, operator, operator_schema, collation_schema, collation = column
    symbol: LiteralString = operator
    collate: sql.Composable = sql.SQL("")
    if collation:
        collate = sql.SQL(" COLLATE {}").format(sql.Identifier(collation_schema, collation))
    return sql.SQL("{} OPERATOR({}.{}) {}{}").format(
        sql.Identifier("parent", parent),
        sql.Identifier(operator_schema),
        sql.SQL(symbol),
        sql.Identifier("child", child),
        collate,
    )
