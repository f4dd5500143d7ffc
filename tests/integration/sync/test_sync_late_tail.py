"""The tail, carried over to a source that takes writes: applied or parked, and never dropped."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from failback.errors import SlotLostError
from failback.models.common import Outcome, Side
from failback.reverse_sync import capture, position
from failback.reverse_sync.engine import ReverseSync

pytestmark = pytest.mark.servers

_SHOP = (
    "CREATE TABLE public.users (id bigint PRIMARY KEY, email text UNIQUE, n numeric(8,2))",
    "CREATE TABLE public.lines (a int, b text, v int, PRIMARY KEY (b, a))",
    "CREATE TABLE public.ids (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text)",
    "ALTER TABLE public.ids ADD double text GENERATED ALWAYS AS (v || v) STORED",
    "CREATE TABLE public.tags (tag text PRIMARY KEY)",
    "INSERT INTO public.tags VALUES ('a'), ('b')",
    "CREATE TABLE public.numbered (k text PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY)",
    "INSERT INTO public.numbered (k) VALUES ('a'), ('b')",
    "INSERT INTO public.users SELECT g, 'u' || g, g FROM generate_series(1, 20) g",
    "INSERT INTO public.lines SELECT g, 'x', g FROM generate_series(1, 5) g",
    "INSERT INTO public.ids (v) SELECT 'v' || g FROM generate_series(1, 5) g",
)


def _flip(engine: ReverseSync, pair: Any, *tail: str) -> None:
    """Everything up to the moment the source takes writes, with a tail left on the target."""
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.run(Side.TARGET, *tail)
    assert engine.raise_fence(Side.TARGET, 1.0).outcome is Outcome.SUCCEEDED
    engine.lift_fence(Side.SOURCE, accepted="level 1 policy")


def test_tail_when_the_source_changed_other_rows_is_carried_over_whole(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_SHOP)
    _flip(
        engine,
        pair,
        "UPDATE public.users SET n = n + 1 WHERE id <= 3",
        "DELETE FROM public.users WHERE id = 4",
        "INSERT INTO public.users VALUES (30, 'new', 1.50)",
        "UPDATE public.lines SET a = a + 100 WHERE a = 2",
        "UPDATE public.ids SET v = 'changed' WHERE id = 2",
        "INSERT INTO public.ids (v) VALUES ('late')",
        "DELETE FROM public.tags WHERE tag = 'a'",
        "INSERT INTO public.tags VALUES ('c')",
        "DELETE FROM public.tags WHERE tag = 'b'",
        "INSERT INTO public.tags VALUES ('b')",
        "UPDATE public.numbered SET n = DEFAULT WHERE k = 'a'",
    )
    pair.run(Side.SOURCE, "UPDATE public.users SET n = 0 WHERE id = 10")
    report = engine.drain_late(30)
    assert report.outcome is Outcome.SUCCEEDED
    assert report.conflicts == 0
    assert engine.conflicts() == ()
    differing = pair.rows(Side.SOURCE, "SELECT id, n FROM public.users WHERE id IN (10) ")
    assert differing == [(10, 0)]
    with pair.admin(Side.SOURCE) as admin:
        admin.execute("UPDATE public.users SET n = 10 WHERE id = 10")
    pair.assert_equal()


def test_row_that_both_sides_changed_keeps_the_sources_version_and_parks_both(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_SHOP)
    _flip(engine, pair, "UPDATE public.users SET n = 99.5, email = NULL WHERE id = 5")
    pair.run(Side.SOURCE, "UPDATE public.users SET n = 55 WHERE id = 5")
    report = engine.drain_late(30)
    assert (report.outcome, report.conflicts) == (Outcome.SUCCEEDED, 1)
    assert pair.rows(Side.SOURCE, "SELECT email, n FROM public.users WHERE id = 5") == [("u5", 55)]
    (conflict,) = engine.conflicts()
    assert (conflict.table, conflict.key) == ("public.users", "id=5")
    assert conflict.source_image == {"id": "5", "email": "u5", "n": "55.00"}
    assert conflict.target_image == {"id": "5", "email": None, "n": "99.50"}
    assert conflict.settled_at is None


@pytest.mark.parametrize(
    ("tail", "own", "source_image", "target_image"),
    [
        (
            "UPDATE public.lines SET v = 7 WHERE a = 3",
            "DELETE FROM public.lines WHERE a = 3",
            None,
            {"a": "3", "b": "x", "v": "7"},
        ),
        (
            "DELETE FROM public.lines WHERE a = 3",
            "UPDATE public.lines SET v = 8 WHERE a = 3",
            {"a": "3", "b": "x", "v": "8"},
            None,
        ),
        (
            "INSERT INTO public.lines VALUES (9, 'x', 1)",
            "INSERT INTO public.lines VALUES (9, 'x', 2)",
            {"a": "9", "b": "x", "v": "2"},
            {"a": "9", "b": "x", "v": "1"},
        ),
        (
            "UPDATE public.lines SET v = 7 WHERE a = 3",
            "UPDATE public.lines SET a = 33 WHERE a = 3",
            None,
            {"a": "3", "b": "x", "v": "7"},
        ),
        (
            "UPDATE public.lines SET v = 7 WHERE a = 3",
            "TRUNCATE public.lines",
            None,
            {"a": "3", "b": "x", "v": "7"},
        ),
    ],
)
def test_row_that_one_side_removed_or_both_made_is_a_conflict(
    pair: Any,
    armed: Callable[..., ReverseSync],
    tail: str,
    own: str,
    source_image: dict[str, str | None] | None,
    target_image: dict[str, str | None] | None,
) -> None:
    engine = armed(*_SHOP)
    _flip(engine, pair, tail)
    pair.run(Side.SOURCE, own)
    before = pair.contents(Side.SOURCE)
    assert engine.drain_late(30).conflicts == 1
    assert pair.contents(Side.SOURCE) == before
    (conflict,) = engine.conflicts()
    assert conflict.key in {"b=x, a=3", "b=x, a=9"}
    assert (conflict.source_image, conflict.target_image) == (source_image, target_image)


def test_rows_that_both_sides_changed_alike_are_no_conflict(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_SHOP)
    same = ("UPDATE public.users SET n = 1.10 WHERE id = 5", "DELETE FROM public.lines WHERE a = 1")
    _flip(engine, pair, *same)
    pair.run(Side.SOURCE, *same)
    assert engine.drain_late(30).conflicts == 0
    assert engine.conflicts() == ()
    pair.assert_equal()


@pytest.mark.parametrize("deferrable", ["", "DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"])
def test_unique_value_that_the_source_gave_away_parks_the_row_and_restores_what_it_was(
    pair: Any, armed: Callable[..., ReverseSync], deferrable: str
) -> None:
    engine = armed(
        *_SHOP,
        "ALTER TABLE public.users DROP CONSTRAINT users_email_key",
        f"ALTER TABLE public.users ADD UNIQUE (email) {deferrable}",
    )
    _flip(
        engine,
        pair,
        # 1 gets a value that the source gives to 40 meanwhile; 2 wants what 1 had.
        "UPDATE public.users SET email = 'wanted' WHERE id = 1",
        "UPDATE public.users SET email = 'u1' WHERE id = 2",
        "UPDATE public.users SET n = 33 WHERE id = 3",
    )
    pair.run(Side.SOURCE, "INSERT INTO public.users VALUES (40, 'wanted', 40)")
    report = engine.drain_late(30)
    assert (report.outcome, report.keys, report.conflicts) == (Outcome.SUCCEEDED, 3, 2)
    assert pair.rows(
        Side.SOURCE, "SELECT id, email, n FROM public.users WHERE id IN (1, 2, 3, 40) ORDER BY id"
    ) == [(1, "u1", 1), (2, "u2", 2), (3, "u3", 33), (40, "wanted", 40)]
    found = {conflict.key: conflict for conflict in engine.conflicts()}
    assert set(found) == {"id=1", "id=2"}
    assert found["id=1"].target_image == {"id": "1", "email": "wanted", "n": "1.00"}
    assert "unique" in found["id=1"].resolution


def test_rows_that_swapped_a_unique_value_are_applied_without_a_conflict(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_SHOP)
    _flip(
        engine,
        pair,
        "UPDATE public.users SET email = 'x' WHERE id = 1",
        "UPDATE public.users SET email = 'u1' WHERE id = 2",
        "UPDATE public.users SET email = 'u2' WHERE id = 1",
    )
    assert engine.drain_late(30).conflicts == 0
    pair.assert_equal()


def test_batches_of_a_few_changes_when_rows_fit_only_together_park_nothing(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_SHOP, batch_changes=1)
    _flip(
        engine,
        pair,
        "UPDATE public.users SET email = 'x' WHERE id = 1",
        "UPDATE public.users SET email = 'u1' WHERE id = 2",
        "UPDATE public.users SET email = 'u2' WHERE id = 1",
        *(f"UPDATE public.users SET n = 0 WHERE id = {key}" for key in range(3, 20)),
    )
    assert engine.drain_late(30).conflicts == 0
    pair.assert_equal()


def test_what_failback_applied_itself_is_not_taken_for_the_sources_change(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_SHOP)
    _flip(engine, pair, "UPDATE public.users SET n = 1 WHERE id <= 5")
    assert engine.drain_late(30).conflicts == 0
    # The target takes a late write all the same: the same rows come once more.
    with pair.admin(Side.TARGET) as admin:
        admin.execute("ALTER TABLE public.users DISABLE TRIGGER failback_fence")
        admin.execute("UPDATE public.users SET n = 2 WHERE id <= 5")
    report = engine.drain_late(30)
    assert (report.keys, report.conflicts) == (5, 0)
    pair.assert_equal()


def test_row_that_is_parked_and_changes_again_is_parked_once_with_its_last_image(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_SHOP)
    _flip(engine, pair, "UPDATE public.users SET n = 1 WHERE id = 5")
    pair.run(Side.SOURCE, "UPDATE public.users SET n = 55 WHERE id = 5")
    assert engine.drain_late(30).conflicts == 1
    with pair.admin(Side.TARGET) as admin:
        admin.execute("ALTER TABLE public.users DISABLE TRIGGER failback_fence")
        admin.execute("UPDATE public.users SET n = 2 WHERE id = 5")
    assert engine.drain_late(30).conflicts == 0
    (conflict,) = engine.conflicts()
    assert conflict.target_image == {"id": "5", "email": "u5", "n": "2.00"}


def test_table_that_the_target_truncated_parks_what_the_source_made_since(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_SHOP)
    _flip(engine, pair, "TRUNCATE public.lines", "INSERT INTO public.lines VALUES (50, 'y', 1)")
    pair.run(Side.SOURCE, "INSERT INTO public.lines VALUES (60, 'z', 1)")
    assert engine.drain_late(30).conflicts == 1
    rows = pair.rows(Side.SOURCE, "SELECT a, b FROM public.lines ORDER BY a")
    assert rows == [(50, "y"), (60, "z")]
    (conflict,) = engine.conflicts()
    assert (conflict.key, conflict.target_image) == ("b=z, a=60", None)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_batch_that_is_killed_at_its_commit_and_repeated_parks_and_applies_once(
    pair: Any, armed: Callable[..., ReverseSync], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    engine = armed(*_SHOP)
    _flip(engine, pair, "UPDATE public.users SET n = 1 WHERE id IN (5, 6)")
    pair.run(Side.SOURCE, "UPDATE public.users SET n = 55 WHERE id = 5")

    class KilledError(Exception):
        pass

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    # Before: the receiver has all but the commit. After: only the slot was not advanced.
    place, name = (position, "write") if moment == "before" else (capture, "advancing")
    with monkeypatch.context() as patch:
        patch.setattr(place, name, killed)
        with pytest.raises(KilledError):
            engine.drain_late(30)
    engine.close()
    other = pair.engine()
    assert other.drain_late(30).outcome is Outcome.SUCCEEDED
    assert len(other.conflicts()) == 1
    assert pair.rows(Side.SOURCE, "SELECT n FROM public.users WHERE id IN (5, 6) ORDER BY id") == [
        (55,),
        (1,),
    ]


def test_late_tail_when_the_sources_slot_is_gone_changes_nothing_and_says_so(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_SHOP)
    _flip(engine, pair, "UPDATE public.users SET n = 1 WHERE id = 5")
    with pair.admin(Side.SOURCE) as admin:
        admin.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    with pytest.raises(SlotLostError, match="of the source does not tell any more"):
        engine.drain_late(30)
    assert pair.rows(Side.SOURCE, "SELECT n FROM public.users WHERE id = 5") == [(5,)]


def test_continuous_batch_after_the_flip_does_not_write_over_the_sources_change(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_SHOP)
    _flip(engine, pair, "UPDATE public.users SET n = 1 WHERE id = 5")
    pair.run(Side.SOURCE, "UPDATE public.users SET n = 55 WHERE id = 5")
    report = engine.run_batch()
    assert (report.keys, report.conflicts, report.parked) == (1, 1, 1)
    assert pair.rows(Side.SOURCE, "SELECT n FROM public.users WHERE id = 5") == [(55,)]


def test_partitioned_table_when_both_sides_changed_a_row_finds_the_conflict(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(
        "CREATE TABLE public.p (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)",
        "CREATE TABLE public.p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE public.p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
        "INSERT INTO public.p VALUES (1, 1), (2, 2), (11, 11)",
    )
    _flip(engine, pair, "UPDATE public.p SET v = 100 WHERE id IN (1, 11)")
    pair.run(Side.SOURCE, "UPDATE public.p SET v = 200 WHERE id = 11")
    assert engine.drain_late(30).conflicts == 1
    rows = pair.rows(Side.SOURCE, "SELECT id, v FROM public.p ORDER BY id")
    assert rows == [(1, 100), (2, 2), (11, 200)]


def test_every_changed_key_is_applied_or_parked_while_the_source_writes(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(
        "CREATE TABLE public.t (id int PRIMARY KEY, side text NOT NULL, v int NOT NULL)",
        "INSERT INTO public.t SELECT g, 'both', 0 FROM generate_series(1, 400) g",
        batch_changes=100,
    )
    _flip(
        engine,
        pair,
        *(f"UPDATE public.t SET side = 'target', v = {k} WHERE id = {k}" for k in range(1, 301)),
    )
    stop = threading.Event()
    written: dict[int, int] = {}

    def write() -> None:
        with psycopg.connect(pair.databases.source_dsn) as product:
            for number in itertools.count(1):
                if stop.is_set():
                    return
                key = number * 7 % 400 + 1
                try:
                    product.execute(
                        "UPDATE public.t SET side = 'source', v = %s WHERE id = %s", [number, key]
                    )
                    product.execute("SELECT pg_sleep(0.0005)")
                    product.commit()
                    written[key] = number
                except psycopg.errors.TransactionRollback:
                    product.rollback()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        report = engine.drain_late(60)
    finally:
        stop.set()
        writer.join(30)
    assert report.outcome is Outcome.SUCCEEDED
    parked = {int(each.key.removeprefix("id=")): each for each in engine.conflicts()}
    assert report.keys == 300
    assert parked, "both sides have to meet for this to say anything"
    rows = {key: (side, v) for key, side, v in pair.rows(Side.SOURCE, "SELECT * FROM public.t")}
    assert len(rows) == 400
    for key, number in written.items():
        # What the source acknowledged is what it holds.
        assert rows[key] == ("source", number)
    for key in set(range(1, 301)) - set(written):
        assert rows[key] == ("target", key), "a change that met no other one was carried over"
    for key, conflict in parked.items():
        assert conflict.target_image == {"id": str(key), "side": "target", "v": str(key)}
