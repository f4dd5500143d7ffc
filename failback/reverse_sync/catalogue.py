"""What a server's catalogue says about the tables to be synced.

Changes when something else about a table has to be known. Nothing here is written.
"""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from failback.errors import UnknownTablePatternError
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.statements import statement

OWN_SCHEMA = "failback"

# Built-in types whose binary form depends neither on a server's version, nor on its settings,
# nor on object identifiers.
_BINARY_SAFE = frozenset(
    [
        "bool",
        "int2",
        "int4",
        "int8",
        "float4",
        "float8",
        "numeric",
        "money",
        "text",
        "varchar",
        "bpchar",
        "char",
        "name",
        "bytea",
        "uuid",
        "json",
        "jsonb",
        "xml",
        "date",
        "time",
        "timetz",
        "timestamp",
        "timestamptz",
        "interval",
        "inet",
        "cidr",
        "macaddr",
        "macaddr8",
        "bit",
        "varbit",
        "point",
        "line",
        "lseg",
        "box",
        "path",
        "polygon",
        "circle",
        "tsvector",
        "pg_lsn",
        "int4range",
        "int8range",
        "numrange",
        "daterange",
        "tsrange",
        "tstzrange",
        "int4multirange",
        "int8multirange",
        "nummultirange",
        "datemultirange",
        "tsmultirange",
        "tstzmultirange",
    ]
)


@dataclass(frozen=True)
class Column:
    """One column of a table, in the order of the table."""

    name: str
    type_name: str
    """As `format_type` writes it, with modifiers: `numeric(10,2)`, `public.mood[]`."""
    type_oid: int
    type_kind: str
    """`pg_type.typtype` of the column's own type: b, c, d, e, m, p or r."""
    base_type: str
    """The type with domains and arrays unwrapped: `pg_catalog.int4`, `public.mood`."""
    base_kind: str
    """`pg_type.typtype` of the base type."""
    labels: tuple[str, ...]
    """The labels of an enum base type in their order; empty for other types."""
    not_null: bool
    generated: bool
    """Computed from other columns, stored or virtual: it is never copied."""
    identity: bool
    has_default: bool
    is_array: bool
    """Whether the column's type is an array, or a domain over one."""
    expression: str = ""
    """What a generated column is computed by, as the server writes it."""
    shape: tuple[str, ...] = ()
    """The parts of a composite base type, and the checks of a domain."""
    deterministic: bool = True
    """False where texts that are written differently may count as equal."""

    @property
    def identifier(self) -> sql.Identifier:
        """The column's name, quoted."""
        return sql.Identifier(self.name)

    @property
    def binary_safe(self) -> bool:
        """Whether values may travel in binary form between two servers.

        Enums travel as their label, and arrays and domains as their elements; composite and
        extension types carry object identifiers or forms of their own, and travel as text.
        """
        if self.base_kind == "e":
            return True
        schema, _, name = self.base_type.partition(".")
        return schema == "pg_catalog" and name in _BINARY_SAFE


@dataclass(frozen=True)
class Partition:
    """A table below a partitioned root, at any depth."""

    oid: int
    schema: str
    name: str
    is_leaf: bool
    """False for a partition that is partitioned itself and holds no rows."""
    replica_identity: str
    """`pg_class.relreplident`, as for a table."""

    @property
    def identifier(self) -> sql.Identifier:
        """Schema and name, quoted."""
        return sql.Identifier(self.schema, self.name)

    @property
    def qualified(self) -> str:
        """`schema.name`, for people."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Table:
    """A table, or the root of a partition tree with its partitions."""

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """The columns that identify a row; empty where no index does."""
    key_source: str
    """`primary key`, `unique index NAME`, or empty."""
    key_index: str
    """The index behind the key; empty where there is none."""
    unique_keys: tuple[frozenset[str], ...]
    """The column sets of every index that could serve as a key."""
    replica_identity: str
    """`pg_class.relreplident`: d(efault), n(othing), f(ull) or i(ndex)."""
    kind: str
    """`r` for an ordinary table, `p` for a partitioned one."""
    partitions: tuple[Partition, ...]
    owner: str
    owned: bool
    """Whether the current user owns the table, itself or by a role it is a member of."""
    unlogged: bool
    has_foreign_key: bool
    """Whether a foreign key leads from or to the table."""
    rules: tuple[str, ...] = ()
    """What may refuse a row: unique indexes, exclusion and check constraints, and foreign keys."""

    @property
    def identifier(self) -> sql.Identifier:
        """Schema and name, quoted."""
        return sql.Identifier(self.schema, self.name)

    @property
    def qualified(self) -> str:
        """`schema.name`, for people and as the table's name in reports."""
        return f"{self.schema}.{self.name}"

    @property
    def leaves(self) -> tuple[Partition, ...]:
        """The partitions that hold rows."""
        return tuple(partition for partition in self.partitions if partition.is_leaf)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The key's columns in the key's order."""
        return tuple(self.column(name) for name in self.key)

    def column(self, name: str) -> Column:
        """The column of this name; raises KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def read_tables(
    connection: Connection, include: Sequence[str], exclude: Sequence[str] = ()
) -> tuple[Table, ...]:
    """The tables whose `schema.table` fits a pattern of `include` and none of `exclude`.

    In a pattern `*` stands for any characters and `?` for one. Partitions are represented by
    their root. failback's own schema is matched only by a pattern that names it.

    Raises:
        UnknownTablePatternError: a pattern matches no table.
    """
    rows = connection.execute(statement("catalogue_tables")).fetchall()
    by_name = {f"{row[1]}.{row[2]}": row for row in rows}
    excluded = _matching(by_name, exclude, "data.tables.exclude")
    included = _matching(by_name, include, "data.tables.include")
    return _described(connection, [by_name[name] for name in sorted(included - excluded)])


