"""The other direction: after a rollback the source's changes go to the target, without a copy."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from failback.errors import FenceUpError, NotArmedError, SafetyRuleError
from failback.models.common import Outcome, Side
from failback.models.settling import ConflictChoice, Keep
from failback.reverse_sync import arming, turning
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.heading import may_roll_back

pytestmark = pytest.mark.servers

_SHOP = (
    "CREATE TABLE public.users (id bigserial PRIMARY KEY, email text UNIQUE, n int)",
    "CREATE TABLE public.p (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)",
    "CREATE TABLE public.p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE public.p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
    "INSERT INTO public.users (email, n) SELECT 'u' || g, g FROM generate_series(1, 50) g",
    "INSERT INTO public.p VALUES (1, 1), (11, 11)",
)


@pytest.fixture
def rolled_back(pair: Any, armed: Callable[..., ReverseSync]) -> Callable[..., ReverseSync]:
    """Makes a shop that was rolled back by the order of a level 2."""

    def roll_back(*more: str) -> ReverseSync:
        engine = armed(*_SHOP, *more)
        flip(engine)
        return engine

    return roll_back


def flip(engine: ReverseSync) -> None:
    assert engine.raise_fence(Side.TARGET, 1.0).outcome is Outcome.SUCCEEDED
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    assert engine.lift_fence(Side.SOURCE).outcome is Outcome.SUCCEEDED


def cut_over(engine: ReverseSync) -> None:
    """The next attempt, by hand: the target is live again."""
    assert engine.raise_fence(Side.SOURCE, 1.0).outcome is Outcome.SUCCEEDED
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    engine.synchronise_sequences()
    assert engine.lift_fence(Side.TARGET).outcome is Outcome.SUCCEEDED


def is_refused(pair: Any, side: Side, query: str = "UPDATE users SET n = -1") -> bool:
    """Whether a product's write is refused there; it is undone in any case."""
    with psycopg.connect(pair.databases.admin_dsn(side)) as product:
        try:
            product.execute(query)
        except psycopg.errors.ReadOnlySqlTransaction:
            return True
        finally:
            product.rollback()
    return False


def guards(pair: Any, side: Side) -> set[tuple[str, str]]:
    return set(
        pair.rows(
            side,
            "SELECT tgrelid::regclass::text, tgenabled::text FROM pg_trigger"
            " WHERE tgname = 'failback_fence'",
        )
    )


def test_source_when_it_changed_rows_since_the_flip_then_all_of_them_reach_the_target(
    pair: Any, rolled_back: Callable[..., ReverseSync]
) -> None:
    engine = rolled_back()
    pair.run(
        Side.SOURCE,
        "UPDATE users SET n = n + 100 WHERE id <= 10",
        "DELETE FROM users WHERE id = 20",
        "INSERT INTO users (id, email, n) VALUES (999, 'new', 1)",
        "UPDATE p SET id = 12 WHERE id = 1",
    )
    planned = engine.reprotect(plan=True)
    assert (planned.planned, planned.uncaptured) == (True, ())
    assert engine.status().direction == "target-to-source"
    report = engine.reprotect()
    assert report.outcome is Outcome.SUCCEEDED, report
    assert report.direction == "source-to-target"
    pair.run(Side.SOURCE, "INSERT INTO users (email, n) VALUES ('later', 2)")
    assert engine.drain(30).keys > 0
    pair.assert_equal()
    status = engine.status()
    assert (status.armed, status.direction, status.problems) == (True, "source-to-target", ())
    assert (status.source_fenced, status.target_fenced) == (False, True)
    verified = engine.verify()
    assert verified.outcome is Outcome.SUCCEEDED, verified


def test_nothing_is_copied_when_the_stream_is_turned(
    pair: Any, rolled_back: Callable[..., ReverseSync]
) -> None:
    engine = rolled_back()
    pair.run(Side.SOURCE, "UPDATE users SET n = 0 WHERE id = 1")
    old = {
        table: pair.rows(Side.TARGET, f"SELECT xmin::text FROM {table} ORDER BY id")
        for table in ("users", "p")
    }
    engine.reprotect()
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    new = {
        table: pair.rows(Side.TARGET, f"SELECT xmin::text FROM {table} ORDER BY id")
        for table in ("users", "p")
    }
    assert new["p"] == old["p"]
    assert sum(a != b for a, b in zip(new["users"], old["users"], strict=True)) == 1


