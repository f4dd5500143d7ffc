"""A cheap number for each key, by which the rows of a chunk are parted into buckets.

Changes when another type of key is hashed by a function of its own. What it is worth: for rows of
some columns the image of a composite key and that image's hash are a third of a digest's cost.
Equal keys have equal numbers on both sides; unequal ones may, because buckets prove nothing.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import LiteralString

from psycopg import sql

from failback.reverse_sync.catalogue import Column

_WHOLE: LiteralString = "hashint8extended({}, {})"
_FUNCTIONS: Mapping[str, LiteralString] = MappingProxyType(
    {
        "pg_catalog.int2": _WHOLE,
        "pg_catalog.int4": _WHOLE,
        "pg_catalog.int8": _WHOLE,
        "pg_catalog.uuid": "uuid_hash_extended({}, {})",
    }
)
"""Of the value and a seed; `digest_probe.sql` asks whether two servers agree on them."""


def key_hash(
    columns: Sequence[Column], expressions: Sequence[sql.Composable]
) -> sql.Composable | None:
    """An expression for a key's 64-bit number; None where a column's type has no cheap one.

    Args:
        columns: of the key.
        expressions: the exact form of each; one that is not the column itself has no number.
    """
    if not columns or len(columns) != len(expressions):
        return None
    hashed: sql.Composable = sql.SQL("0")
    for column, expression in zip(columns, expressions, strict=True):
        function = _FUNCTIONS.get(column.base_type)
        if function is None or expression != column.identifier:
            return None
        # Each value's hash is the next one's seed, so that the order of values counts.
        hashed = sql.SQL(function).format(expression, hashed)
    return hashed
