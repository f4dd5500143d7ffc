"""Translates PostgREST's query language, as far as the product needs it, to SQL.

The reference is https://docs.postgrest.org/en/stable/references/api/tables_views.html. Names
become identifiers only after they were found among a table's known columns; values are
always parameters, cast to the column's type.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from failback.lab.product.problems import ProblemError

_OPERATORS = {
    "eq": sql.SQL("="),
    "neq": sql.SQL("<>"),
    "gt": sql.SQL(">"),
    "gte": sql.SQL(">="),
    "lt": sql.SQL("<"),
    "lte": sql.SQL("<="),
    "like": sql.SQL("LIKE"),
    "ilike": sql.SQL("ILIKE"),
}
_CONSTANTS = {"null": "NULL", "true": "TRUE", "false": "FALSE"}
_RESERVED = frozenset({"select", "order", "limit", "offset", "on_conflict", "columns"})
_MOST_ROWS = 1000


@dataclass(frozen=True)
class Table:
    """A table as the REST part serves it."""

    name: str
    key: str
    columns: Mapping[str, str]
    """Type by column name, in the table's order."""
    owner: str | None = None
    """The column that holds the user's id; rows of others are invisible."""
    deleted: str | None = None
    """The column that a soft delete sets; such rows are not served."""

    @property
    def identifier(self) -> sql.Identifier:
        """The table's qualified name."""
        return sql.Identifier("public", self.name)

    def column(self, name: str) -> sql.Identifier:
        """A column's identifier.

        Raises:
            ProblemError: 400, the table has no such column.
        """
        if name not in self.columns:
            raise ProblemError(400, "42703", f"column {self.name}.{name} does not exist")
        return sql.Identifier(name)

    def value(self, name: str) -> sql.Composed:
        """A placeholder with the cast of its column."""
        self.column(name)
        # Types come from this package's own table descriptions, never from a request.
        return sql.SQL("%s::{}").format(sql.SQL(self.columns[name]))


@dataclass(frozen=True)
class Where:
    """A condition and its parameters."""

    text: sql.Composable
    parameters: tuple[Any, ...]

    def and_also(self, text: sql.Composable, *parameters: Any) -> "Where":
        """Both conditions."""
        return Where(sql.SQL("{} AND {}").format(self.text, text), (*self.parameters, *parameters))


def where(table: Table, pairs: Iterable[tuple[str, str]]) -> Where:
    """The condition that a query string asks for; TRUE where it asks for none.

    Raises:
        ProblemError: 400, an unknown column or operator.
    """
    condition = Where(sql.SQL("TRUE"), ())
    for name, wanted in pairs:
        if name in _RESERVED:
            continue
        column = table.column(name)
        operator, _, value = wanted.partition(".")
        negated = operator == "not"
        if negated:
            operator, _, value = value.partition(".")
        text, parameters = _test(table, name, column, operator, value)
        if negated:
            text = sql.SQL("NOT ({})").format(text)
        condition = condition.and_also(text, *parameters)
    return condition


def _test(
    table: Table, name: str, column: sql.Identifier, operator: str, value: str
) -> tuple[sql.Composable, tuple[Any, ...]]:
    if operator == "is" and value.lower() in _CONSTANTS:
        constant = sql.SQL(_CONSTANTS[value.lower()])
        return sql.SQL("{} IS {}").format(column, constant), ()
    if operator == "in" and value.startswith("(") and value.endswith(")"):
        values = [item.strip().strip('"') for item in value[1:-1].split(",") if item.strip()]
        # As text, so that one parameter serves every type.
        return sql.SQL("{}::text = ANY(%s)").format(column), (values,)
    if operator in ("like", "ilike"):
        return (
            sql.SQL("{}::text {} %s").format(column, _OPERATORS[operator]),
            (value.replace("*", "%"),),
        )
    if operator in _OPERATORS:
        test = sql.SQL("{} {} {}").format(column, _OPERATORS[operator], table.value(name))
        return test, (value,)
    raise ProblemError(400, "PGRST100", f"cannot read the filter {name}={operator}.{value}")


def selected(table: Table, wanted: str | None) -> sql.Composed:
    """The list of columns that `select=` names; all of them where it is absent or `*`."""
    names = [name.strip() for name in (wanted or "*").split(",") if name.strip()]
    if "*" in names:
        names = list(table.columns)
    return sql.SQL(", ").join(table.column(name) for name in names)


def ordered(table: Table, wanted: str | None) -> sql.Composable:
    """An ORDER BY clause from `order=column.desc.nullslast,…`; the key where it is absent."""
    terms: list[sql.Composable] = []
    for part in (wanted or table.key).split(","):
        name, *modifiers = part.strip().split(".")
        term: sql.Composable = table.column(name)
        for modifier in modifiers:
            suffix = {
                "asc": sql.SQL(" ASC"),
                "desc": sql.SQL(" DESC"),
                "nullsfirst": sql.SQL(" NULLS FIRST"),
                "nullslast": sql.SQL(" NULLS LAST"),
            }.get(modifier)
            if suffix is None:
                raise ProblemError(400, "PGRST100", f"cannot read the order {part}")
            term = sql.SQL("{}{}").format(term, suffix)
        terms.append(term)
    return sql.SQL("ORDER BY {}").format(sql.SQL(", ").join(terms))


def bounded(wanted: str | None, *, usual: int = _MOST_ROWS) -> int:
    """`limit=` or `offset=` as a number between 0 and the most that is served."""
    if wanted is None:
        return usual
    try:
        return max(0, min(_MOST_ROWS, int(wanted)))
    except ValueError as error:
        raise ProblemError(400, "PGRST100", f"cannot read the number {wanted!r}") from error


def parameter(table: Table, name: str, value: Any) -> Any:
    """A JSON value as a parameter for its column."""
    table.column(name)
    if table.columns[name] == "jsonb" and value is not None:
        return Jsonb(value)
    return value