def read_named(connection: Connection, names: Iterable[str]) -> dict[str, Table]:
    """The tables with exactly these `schema.table` names, by name; unknown ones are left out."""
    wanted = frozenset(names)
    rows = connection.execute(statement("catalogue_tables")).fetchall()
    tables = _described(connection, [row for row in rows if f"{row[1]}.{row[2]}" in wanted])
    return {table.qualified: table for table in tables}


def _described(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> tuple[Table, ...]:
    """Tables with their columns and keys, in the order of the rows."""
    parameters = {"tables": [row[0] for row in rows]}
    columns: dict[int, list[Column]] = defaultdict(list)
    for row in connection.execute(statement("catalogue_columns"), parameters):
        columns[row[0]].append(_column(row))
    keys: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in connection.execute(statement("catalogue_keys"), parameters):
        keys[row[0]].append(row)
    return tuple(_table(row, tuple(columns[row[0]]), keys[row[0]]) for row in rows)


def _column(row: tuple[Any, ...]) -> Column:
    return Column(
        name=row[1],
        type_name=row[2],
        type_oid=row[3],
        type_kind=row[4],
        base_type=f"{row[5]}.{row[6]}",
        base_kind=row[7],
        labels=tuple(row[8]),
        not_null=row[9],
        generated=row[10] != "",
        identity=row[11] != "",
        has_default=row[12],
        is_array=row[13],
        expression=row[14],
        shape=tuple(row[15]),
        deterministic=row[16],
    )


def _table(
    row: tuple[Any, ...], columns: tuple[Column, ...], keys: Sequence[tuple[Any, ...]]
) -> Table:
    index, source, names = "", "", ()
    if keys:
        _, index, primary, _, names = keys[0]
        source = "primary key" if primary else f"unique index {index}"
    return Table(
        oid=row[0],
        schema=row[1],
        name=row[2],
        columns=columns,
        key=tuple(names),
        key_source=source,
        key_index=index,
        unique_keys=tuple(frozenset(key[4]) for key in keys),
        replica_identity=row[5],
        kind="p" if row[3] else "r",
        partitions=tuple(
            Partition(oid, schema, name, is_leaf, identity)
            for oid, schema, name, is_leaf, identity in row[9]
        ),
        owner=row[6],
        owned=row[7],
        unlogged=row[4],
        has_foreign_key=row[8],
        rules=tuple(row[10]),
    )


def _matching(names: Iterable[str], patterns: Sequence[str], key: str) -> frozenset[str]:
    """The names that fit any of the patterns; a pattern that fits none is an error."""
    names = tuple(names)
    found: set[str] = set()
    for pattern in patterns:
        expression = re.compile(_expression(pattern), re.DOTALL)
        own = pattern.startswith(f"{OWN_SCHEMA}.")
        fitting = {
            name
            for name in names
            if expression.fullmatch(name) and (own or not name.startswith(f"{OWN_SCHEMA}."))
        }
        if not fitting:
            raise UnknownTablePatternError(
                f"The pattern {pattern} under {key} matches no table.", _nearest(pattern, names)
            )
        found |= fitting
    return frozenset(found)


def _expression(pattern: str) -> str:
    """A pattern as a regular expression; only `*` and `?` are special in it."""
    return "".join(
        {"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern
    )


def _nearest(pattern: str, names: Sequence[str]) -> str:
    """A cure that names the tables nearest to a pattern."""
    candidates = [name for name in names if not name.startswith(f"{OWN_SCHEMA}.")]
    near = difflib.get_close_matches(pattern, candidates, n=3, cutoff=0.5)
    if near:
        return f"Write schema.table; near it are {', '.join(near)}."
    schemas = sorted({name.partition(".")[0] for name in candidates})
    return f"Write schema.table; the schemas with tables are {', '.join(schemas) or 'none'}."
