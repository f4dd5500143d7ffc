"""Keys in the formats of COPY, made from the bytes in which the stream wrote them.

Changes when COPY's formats do, or the stream's. Hundreds of thousands of keys go through here while
a fence may be up: keys whose values are all of one length, as numbers and UUIDs are, are turned a
block at a time, and not key by key.
"""

from collections.abc import Iterator
from itertools import islice

from failback.reverse_sync.pgoutput import Keys, fields

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_BLOCK_KEYS = 4096
_BINARY_KIND = b"b"[0]
_BINARY_NULL, _TEXT_NULL = b"\xff\xff\xff\xff", b"\\N"
_HEAD = 5  # a value's kind and length
_MOST_COLUMNS = 255


def binary_blocks(keys: Keys) -> Iterator[bytes]:
    """Keys in the binary format of COPY: the values' bytes are passed on as they came."""
    lead = len(keys.names).to_bytes(2)
    yield _SIGNATURE
    for block in _blocks(keys):
        rows = _even_rows(block)
        if rows is None:
            rows = b"".join([lead + _binary_row(value, keys) for value in block])
        yield rows
    yield _TRAILER


def text_blocks(keys: Keys) -> Iterator[bytes]:
    """Keys in the text format of COPY."""
    for block in _blocks(keys):
        yield b"".join([_text_row(value, keys) for value in block])


def _blocks(keys: Keys) -> Iterator[list[bytes]]:
    values = iter(keys.values)
    while block := list(islice(values, _BLOCK_KEYS)):
        yield block


def _even_rows(block: list[bytes]) -> bytes | None:
    """The rows of a block in which every key has the same layout; None where they differ.

    A value has its kind before its length, and COPY wants the number of values before them all:
    the first kind, with a zero before it, becomes that number, and the others are taken out.
    """
    heads = _heads(block[0])
    if not heads or len(heads) > _MOST_COLUMNS:
        return None
    count, width = len(block), len(block[0]) + 1
    rows = bytearray(b"\0" + b"\0".join(block))
    if len(rows) != count * width:
        return None
    for head in heads:
        for place in range(head, head + _HEAD):
            if rows[place::width] != rows[place : place + 1] * count:
                return None
    rows[1::width] = bytes((len(heads),)) * count
    for taken, head in enumerate(reversed(heads[1:])):
        del rows[head :: width - taken]
    return bytes(rows)


def _heads(key: bytes) -> list[int]:
    """Where each value of a key begins, counted with a zero before it; none if one is no binary."""
    heads, place = [], 0
    while place < len(key):
        if key[place] != _BINARY_KIND:
            return []
        heads.append(place + 1)
        place += _HEAD + int.from_bytes(key[place + 1 : place + _HEAD])
    return heads


def _binary_row(key: bytes, keys: Keys) -> bytes:
    return b"".join(
        [
            _BINARY_NULL if value is None else len(value).to_bytes(4) + value
            for value in _values(key, keys, binary=True)
        ]
    )


def _text_row(key: bytes, keys: Keys) -> bytes:
    parts = [
        _TEXT_NULL
        if value is None
        else value.replace(b"\\", b"\\\\")
        .replace(b"\t", b"\\t")
        .replace(b"\n", b"\\n")
        .replace(b"\r", b"\\r")
        for value in _values(key, keys, binary=False)
    ]
    return b"\t".join(parts) + b"\n"


def _values(key: bytes, keys: Keys, *, binary: bool) -> Iterator[bytes | None]:
    """The values of a key, every one in the form that was announced."""
    for is_binary, value in fields(key, whole_row=keys.whole_row):
        if value is not None and is_binary is not binary:
            announced, came = ("in binary form", "as text")[:: 1 if binary else -1]
            raise ValueError(f"A key that was announced {announced} came {came}.")
        yield value
