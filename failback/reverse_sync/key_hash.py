"""A cheap number for each key, by which the rows of a chunk are parted into buckets.

Changes when another type of key is hashed by a function of its own, which takes a third of the time
that the hash of a record of it does. Equal keys have equal numbers on both sides; unequal ones may,
because buckets prove nothing.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import LiteralString

from psycopg import sql

from failback.reverse_sync.row_image import Value, image

_WHOLE: LiteralString = "hashint8extended({}, {})"
_FUNCTIONS: Mapping[str, LiteralString] = MappingProxyType(
    {"int2": _WHOLE, "int4": _WHOLE, "int8": _WHOLE, "uuid": "uuid_hash_extended({}, {})"}
)
"""Of the value and a seed; `digest_probe.sql` asks whether two servers agree on them."""


def key_hash(key: Sequence[Value]) -> sql.Composable:
    """An expression for the 64-bit number of a key, none of whose values is NULL."""
    hashed: sql.Composable = sql.SQL("0")
    for value in key:
        function = _FUNCTIONS.get(value.kind)
        if function is None:
            return record_hash(key)
        # Each value's hash is the next one's seed, so that the order of values counts.
        hashed = sql.SQL(function).format(value.expression, hashed)
    return hashed


def record_hash(values: Sequence[Value]) -> sql.Composed:
    """The same of any values, NULL or not."""
    return sql.SQL("hash_record_extended({}, 0)").format(image(values))
