"""Keys that do not fit in memory are on disk, and all of them come back."""

from hypothesis import given
from hypothesis import strategies as st

from failback.reverse_sync.key_set import KeySet, packed, unpacked


@given(st.lists(st.binary(max_size=40)), st.integers(0, 5))
def test_key_set_when_bounded_again_and_again_then_every_key_is_there(
    keys: list[bytes], most: int
) -> None:
    found = KeySet()
    for key in keys:
        found.add(key)
        found.bound(most)
        assert len(found.held) <= most
    assert set(found) == set(keys)
    assert set(found) == set(keys)
    assert len(found) >= len(set(keys))
    assert bool(found) == bool(keys)


def test_key_set_when_keys_are_longer_than_a_block_then_they_come_back_whole() -> None:
    keys = [bytes([number]) * (700_000 + number) for number in range(5)]
    found = KeySet(keys)
    found.bound(0)
    found.add(b"later")
    assert set(found) == {*keys, b"later"}


def test_key_set_when_asked_for_a_key_then_it_looks_on_disk_as_well() -> None:
    found = KeySet([b"a"])
    found.bound(0)
    found.add(b"b")
    assert b"a" in found
    assert b"b" in found
    assert b"c" not in found


def test_keys_when_packed_then_they_are_unpacked_as_they_were() -> None:
    keys = [b"", b"b\0\0\0\x04\0\0\0\x01", bytes(300), b"t" * 70_000]
    assert list(unpacked(packed(keys))) == keys
    assert packed([]) == b""


@given(st.sets(st.binary(max_size=3)), st.sets(st.binary(max_size=3)), st.integers(0, 5))
def test_key_set_when_keys_are_left_out_then_neither_memory_nor_disk_tells_them(
    keys: set[bytes], left_out: set[bytes], most: int
) -> None:
    found = KeySet()
    for key in sorted(keys):
        found.add(key)
        found.bound(most)
    found.leave_out(left_out)
    assert set(found) == keys - left_out
    found.add(b"later")
    found.bound(0)
    assert set(found) == keys - left_out | {b"later"}
