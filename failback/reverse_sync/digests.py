"""Digests of tables: SQL that hashes rows exactly, equal on both sides and on any version.

Changes when rows are summed in another way. A digest is the count of rows and the sums of two
differently seeded 64-bit hashes of their images (`row_image.py`); sums do not depend on the order
of rows, and those of ranges add up to that of their table.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, LiteralString

from psycopg import sql

from failback.models.sync import TableProblem
from failback.reverse_sync.catalogue import Column, Table
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.key_hash import key_hash, record_hash
from failback.reverse_sync.row_image import Form, Value, exact, image, mixed, row
from failback.reverse_sync.statements import statement

_SEEDS = (0x5EED_0001, 0x5EED_0002)

# Sorted by value on every server; text is added where it sorts by bytes on both sides.
_SORTED = "int2 int4 int8 numeric date time timestamp timestamptz uuid bytea oid bool"
_ORDERED = frozenset(_SORTED.split())
_TEXTS = frozenset(["text", "varchar"])


_SHOWN_CHARACTERS = 1000
_MOST_BUCKETS = 4096
_BYTES_PER_ROW = 100
_EXPECTED_DIFFERENCES = 32

RowHash = tuple[int, int]
Key = tuple[str, ...]


@dataclass(frozen=True)
class Range:
    """Keys from `start` up to but not including `end`, as text; None is open."""

    start: tuple[str, ...] | None = None
    end: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Digest:
    """Rows and the two sums of their hashes."""

    rows: int = 0
    first: int = 0
    second: int = 0

    def __add__(self, other: "Digest") -> "Digest":
        return Digest(self.rows + other.rows, self.first + other.first, self.second + other.second)

    def minus(self, other: "Digest") -> "Digest":
        """The digest that is left when some of the rows are taken out."""
        return Digest(self.rows - other.rows, self.first - other.first, self.second - other.second)

    def without(self, hashes: RowHash) -> "Digest":
        """The digest that is left when one row is taken out."""
        return Digest(self.rows - 1, self.first - hashes[0], self.second - hashes[1])

    def __str__(self) -> str:
        mask = (1 << 64) - 1
        return f"{self.first & mask:016x}{self.second & mask:016x}"


@dataclass(frozen=True)
class Comparison:
    """One table as it is compared: the same SQL serves both sides."""

    table: Table
    """As the target has it."""
    values: tuple[Value, ...]
    """The exact form of each compared column, by the order of the target's columns."""
    key_values: tuple[Value, ...]
    ordered: bool
    """Whether a range of keys holds the same rows on both sides."""
    form: Form
    types: tuple[str, ...] = ()
    """Both sides' columns with their types, in order."""

    @property
    def identity(self) -> str:
        """Changes with whatever decides which rows have which digest."""
        parts = [self.form.value, *self.types, *self.table.key]
        parts += [each.as_string() for each in (*self._hashing().values(), self._key())]
        return sha256("\n".join(parts).encode()).hexdigest()

    def chunk(self, within: Range, buckets: int, bounds: Sequence[Key] = ()) -> sql.Composed:
        """A query for (code, rows, sum, sum) by chunk and bucket.

        Args:
            within: the rows to look at.
            buckets: of each chunk; a power of two.
            bounds: where chunks begin, but for the first; the code of a row is the number of its
                chunk among all that these part the table into, times `buckets`, plus its bucket.
        """
        # A code that is the same for all rows spares the server to group them: a sixth of the time.
        parted = buckets > 1 or bounds
        code = sql.SQL("chunk::bigint * {} + bucket" if parted else "0::bigint")
        return sql.SQL(statement("digest_chunk")).format(
            code=code.format(sql.Literal(buckets)),
            bucket=self._bucket(sql.Identifier("key"), buckets),
            chunk=self.place(bounds),
            key=self._key() if buckets > 1 else sql.SQL("NULL::bytea"),
            **self._hashing(),
            range=self._range(within),
        )

    def rows(
        self, within: Range, buckets: int, wanted: Sequence[int], bounds: Sequence[Key] = ()
    ) -> sql.Composed:
        """A query for (key as text[], hash, hash) of the rows with the wanted codes."""
        return sql.SQL(statement("digest_rows")).format(
            names=self._names(),
            bucket=self._bucket(self._key(), buckets),
            chunk=self.place(bounds),
            size=sql.Literal(buckets),
            buckets=sql.Literal(list(wanted)),
            **self._hashing(),
            range=self._range(within),
        )

    def some(self) -> sql.Composed:
        """The same for rows by key: one parameter, a list of texts, for each key column."""
        key = self.table.key_columns
        wanted = [sql.Identifier(f"k{place}") for place, _ in enumerate(key)]
        return sql.SQL(statement("digest_keys")).format(
            names=self._names(),
            **self._hashing(),
            columns=sql.SQL(", ").join(column.identifier for column in key),
            **self.wanted_keys(wanted),
        )

    def wanted_keys(self, wanted: Sequence[sql.Identifier]) -> dict[str, sql.Composable]:
        """The parts of a statement that takes keys: a list of texts for each key column."""
        key, comma = self.table.key_columns, sql.SQL(", ")
        return {
            "casts": comma.join(_cast(w, c.type_name) for w, c in zip(wanted, key, strict=True)),
            "arrays": comma.join([sql.SQL("%s::text[]")] * len(key)),
            "wanted": comma.join(wanted),
        }

    def place(self, bounds: Sequence[Key]) -> sql.Composable:
        """An expression for the number of a row's chunk, 0 before the first of the bounds."""
        columns = self.table.key_columns
        if not bounds:
            return sql.SQL("0")
        comma = sql.SQL(", ")
        if len(columns) == 1:
            starts = _cast(sql.Literal([bound[0] for bound in bounds]), f"{columns[0].type_name}[]")
            return sql.SQL("width_bucket({}, {})").format(
                sortable(columns[0], columns[0].identifier), starts
            )
        rows = comma.join(
            row(
                [
                    sortable(column, _cast(sql.Literal(value), column.type_name))
                    for value, column in zip(bound, columns, strict=True)
                ]
            )
            for bound in bounds
        )
        return sql.SQL("width_bucket({}, ARRAY[{}])").format(
            row([sortable(column, column.identifier) for column in columns]), rows
        )

    def bounds(self, parts: int, percent: float) -> sql.Composed:
        """A query for the keys, as text, that part the table into about so many ranges."""
        key = self.table.key_columns
        comma, aliases = sql.SQL(", "), [sql.Identifier(f"k{n}") for n, _ in enumerate(key)]
        return sql.SQL(statement("digest_bounds")).format(
            names=comma.join(_cast(alias, "text") for alias in aliases),
            aliased=comma.join(column.identifier for column in key),
            aliases=comma.join(aliases),
            columns=comma.join(column.identifier for column in key),
            table=self.table.identifier,
            percent=sql.Literal(percent),
            parts=sql.Literal(parts),
        )

    def _hashing(self) -> dict[str, sql.Composable]:
        only: LiteralString = "ONLY {}" if self.table.kind == "r" else "{}"
        if self.form is Form.BINARY:
            first, second = (mixed(seed) for seed in _SEEDS)
        else:
            first, second = (
                sql.SQL("('x' || encode(substr(image, {}, 8), 'hex'))::bit(64)::bigint").format(
                    sql.Literal(start)
                )
                for start in (1, 9)
            )
        table = sql.SQL(only).format(self.table.identifier)
        return {"image": self._image, "first": first, "second": second, "table": table}

    @property
    def _image(self) -> sql.Composable:
        return image(self.values) if self.form is Form.BINARY else _text_digest(self.values)

    def _key(self) -> sql.Composable:
        """What buckets are told by: a number, or else a digest of the key's text."""
        if self.form is Form.TEXT:
            return _text_digest(self.key_values or self.values)
        # Without a key a row is known by all its values.
        return key_hash(self.key_values) if self.key_values else record_hash(self.values)

    def _bucket(self, key: sql.Composable, buckets: int) -> sql.Composable:
        if buckets == 1:
            return sql.SQL("0::bigint")
        number = sql.SQL("{}").format(key)
        if self.form is Form.TEXT:
            number = sql.SQL("('x' || encode(substr({}, 1, 4), 'hex'))::bit(32)::bigint").format(
                key
            )
        return sql.SQL("({} & {}::bigint)").format(number, sql.Literal(buckets - 1))

    def _names(self) -> sql.Composed:
        if not self.key_values:
            shown = row([value.expression for value in self.values])
            return sql.SQL("left({}::text, {})").format(shown, sql.Literal(_SHOWN_CHARACTERS))
        return sql.SQL(", ").join(_cast(c.identifier, "text") for c in self.table.key_columns)

    def _range(self, within: Range) -> sql.Composed:
        columns = self.table.key_columns
        return in_range([column.identifier for column in columns], columns, within)


