"""A row as it is hashed: SQL whose record hash depends on every bit of every value.

Changes when a type needs another exact form. Postgres's own hash of a record takes 1.0 for 1.00 and
-0 for 0, folds 64 bits into 32, and counts trailing blanks as nothing; so only values of types
whose hash reads all there is are hashed as they are, and the others in their binary form. Values
whose binary form carries object identifiers travel as text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import LiteralString

from psycopg import sql

from failback.reverse_sync.catalogue import Column

_AS_IT_IS: LiteralString = "{}"
_BYTES: LiteralString = '{} COLLATE "C"'
_SENT_WHOLE: LiteralString = "int8send({})"

_TEXT = "text"
_ARRAY = "an array"
_WHOLE_NUMBER = "int8"
_FLOATS = frozenset(["float4", "float8"])

_READ_WHOLE = "bool int2 int4 date oid uuid bytea inet cidr macaddr macaddr8"
_RANGES = "int4range int8range numrange daterange tsrange tstzrange"
_MULTIRANGES = (
    "int4multirange int8multirange nummultirange datemultirange tsmultirange tstzmultirange"
)
_FIELD: Mapping[str, LiteralString] = MappingProxyType(
    dict.fromkeys(_READ_WHOLE.split(), _AS_IT_IS)
    | dict.fromkeys((_TEXT, "varchar"), _BYTES)
    | dict.fromkeys(_RANGES.split(), "range_send({})")
    | dict.fromkeys(_MULTIRANGES.split(), "multirange_send({})")
    | {
        "numeric": "numeric_send({})",
        "money": "cash_send({})",
        "bpchar": "bpcharsend({})",
        "char": "charsend({})",
        "name": "namesend({})",
        "json": "json_send({})",
        "jsonb": "jsonb_send({})",
        "time": "time_send({})",
        "timetz": "timetz_send({})",
        "timestamp": "timestamp_send({})",
        "timestamptz": "timestamptz_send({})",
        "interval": "interval_send({})",
        "bit": "bit_send({})",
        "varbit": "varbit_send({})",
        "tsvector": "tsvectorsend({})",
        "xid": "xidsend({})",
        "xid8": "xid8send({})",
        "pg_lsn": "pg_lsn_send({})",
        "float4": "float4send({})",
        "float8": "float8send({})",
        _ARRAY: "array_send({})",
    }
)
_FIELDS: Mapping[str, tuple[LiteralString, ...]] = MappingProxyType(
    {kind: (field,) for kind, field in _FIELD.items()}
    # The hash of a whole number folds its upper half into the lower one: the pair tells them apart.
    | {_WHOLE_NUMBER: ("{}", "({} >> 32)")}
)
"""By type: what of a value is hashed. A type that is not here is hashed as text.
`digest_probe.sql` asks whether two servers agree on them."""

# A row expression has at most 1 664 entries.
_MOST_IN_HALVES = 800


class Form(StrEnum):
    """How a row becomes a number."""

    BINARY = "binary"
    """Postgres's own hash of `image`: fast; used where both servers agree on it."""
    TEXT = "text"
    """SHA-256 of the row's text: slow; needs nothing but the same text on both sides."""


@dataclass(frozen=True)
class Value:
    """A column's value in a form that tells apart whatever two stored ones differ in."""

    expression: sql.Composable
    kind: str
    """The built-in type of the expression."""


def exact(column: Column, other: Column, form: Form) -> Value:
    """A column's value as it is compared with another one's.

    Args:
        column: the column.
        other: that of the same name on the other side.
        form: how rows are hashed.
    """
    name = column.identifier
    schema, _, base = column.base_type.partition(".")
    alike = (column.base_type, column.is_array) == (other.base_type, other.is_array)
    if alike and column.base_type == "pg_catalog.bpchar" and not column.is_array:
        # A cast to text would drop trailing blanks, which are kept where a length is not given.
        return Value(name, base)
    if (
        form is Form.TEXT
        or not alike
        or schema != "pg_catalog"
        or base not in _FIELDS
        # The binary form of an array of a domain carries that domain's identifier.
        or (column.is_array and ("." in column.type_name or base in _FLOATS))
    ):
        return Value(sql.SQL("{}::text").format(name), _TEXT)
    if column.is_array:
        return Value(name, _ARRAY)
    if base in _FLOATS:
        # The bits of not-a-number vary with how it was computed, and do not survive text.
        one = sql.SQL("CASE WHEN {0} = 'NaN' THEN 'NaN'::{1} ELSE {0}::{1} END")
        return Value(one.format(name, sql.Identifier(base)), base)
    if column.type_kind == "d":
        return Value(sql.SQL("{}::pg_catalog.{}").format(name, sql.Identifier(base)), base)
    return Value(name, base)


def row(expressions: Sequence[sql.Composable]) -> sql.Composed:
    """A row expression."""
    return sql.SQL("ROW({})").format(sql.SQL(", ").join(expressions))


def image(values: Sequence[Value]) -> sql.Composed:
    """A row expression whose record hash depends on every bit of the values.

    The hash of a record adds those of its fields up, each with its own factor, so that two rows
    which exchange a value have the same sum of hashes: `mixed` is what may be summed.
    """
    fields = dict(_FIELDS)
    if len(values) > _MOST_IN_HALVES:
        fields[_WHOLE_NUMBER] = (_SENT_WHOLE,)
    return row(
        [
            sql.SQL(field).format(value.expression)
            for value in values
            for field in fields[value.kind]
        ]
    )


def mixed(seed: int) -> sql.Composed:
    """A 64-bit number, as an expression, for the row called `image` and a seed."""
    return sql.SQL("hashint8extended(0, hash_record_extended(image, {}))").format(sql.Literal(seed))
