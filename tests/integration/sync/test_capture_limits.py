"""What capture keeps on a disk is limited, and a slot that nobody needs any more is found."""

from collections.abc import Callable
from typing import Any

import pytest

from failback.errors import SlotLostError
from failback.models.common import Outcome, Side
from failback.reverse_sync.engine import ReverseSync

from support.losses import change_uncaptured, fill, slot_of, write_log
from support.pairs import Pair

pytestmark = pytest.mark.servers

Armed = Callable[..., ReverseSync]

NOTE = "CREATE TABLE note (id int PRIMARY KEY, body text)"
MEBIBYTE = 1024 * 1024


def test_an_orphaned_slot_filled_the_disk(pair: Any, armed: Armed) -> None:
    engine = armed(NOTE)
    with pair.admin(Side.SOURCE) as admin:
        # The side that was left: its schema is gone, and its slot was forgotten.
        admin.execute("DROP SCHEMA failback CASCADE")
    status = engine.status()
    assert not status.armed
    orphans = [problem for problem in status.problems if "without a stream" in problem.problem]
    assert {slot_of(pair) in problem.problem for problem in orphans} == {True}
    assert len(orphans) == len(Side)
    assert all("pg_drop_replication_slot" in problem.cure for problem in orphans)
    with pair.admin(Side.TARGET) as admin:
        admin.execute("SELECT pg_create_logical_replication_slot('failback_forgotten', 'pgoutput')")
        try:
            named = [problem.problem for problem in engine.status().problems]
        finally:
            admin.execute("SELECT pg_drop_replication_slot('failback_forgotten')")
    assert any("failback_forgotten" in problem for problem in named)
    engine.disarm()
    assert engine.status().problems == ()


def test_limit_when_the_log_has_grown_beyond_it_then_it_is_a_problem_and_the_slot_stays(
    own_target: Pair,
) -> None:
    pair = own_target
    pair.both(NOTE)
    engine = pair.engine(max_retained_wal_mb=16)
    assert engine.arm().outcome is Outcome.SUCCEEDED
    write_log(pair, 40)
    status = engine.status()
    assert status.retained_wal_bytes is not None
    assert status.retained_wal_bytes > 40 * MEBIBYTE
    assert any("data.max_retained_wal_mb (16)" in each.problem for each in status.problems)
    change_uncaptured(pair)
    engine.run_batch()
    pair.assert_equal()
    assert engine.status().slot_status == "reserved"


def test_limit_when_the_slot_shall_go_first_then_it_is_given_up_loudly_and_never_under_the_fence(
    own_target: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = own_target
    pair.both(NOTE)
    monkeypatch.setattr("failback.reverse_sync.housekeeping._LIMIT_SECONDS", 0.0)
    engine = pair.engine(max_retained_wal_mb=16, on_wal_limit="drop_slot")
    assert engine.arm().outcome is Outcome.SUCCEEDED
    fill(pair, 100)
    engine.run_batch()
    change_uncaptured(pair)

    def away(*_: Any, **__: Any) -> None:
        raise SlotLostError("The source is away.")

    write_log(pair, 40)
    engine.raise_fence(Side.TARGET, 1)
    with monkeypatch.context() as patch:
        patch.setattr("failback.reverse_sync.batch.run", away)
        with pytest.raises(SlotLostError, match="away"):
            engine.run_batch()
        assert engine.status().slot_status != "missing"
        engine.lift_fence(Side.TARGET, accepted="the test")
        with pytest.raises(SlotLostError, match="away"):
            engine.run_batch()
    assert pair.rows(Side.TARGET, "SELECT FROM pg_replication_slots") == []
    with pytest.raises(SlotLostError, match="given up deliberately"):
        engine.run_batch()
    status = engine.status()
    assert status.capture_lost
    assert any("data.on_wal_limit is drop_slot" in each.problem for each in status.problems)
    assert engine.arm().outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert engine.status().problems == ()
