"""Messages built by hand after the protocol's description, and what is netted out of them."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.reverse_sync.pgoutput import (
    Changes,
    Decoder,
    ProtocolError,
    Relation,
    Snapshot,
    fields,
    lsn_number,
    lsn_text,
)

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
    value,
)

NOTE_KEYS = relation(NOTE, "note", "id")
RECORDED_OID = 17207
RECORDED = [
    bytes.fromhex(line)
    for line in (
        "420000000055b01a70000303fea43bda200000519e",
        "52000043377075626c69630074006400010169640000000017ffffffff",
        "49000043374e0001620000000400000001",
        "55000043374b00016200000004000000014e0001620000000400000002",
        "44000043374b0001620000000400000002",
        "43000000000055b01a700000000055b01aa0000303fea43bda20",
        "420000000055b02638000303fea43bdd0c0000519f",
        "52000043377075626c69630074006400010169640000000017ffffffff",
        "54000000010000004337",
        "43000000000055b026380000000055b027a8000303fea43bdd0c",
    )
]
KEY_OF = {NOTE: ("id",), PAIR: ("b", "a"), RECORDED_OID: ("id",)}


def decode(
    messages: Sequence[bytes], *, unseen: frozenset[int] = frozenset(), known: int = 0
) -> Changes:
    decoder = Decoder(lambda found: KEY_OF.get(found.oid), lambda xid: xid not in unseen, known)
    return decoder.consume([messages])


def keys(changes: Changes, oid: int) -> set[tuple[bytes, ...]]:
    return {
        tuple(data for _, data in fields(key))
        for found in changes.keys
        if found.relation.oid == oid
        for key in found.values
    }


def test_decoder_when_one_key_changes_many_times_then_it_is_one_key() -> None:
    changes = decode(
        [
            begin(10),
            NOTE_KEYS,
            insert(NOTE, b"1"),
            update(NOTE, row(b"1")),
            delete(NOTE, row(b"2")),
            commit(10, 20),
            begin(30),
            update(NOTE, row(b"1")),
            commit(30, 40),
        ]
    )
    assert keys(changes, NOTE) == {(b"1",), (b"2",)}
    assert (changes.changes, changes.transactions, changes.end) == (4, 2, 40)
    assert changes.barrier is None
    assert changes.oldest == datetime(2000, 1, 2, tzinfo=UTC)


def test_decoder_when_a_key_is_changed_then_both_keys_count() -> None:
    changed = update(NOTE, row(b"new"), b"K" + row(b"old"))
    assert keys(decode([begin(10), NOTE_KEYS, changed]), NOTE) == {(b"old",), (b"new",)}


def test_decoder_when_a_large_key_is_unchanged_then_the_old_value_stands_for_it() -> None:
    changed = update(NOTE, row("unchanged"), b"K" + row(b"large"))
    assert keys(decode([begin(10), NOTE_KEYS, changed]), NOTE) == {(b"large",)}


def test_decoder_when_whole_rows_are_sent_then_the_key_is_picked_by_name() -> None:
    described = relation(PAIR, "pair", "a", "x", "b")
    changes = decode(
        [
            begin(10),
            described,
            insert(PAIR, b"a1", b"x1", b"b1"),
            update(PAIR, row(b"a2", b"x", b"b2"), b"O" + row(b"a1", b"x1", b"b1")),
            delete(PAIR, row(b"a3", None, b"b3"), b"O"),
        ]
    )
    assert changes.keys[0].names == ("a", "b")
    assert keys(changes, PAIR) == {(b"a1", b"b1"), (b"a2", b"b2"), (b"a3", b"b3")}


def test_decoder_when_a_relation_is_described_anew_then_its_keys_stay_apart() -> None:
    again = relation(PAIR, "pair", "b", "a")
    changes = decode(
        [
            begin(1),
            relation(PAIR, "pair", "a", "b"),
            insert(PAIR, b"1", b"2"),
            again,
            insert(PAIR, b"3", b"4"),
            commit(1, 2),
        ]
    )
    assert [found.names for found in changes.keys] == [("a", "b"), ("b", "a")]


def test_decoder_when_a_relation_gets_another_column_then_only_its_key_is_taken() -> None:
    changes = decode(
        [
            begin(1),
            NOTE_KEYS,
            insert(NOTE, b"1"),
            relation(NOTE, "note", "id", "body"),
            insert(NOTE, b"2", b"long"),
            commit(1, 2),
        ]
    )
    assert keys(changes, NOTE) == {(b"1",), (b"2",)}


def test_decoder_when_a_transaction_is_not_seen_then_it_is_the_barrier_and_counts() -> None:
    changes = decode(
        [
            begin(10, xid=5),
            NOTE_KEYS,
            insert(NOTE, b"1"),
            commit(10, 20),
            begin(30, xid=6),
            insert(NOTE, b"2"),
            commit(30, 40),
            begin(50, xid=7),
            insert(NOTE, b"3"),
            commit(50, 60),
        ],
        unseen=frozenset({6}),
    )
    assert changes.barrier == 30
    assert keys(changes, NOTE) == {(b"1",), (b"2",), (b"3",)}


def test_decoder_when_a_transaction_is_known_then_it_is_left_out() -> None:
    messages = [
        begin(10),
        NOTE_KEYS,
        insert(NOTE, b"1"),
        truncate(NOTE),
        commit(10, 20),
        begin(20),
        insert(NOTE, b"2"),
        commit(20, 30),
    ]
    changes = decode(messages, known=20)
    assert keys(changes, NOTE) == {(b"2",)}
    assert not changes.truncated
    assert changes.end == 30


def test_decoder_when_a_transaction_is_ours_then_it_is_left_out() -> None:
    ours = [begin(10), message("failback"), NOTE_KEYS, insert(NOTE, b"1"), commit(10, 20)]
    theirs = [begin(30), message("other"), insert(NOTE, b"2"), commit(30, 40)]
    loose = [message("failback", transactional=False), begin(50), insert(NOTE, b"3")]
    changes = decode([*ours, *theirs, *loose])
    assert keys(changes, NOTE) == {(b"2",), (b"3",)}
    assert changes.transactions == 1


def test_decoder_when_tables_are_truncated_then_each_is_told() -> None:
    changes = decode([begin(10), NOTE_KEYS, truncate(NOTE, PAIR), commit(10, 20)])
    assert set(changes.truncated) == {NOTE, PAIR}
    assert changes.changes == 2


def test_decoder_when_a_table_is_not_asked_for_then_its_changes_are_passed_over() -> None:
    changes = decode([begin(10), relation(9, "x", "id"), insert(9, b"1"), commit(10, 20)])
    assert (changes.changes, changes.keys, changes.end) == (0, [], 20)


@pytest.mark.parametrize(
    ("messages", "match"),
    [
        ([begin(1), insert(NOTE, b"1")], "not described"),
        ([begin(1), b"?"], "Unknown message"),
        ([begin(1), relation(PAIR, "pair", "a")], "without its key column b"),
    ],
)
def test_decoder_when_the_stream_makes_no_sense_then_it_says_so(
    messages: list[bytes], match: str
) -> None:
    with pytest.raises(ProtocolError, match=match):
        decode(messages)


@pytest.mark.parametrize("missing", [b"n", b"u"])
def test_fields_when_a_value_is_missing_then_it_is_an_error(missing: bytes) -> None:
    with pytest.raises(ProtocolError, match="complete key"):
        fields(value(b"1") + missing)


def test_fields_when_values_are_text_then_they_are_told_apart() -> None:
    assert fields(value(b"1") + value(b"two", b"t")) == [(True, b"1"), (False, b"two")]


def test_snapshot_when_transactions_run_then_it_sees_all_others() -> None:
    snapshot = Snapshot.parse("10:20:12,15")
    assert [xid for xid in range(8, 22) if snapshot.sees(xid)] == [
        8,
        9,
        10,
        11,
        13,
        14,
        16,
        17,
        18,
        19,
    ]
    assert Snapshot.parse("5:5:").sees(4)
    assert not Snapshot.parse("5:5:").sees(5)


@given(
    base=st.integers(3, 1 << 40),
    width=st.integers(0, 1000),
    distance=st.integers(-(2**31) + 2000, 2**31 - 2000),
    data=st.data(),
)
def test_snapshot_when_numbers_have_wrapped_round_then_it_sees_the_same(
    base: int, width: int, distance: int, data: st.DataObject
) -> None:
    xmax = base + width
    running = data.draw(st.frozensets(st.integers(base, xmax), max_size=5))
    snapshot = Snapshot(base, xmax, running)
    full = xmax + distance
    if full < 0:
        return
    expected = full < base or (full < xmax and full not in running)
    assert snapshot.sees(full & 0xFFFFFFFF) is expected


@given(st.integers(0, 2**64 - 1))
def test_lsn_when_written_and_read_then_it_is_the_same(number: int) -> None:
    assert lsn_number(lsn_text(number)) == number


def test_relation_when_described_then_names_are_decoded() -> None:
    described = Decoder(lambda found: found.columns, lambda _: True).consume(
        [[relation(1, "Tür", "größe", "id")]]
    )
    assert described.keys[0].relation == Relation(1, "public", "Tür", ("größe", "id"))


def test_decoder_when_recorded_from_a_server_then_it_reads_it() -> None:
    # PostgreSQL 18: INSERT of (1), UPDATE of its key to 2, DELETE, in one transaction; then a
    # TRUNCATE. Table public.t (id int PRIMARY KEY, v text), published as t (id), binary.
    changes = decode(RECORDED)
    assert keys(changes, RECORDED_OID) == {(b"\0\0\0\1",), (b"\0\0\0\2",)}
    assert set(changes.truncated) == {RECORDED_OID}
    assert (changes.transactions, changes.changes) == (2, 4)
