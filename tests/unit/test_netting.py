"""What the server counted comes to the same keys as what it told one by one."""

import struct
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from failback.reverse_sync.netting import Netting
from failback.reverse_sync.pgoutput import MARKER, Changes, Decoder, ProtocolError

from support.stream import (
    NOTE,
    PAIR,
    begin,
    commit,
    delete,
    insert,
    message,
    relation,
    row,
    truncate,
    update,
)

KEY_OF = {NOTE: ("id",), PAIR: ("b", "a")}
NOTE_KEYS = relation(NOTE, "note", "id")
PAIR_KEYS = relation(PAIR, "pair", "a", "b", "c")
STREAM = (
    begin(100, xid=7),
    NOTE_KEYS,
    insert(NOTE, b"1"),
    update(NOTE, row(b"1")),
    update(NOTE, row(b"1")),
    commit(100, 110),
    begin(200, xid=8),
    PAIR_KEYS,
    insert(PAIR, b"1", b"2", b"x"),
    update(PAIR, row(b"1", b"3", b"x"), b"K" + row(b"1", b"2", None)),
    delete(NOTE, row(b"2")),
    commit(200, 230),
)


def told(messages: Sequence[bytes]) -> list[bytes]:
    """Rows as the server's query returns them: counted, and what is no change first."""
    counted = Counter(messages)
    ordered = sorted(counted, key=lambda each: each[:1] in b"IUD")
    return [_row(counted[each], each, None) for each in ordered]


def packed(messages: Sequence[bytes]) -> list[bytes]:
    """The same where like changes come together: how they begin, and what follows in each."""
    changes = [each for each in messages if each[:1] in b"IUD"]
    alike: dict[tuple[bytes, int], list[bytes]] = {}
    for each in changes:
        alike.setdefault((each[:6], len(each)), []).append(each[6:])
    others = told([each for each in messages if each not in changes])
    return others + [_row(len(rest), head, b"".join(rest)) for (head, _), rest in alike.items()]


def _row(times: int, head: bytes, rest: bytes | None) -> bytes:
    length = struct.pack("!i", -1 if rest is None else len(rest))
    lead = b"\0\3" + struct.pack("!iqi", 8, times, len(head))
    return lead + head + length + (rest or b"")


Tell = Callable[[Sequence[bytes]], list[bytes]]


def net(
    messages: Sequence[bytes], *, unseen: frozenset[int] = frozenset(), tell: Tell = told
) -> Netting:
    netting = Netting(lambda found: KEY_OF.get(found.oid), lambda xid: xid not in unseen)
    netting.consume([tell(messages)])
    return netting


def keys(changes: Changes) -> dict[int, set[bytes]]:
    return {each.relation.oid: set(each.values) for each in changes.keys}


@pytest.mark.parametrize("tell", [told, packed])
def test_netting_when_keys_changed_often_then_it_finds_what_the_decoder_finds(tell: Tell) -> None:
    one_by_one = Decoder(lambda found: KEY_OF.get(found.oid), lambda _: True).consume([STREAM])
    netted = net(STREAM, tell=tell).changes
    assert keys(netted) == keys(one_by_one)
    assert (netted.messages, netted.changes) == (one_by_one.messages, one_by_one.changes)
    assert (netted.end, netted.oldest) == (one_by_one.end, one_by_one.oldest)
    assert netted.barrier is None


def test_netting_when_transactions_are_not_seen_then_the_first_of_them_is_the_barrier() -> None:
    assert net(STREAM, unseen=frozenset({7, 8})).changes.barrier == 100
    assert net(STREAM, unseen=frozenset({8})).changes.barrier == 200


def test_netting_when_a_table_was_truncated_then_it_is_told() -> None:
    assert set(net((*STREAM, truncate(NOTE, PAIR))).changes.truncated) == {NOTE, PAIR}


def test_netting_when_a_transaction_is_our_own_then_order_matters() -> None:
    assert not net((*STREAM, message("other"))).order_matters
    assert net((*STREAM, message(MARKER))).order_matters


def test_netting_when_a_relation_is_described_in_two_ways_then_order_matters() -> None:
    assert not net((*STREAM, NOTE_KEYS)).order_matters
    assert net((*STREAM, relation(NOTE, "note", "id", "extra"))).order_matters


@pytest.mark.parametrize("tell", [told, packed])
def test_netting_when_a_relation_is_not_ours_then_its_changes_are_left_out(tell: Tell) -> None:
    other = relation(300, "other", "id")
    found = net((*STREAM, other, insert(300, b"9")), tell=tell).changes
    assert 300 not in keys(found)


@pytest.mark.parametrize("tell", [told, packed])
def test_netting_when_a_relation_was_not_described_then_it_is_refused(tell: Tell) -> None:
    with pytest.raises(ProtocolError, match="not described"):
        net((*STREAM, insert(300, b"9")), tell=tell)
