"""Rows as text by column: how both versions of a conflict are kept, and read back.

Changes when a value's text has to be had in another way. A value is kept as its type's own output
function writes it under the settings of failback's sessions, and comes back through COPY, which
calls the input function: a cast to text may be something else (it drops the blanks of `char(n)`,
and an extension may define its own).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from psycopg import sql

Image = dict[str, str | None]
"""A row's values by column."""


def image(alias: str, columns: Sequence[str]) -> sql.Composed:
    """An expression: the row of a relation as a jsonb object of texts.

    A composite value whose fields are all null is no null, hence `num_nulls`.
    """
    values = [sql.Identifier(alias, column) for column in columns]
    return sql.SQL("jsonb_object(ARRAY[{}]::text[], ARRAY[{}]::text[])").format(
        sql.SQL(", ").join(map(sql.Literal, columns)),
        sql.SQL(", ").join(
            sql.SQL("CASE WHEN num_nulls({0}) = 0 THEN format('%s', {0}) END").format(value)
            for value in values
        ),
    )


def copy_lines(images: Iterable[Mapping[str, str | None]], columns: Sequence[str]) -> Iterator[str]:
    """Images as COPY reads them in its text format."""
    for each in images:
        yield "\t".join(_field(each[column]) for column in columns) + "\n"


def _field(value: str | None) -> str:
    if value is None:
        return "\\N"
    return (
        value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    )