def test_target_when_the_fences_are_turned_then_refuses_writers_at_every_moment(
    pair: Any, rolled_back: Callable[..., ReverseSync]
) -> None:
    engine = rolled_back()
    stop = threading.Event()
    passed: list[str] = []
    tried = 0

    def write() -> None:
        nonlocal tried
        with psycopg.connect(pair.databases.admin_dsn(Side.TARGET), autocommit=True) as product:
            while not stop.is_set():
                for table in ("users", "p", "p1", "p2"):
                    column = "n" if table == "users" else "v"
                    tried += 1
                    try:
                        product.execute(f"UPDATE {table} SET {column} = -1".encode())
                    except psycopg.errors.ReadOnlySqlTransaction:
                        continue
                    passed.append(table)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        engine.reprotect()
        pair.run(Side.SOURCE, "UPDATE users SET n = 5 WHERE id = 5")
        engine.drain(30)
    finally:
        stop.set()
        writer.join(30)
    assert passed == []
    assert tried > 20
    assert {state for _, state in guards(pair, Side.TARGET)} == {"O"}
    assert {state for _, state in guards(pair, Side.SOURCE)} == {"A"}
    assert not is_refused(pair, Side.SOURCE)
    pair.assert_equal()


def test_next_attempt_when_reprotected_then_starts_without_a_copy_and_is_armed_again(
    pair: Any, rolled_back: Callable[..., ReverseSync]
) -> None:
    engine = rolled_back()
    engine.reprotect()
    pair.run(Side.SOURCE, "INSERT INTO users (email, n) VALUES ('on the source', 1)")
    with pytest.raises(SafetyRuleError, match="one_writer"):
        engine.lift_fence(Side.TARGET)
    with pytest.raises(SafetyRuleError, match="one_writer"):
        engine.arm()
    engine.raise_fence(Side.SOURCE, 1.0)
    with pytest.raises(SafetyRuleError, match="tail_drained"):
        engine.lift_fence(Side.TARGET)
    cut_over(engine)
    # A sequence that did not follow would give out a value that is taken.
    pair.run(Side.TARGET, "INSERT INTO users (email, n) VALUES ('on the target', 1)")
    with pytest.raises(FenceUpError, match="source is up"):
        engine.reprotect()
    pair.run(Side.TARGET, "UPDATE users SET n = 77 WHERE id = 7")
    report = engine.arm()
    assert report.outcome is Outcome.SUCCEEDED, report
    assert engine.status().direction == "target-to-source"
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert {state for _, state in guards(pair, Side.TARGET)} == {"A"}
    assert {state for _, state in guards(pair, Side.SOURCE)} == {"O"}
    assert is_refused(pair, Side.SOURCE)
    assert not is_refused(pair, Side.TARGET)
    # And once more all the way round.
    pair.run(Side.TARGET, "UPDATE users SET n = 78 WHERE id = 8")
    flip(engine)
    pair.run(Side.SOURCE, "UPDATE users SET n = 79 WHERE id = 9")
    engine.reprotect()
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert engine.disarm().removed


def _bring_the_old_stream_back(pair: Any) -> None:
    """As if it had not been forgotten: it reads the target's log from before the turn on."""
    with pair.admin(Side.TARGET) as target, pair.admin(Side.SOURCE) as source:
        slot, *facts = target.execute(
            "SELECT slot_name, (pg_control_system()).system_identifier, confirmed_flush_lsn::text"
            " FROM pg_replication_slots WHERE database = current_database()"
        ).fetchone()
        source.execute(
            "INSERT INTO failback.stream"
            " (name, slot, receiver_slot, system_identifier, lsn, receiver_lsn)"
            " VALUES ('target-to-source', %s, %s, %s, %s, pg_current_wal_insert_lsn())",
            [slot, slot, *facts],
        )
        source.execute(
            "INSERT INTO failback.stream_table (stream, name)"
            " VALUES ('target-to-source', 'public.users'), ('target-to-source', 'public.p')"
        )


def test_change_that_was_made_once_arrives_once_and_never_comes_back(
    pair: Any, rolled_back: Callable[..., ReverseSync]
) -> None:
    engine = rolled_back()
    engine.reprotect()
    pair.run(Side.SOURCE, "UPDATE users SET n = 5 WHERE id = 5")
    assert engine.drain(30).keys >= 1
    first = pair.rows(Side.TARGET, "SELECT xmin::text FROM users WHERE id = 5")
    origin = pair.rows(Side.SOURCE, "SELECT xmin::text FROM users WHERE id = 5")
    _bring_the_old_stream_back(pair)
    backwards = pair.engine()
    backwards._heading._known = True
    for number in range(10):
        pair.run(Side.SOURCE, f"UPDATE users SET n = {number} WHERE id = 6")
        assert backwards.run_batch().keys == 0
        engine.run_batch()
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    assert backwards.drain(30).keys == 0
    assert engine.drain(30).keys == 0
    assert pair.rows(Side.TARGET, "SELECT xmin::text FROM users WHERE id = 5") == first
    assert pair.rows(Side.SOURCE, "SELECT xmin::text FROM users WHERE id = 5") == origin
    pair.assert_equal()