def digested(rows: Iterable[Sequence[Any]]) -> dict[int, Digest]:
    """What `Comparison.chunk` returned, by code."""
    return {row[0]: Digest(row[1], int(row[2]), int(row[3])) for row in rows}


def unlike_codes(source: Mapping[int, Digest], target: Mapping[int, Digest]) -> dict[int, int]:
    """The codes whose digests the sides do not share, in order, each with its rows."""
    found = {}
    for code in sorted(source.keys() | target.keys()):
        ours, theirs = source.get(code, Digest()), target.get(code, Digest())
        if ours != theirs:
            found[code] = max(ours.rows, theirs.rows)
    return found


def bucket_count(size: int) -> int:
    """A power of two, so that a few dozen rows that differ are found with the fewest answers.

    Each bucket is an answer, and so is each row beside one that differs: with n rows and d that
    differ, the root of n times d buckets are the fewest of both.

    Args:
        size: bytes of the rows that are parted.
    """
    wanted = math.isqrt(size // _BYTES_PER_ROW * _EXPECTED_DIFFERENCES)
    return min(_MOST_BUCKETS, 1 << max(0, wanted.bit_length() - 1))


def in_range(
    values: Sequence[sql.Composable], columns: Sequence[Column], within: Range
) -> sql.Composed:
    """A condition that some values, as those of a key's columns, are in a range."""
    row = sql.SQL("({})").format(sql.SQL(", ").join(values))
    limits = []
    for template, bound in (
        (sql.SQL("{} >= ({})"), within.start),
        (sql.SQL("{} < ({})"), within.end),
    ):
        if bound is not None:
            texts = sql.SQL(", ").join(
                _cast(sql.Literal(value), column.type_name)
                for value, column in zip(bound, columns, strict=True)
            )
            limits.append(template.format(row, texts))
    return sql.SQL(" AND ").join(limits) if limits else sql.Composed([sql.SQL("true")])


def compared(
    source: Table,
    target: Table,
    form: Form,
    bytewise: Mapping[int, frozenset[str]] | None = None,
) -> tuple[Comparison, tuple[TableProblem, ...]]:
    """How one table is compared, columns matched by name, and what keeps it from being equal.

    Args:
        source: the table on the source.
        target: the table of the same name on the target.
        form: how rows are hashed.
        bytewise: by a table's oid on the target, the text columns that sort by bytes on both
            sides.
    """
    on_source = {column.name: column for column in source.columns if not column.generated}
    problems = []
    values: dict[str, Value] = {}
    for column in target.columns:
        if column.generated:
            continue
        if column.name not in on_source:
            table = target.identifier.as_string()
            name = column.identifier.as_string()
            problems.append(
                TableProblem(
                    table=target.qualified,
                    problem=f"Column {column.name} is missing on the source.",
                    cure=f"ALTER TABLE {table} ADD COLUMN {name} {column.type_name};",
                )
            )
            continue
        values[column.name] = exact(column, on_source[column.name], form)
    texts = (bytewise or {}).get(target.oid, frozenset())
    return Comparison(
        table=target,
        values=tuple(values.values()),
        key_values=tuple(values[name] for name in target.key if name in values),
        ordered=all(_ordered(column, texts) for column in target.key_columns),
        form=form,
        types=tuple(f"{c.name} {c.type_name}" for c in (*source.columns, *target.columns)),
    ), tuple(problems)


def agreed_form(connections: Sequence[Connection]) -> Form:
    """The fast form where all servers hash fixed values of every type alike, else the slow."""
    query = sql.SQL(statement("digest_probe")).format(seed=sql.Literal(_SEEDS[0]))
    hashes = {connection.execute(query).fetchall()[0][0] for connection in connections}
    return Form.BINARY if len(hashes) == 1 else Form.TEXT


def sortable(column: Column, value: sql.Composable) -> sql.Composable:
    """A key's value as chunks sort it: texts by bytes, as both sides do where chunks are used."""
    if column.base_type.removeprefix("pg_catalog.") in _TEXTS:
        return sql.SQL('{} COLLATE "C"').format(value)
    return value


def _ordered(column: Column, bytewise: frozenset[str]) -> bool:
    schema, _, base = column.base_type.partition(".")
    if schema != "pg_catalog" or column.type_kind != "b" or column.is_array:
        return False
    return base in _ORDERED or (base in _TEXTS and column.name in bytewise)


def _text_digest(values: Sequence[Value]) -> sql.Composed:
    text = row([value.expression for value in values])
    return sql.SQL("sha256(convert_to(({})::text, 'UTF8'))").format(text)


def _cast(value: sql.Composable, type_name: str) -> sql.Composed:
    """A cast to a type as the server's own `format_type` writes it."""
    written: LiteralString = type_name
    return sql.SQL("{}::{}").format(value, sql.SQL(written))
