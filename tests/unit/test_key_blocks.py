"""Keys in COPY's formats, whether they are turned one by one or a block at a time."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.reverse_sync.key_blocks import binary_blocks, text_blocks
from failback.reverse_sync.key_set import KeySet
from failback.reverse_sync.pgoutput import Keys, ProtocolError, Relation

from support.stream import value

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
Row = tuple[bytes, ...]


def keys_of(rows: set[Row], columns: int, kind: bytes = b"b") -> Keys:
    names = tuple(f"c{number}" for number in range(columns))
    values = KeySet(b"".join(value(each, kind) for each in row) for row in rows)
    return Keys(Relation(1, "public", "t", names), names, values)


def copied(data: bytes) -> set[tuple[bytes | None, ...]]:
    """Rows as the server reads them."""
    assert data.startswith(HEADER)
    at, rows = len(HEADER), set()
    while (count := struct.unpack_from("!h", data, at)[0]) != -1:
        at += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from("!i", data, at)
            at += 4
            row.append(None if length == -1 else data[at : at + length])
            at += max(0, length)
        rows.add(tuple(row))
    assert at + 2 == len(data)
    return rows


@given(st.data(), st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_binary_blocks_when_values_are_of_one_length_then_every_key_arrives(
    data: st.DataObject, lengths: list[int]
) -> None:
    row = st.tuples(*(st.binary(min_size=length, max_size=length) for length in lengths))
    rows = data.draw(st.sets(row, min_size=1, max_size=30))
    assert copied(b"".join(binary_blocks(keys_of(rows, len(lengths))))) == rows


@given(st.sets(st.tuples(st.binary(max_size=6), st.binary(max_size=6)), max_size=30))
def test_binary_blocks_when_values_are_of_several_lengths_then_every_key_arrives(
    rows: set[Row],
) -> None:
    assert copied(b"".join(binary_blocks(keys_of(rows, 2)))) == rows


def test_binary_blocks_when_rows_are_of_one_length_and_values_are_not_then_every_key_arrives() -> (
    None
):
    rows = {(b"a", b"bcd"), (b"abc", b"d"), (b"ab", b"cd")}
    assert copied(b"".join(binary_blocks(keys_of(rows, 2)))) == rows


def test_binary_blocks_when_there_are_many_keys_then_every_block_arrives() -> None:
    rows = {(number.to_bytes(8),) for number in range(10_000)}
    blocks = list(binary_blocks(keys_of(rows, 1)))
    assert len(blocks) > 3
    assert copied(b"".join(blocks)) == rows


def test_binary_blocks_when_a_row_without_a_key_has_a_null_then_it_arrives() -> None:
    names = ("a", "b")
    values = KeySet([value(b"1") + value(None), value(b"1") + value(b"2")])
    keys = Keys(Relation(1, "public", "t", names), names, values, whole_row=True)
    assert copied(b"".join(binary_blocks(keys))) == {(b"1", None), (b"1", b"2")}


def test_binary_blocks_when_a_value_came_as_text_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="came as text"):
        b"".join(binary_blocks(keys_of({(b"1",)}, 1, kind=b"t")))


def test_binary_blocks_when_a_key_is_not_complete_then_it_is_refused() -> None:
    names = ("a", "b")
    keys = Keys(Relation(1, "public", "t", names), names, KeySet([value(b"1") + value("same")]))
    with pytest.raises(ProtocolError, match="without a complete key"):
        b"".join(binary_blocks(keys))


def test_text_blocks_when_values_have_what_copy_gives_a_meaning_then_it_is_escaped() -> None:
    keys = keys_of({(b"a\tb\\c\nd\re", b"f")}, 2, kind=b"t")
    assert b"".join(text_blocks(keys)) == b"a\\tb\\\\c\\nd\\re\tf\n"