def test_worker_of_another_process_when_the_stream_was_turned_then_follows(
    pair: Any, rolled_back: Callable[..., ReverseSync]
) -> None:
    engine = rolled_back()
    worker = pair.engine()
    worker.warm()
    worker.run_batch()
    engine.reprotect()
    pair.run(Side.SOURCE, "UPDATE users SET n = 5 WHERE id = 5")
    deadline = 50
    while pair.rows(Side.TARGET, "SELECT n FROM users WHERE id = 5") != [(5,)]:
        worker.run_batch()
        deadline -= 1
        assert deadline
    with pytest.raises(SafetyRuleError, match="one_writer"):
        worker.lift_fence(Side.TARGET)


@pytest.mark.parametrize(
    ("place", "before"),
    [(arming, "install"), (turning, "begin"), (turning, "finish"), (turning, "forget")],
    ids=["after begin", "before begin", "before it counts", "with one side told"],
)
def test_turning_that_is_killed_then_one_side_takes_writes_and_repeating_completes_it(
    pair: Any,
    rolled_back: Callable[..., ReverseSync],
    monkeypatch: pytest.MonkeyPatch,
    place: Any,
    before: str,
) -> None:
    engine = rolled_back()
    pair.run(Side.SOURCE, "UPDATE users SET n = 5 WHERE id = 5")

    class KilledError(Exception):
        pass

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(place, before, killed)
        with pytest.raises(KilledError):
            engine.reprotect()
    assert is_refused(pair, Side.TARGET)
    assert not is_refused(pair, Side.SOURCE)
    other = pair.engine()
    pair.run(Side.SOURCE, "UPDATE users SET n = 6 WHERE id = 6")
    assert other.reprotect().outcome is Outcome.SUCCEEDED
    assert other.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert pair.rows(Side.SOURCE, "SELECT count(*) FROM failback.stream") == [(0,)]


def test_rollback_when_the_stream_is_turned_round_then_refused_until_it_is_turned_back(
    pair: Any, rolled_back: Callable[..., ReverseSync]
) -> None:
    engine = rolled_back()
    may_roll_back(pair.settings)
    engine.reprotect()
    # One side that answers is enough, and where none does nothing stands in the way.
    away = dict.fromkeys(("source_dsn", "target_dsn"), "host=127.0.0.1 port=1")
    for missing in ({}, {"source_dsn": away["source_dsn"]}, {"target_dsn": away["target_dsn"]}):
        with pytest.raises(SafetyRuleError, match="one_writer: the estate is repro") as raised:
            may_roll_back(replace(pair.settings, **missing))
        assert "failback arm" in raised.value.cure
    may_roll_back(replace(pair.settings, **away))
    cut_over(engine)
    engine.arm()
    may_roll_back(pair.settings)


def test_reprotect_when_the_rollback_is_not_over_then_refused_with_the_rule(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    with pytest.raises(NotArmedError):
        pair.engine().reprotect()
    engine = armed(*_SHOP)
    with pytest.raises(SafetyRuleError, match="one_writer: the target is not fenced"):
        engine.reprotect()
    engine.drain(30)
    pair.run(Side.TARGET, "UPDATE users SET n = 0 WHERE id IN (1, 2)")
    engine.raise_fence(Side.TARGET, 1.0)
    with pytest.raises(SafetyRuleError, match="one_writer: the source takes no writes"):
        engine.reprotect()
    engine.lift_fence(Side.SOURCE, accepted="policy")
    with pytest.raises(SafetyRuleError, match="tail_drained"):
        engine.reprotect()
    pair.run(Side.SOURCE, "UPDATE users SET n = 1 WHERE id = 1")
    assert engine.drain_late(30).conflicts == 1
    with pytest.raises(SafetyRuleError, match="conflicts_settled"):
        engine.reprotect()
    engine.settle_conflicts(ConflictChoice(keep=Keep.SOURCE, who="alice", table="*"))
    assert engine.reprotect().outcome is Outcome.SUCCEEDED
    # The version that was given up is not left on the target.
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    settled = engine.conflicts(include_settled=True)
    assert [(one.kept, one.stored_on) for one in settled] == [(Side.SOURCE, Side.SOURCE)]


def test_tail_when_somebody_accepts_its_loss_then_the_target_gets_the_sources_rows(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_SHOP)
    engine.drain(30)
    pair.run(Side.TARGET, "UPDATE users SET n = 0", "DELETE FROM p WHERE id = 11")
    engine.raise_fence(Side.TARGET, 1.0)
    engine.lift_fence(Side.SOURCE, accepted="policy")
    assert engine.reprotect(accepted="alice").outcome is Outcome.SUCCEEDED
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert pair.rows(Side.SOURCE, "SELECT count(*) FROM users WHERE n = 0") == [(0,)]
