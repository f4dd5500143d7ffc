"""What is left after a rollback, and how disarming cleans up from each state."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from failback.errors import SafetyRuleError, UnreachableError
from failback.models.common import Outcome, Side
from failback.models.settling import ConflictChoice, Keep
from failback.reverse_sync.engine import ReverseSync

pytestmark = pytest.mark.servers

_TABLES = (
    "CREATE TABLE public.t (id int PRIMARY KEY, v int)",
    "CREATE TABLE public.u (a int NOT NULL UNIQUE, v int)",
    "INSERT INTO public.t SELECT g, g FROM generate_series(1, 9) g",
)
_LEFT = (
    "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'failback')"
    " + (SELECT count(*) FROM pg_publication)"
    " + (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())"
    " + (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'failback%')"
    " + (SELECT count(*) FROM pg_class WHERE relreplident <> 'd' AND relnamespace = "
    "'public'::regnamespace AND relkind = 'r')"
)


def level_1(engine: ReverseSync, pair: Any) -> None:
    """The source takes writes before the tail was drained, and both changed a row."""
    engine.drain(30)
    pair.run(Side.TARGET, "UPDATE t SET v = 0 WHERE id IN (1, 2)")
    engine.raise_fence(Side.TARGET, 1.0)
    engine.lift_fence(Side.SOURCE, accepted="policy")
    pair.run(Side.SOURCE, "UPDATE t SET v = 100 WHERE id = 1")


def level_2(engine: ReverseSync, pair: Any) -> None:
    pair.run(Side.TARGET, "UPDATE t SET v = 0 WHERE id = 1")
    engine.raise_fence(Side.TARGET, 1.0)
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    engine.lift_fence(Side.SOURCE)
    pair.run(Side.SOURCE, "UPDATE t SET v = 1 WHERE id = 1")


def assert_nothing_left(pair: Any, *sides: Side) -> None:
    for side in sides or tuple(Side):
        assert pair.rows(side, _LEFT) == [(0,)], side
        pair.run(side, "UPDATE t SET v = 7 WHERE id = 7")


def test_disarm_after_level_1_then_the_tail_and_the_conflicts_come_first(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_TABLES)
    level_1(engine, pair)
    with pytest.raises(SafetyRuleError, match="tail_drained"):
        engine.disarm()
    assert engine.drain_late(30).conflicts == 1
    with pytest.raises(SafetyRuleError, match="conflicts_settled"):
        engine.disarm()
    engine.settle_conflicts(ConflictChoice(keep=Keep.SOURCE, who="alice", table="*"))
    engine.disarm()
    assert_nothing_left(pair)
    assert pair.rows(Side.SOURCE, "SELECT v FROM t WHERE id <= 2 ORDER BY id") == [(100,), (0,)]


def test_disarm_after_level_1_when_somebody_accepts_the_loss_of_the_tail(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_TABLES)
    level_1(engine, pair)
    engine.disarm(accepted="alice")
    assert_nothing_left(pair)
    assert pair.rows(Side.SOURCE, "SELECT v FROM t WHERE id = 2") == [(2,)]


def test_disarm_after_level_2_then_both_sides_are_as_before_arming(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_TABLES)
    level_2(engine, pair)
    engine.disarm()
    assert_nothing_left(pair)
    assert engine.disarm().removed == ()


def test_disarm_after_a_rollback_that_failed_inside_the_fence(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    """Both sides are fenced; the undo did not come to lift one of them."""
    engine = armed(*_TABLES)
    pair.run(Side.TARGET, "UPDATE t SET v = 0 WHERE id = 1")
    engine.raise_fence(Side.TARGET, 1.0)
    with pytest.raises(SafetyRuleError, match="tail_drained"):
        engine.disarm()
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    engine.disarm()
    assert_nothing_left(pair)


@pytest.mark.parametrize("turned", [False, True], ids=["rolled back", "reprotected"])
def test_disarm_when_the_target_is_gone_for_good_then_the_source_keeps_no_slot(
    pair: Any, armed: Callable[..., ReverseSync], turned: bool
) -> None:
    engine = armed(*_TABLES)
    level_2(engine, pair)
    if turned:
        engine.reprotect()
    gone = "postgresql://failback@127.0.0.1:1/gone"
    left = ReverseSync(replace(pair.settings, target_dsn=gone))
    try:
        with pytest.raises(UnreachableError):
            left.disarm()
        with pytest.raises(SafetyRuleError, match="tail_drained"):
            left.disarm(only=Side.SOURCE)
        left.disarm(accepted="alice", only=Side.SOURCE)
    finally:
        left.close()
    assert_nothing_left(pair, Side.SOURCE)


def test_disarm_of_one_side_when_the_other_answers_then_refused(
    pair: Any, armed: Callable[..., ReverseSync]
) -> None:
    engine = armed(*_TABLES)
    level_2(engine, pair)
    with pytest.raises(SafetyRuleError, match="one_writer"):
        engine.disarm(accepted="alice", only=Side.SOURCE)
    assert engine.status().armed
