"""Tables of the source that failback does not own: compared instead, and named before."""

from typing import Any

import pytest

from failback.errors import SafetyRuleError
from failback.models.common import Outcome, Side
from failback.reverse_sync.engine import ReverseSync

pytestmark = pytest.mark.servers

_USERS = "CREATE TABLE auth.users (id int PRIMARY KEY, email text, v int)"
_ROWS = "INSERT INTO auth.users SELECT g, 'u' || g, g FROM generate_series(1, 9) g"
_ORDERS = "CREATE TABLE public.orders (id int PRIMARY KEY, buyer int REFERENCES auth.users (id))"


@pytest.fixture
def engine(pair: Any) -> ReverseSync:
    """Rolled back: the source is live, and `auth` belongs to Supabase's own role there."""
    owners = {Side.SOURCE: "supabase_auth_admin", Side.TARGET: "app_owner"}
    for side, owner in owners.items():
        with pair.admin(side) as admin:
            admin.execute(f"SET ROLE {owner}".encode())
            admin.execute(_USERS)
            admin.execute(
                "INSERT INTO auth.users SELECT g, 'u' || g, g FROM generate_series(1, 9) g"
            )
            if side is Side.SOURCE:
                admin.execute("GRANT REFERENCES ON auth.users TO postgres")
    pair.both(_ORDERS)
    engine = pair.engine(include=("public.*", "auth.*"))
    assert engine.arm().outcome is Outcome.SUCCEEDED
    assert engine.raise_fence(Side.TARGET, 1.0).outcome is Outcome.SUCCEEDED
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    engine.lift_fence(Side.SOURCE)
    return engine


def on_source(pair: Any, *statements: str) -> None:
    with pair.admin(Side.SOURCE) as admin:
        for statement in statements:
            admin.execute(statement.encode())


def test_table_that_is_not_owned_is_named_before_and_carried_by_comparison(
    pair: Any, engine: ReverseSync
) -> None:
    on_source(
        pair,
        "INSERT INTO auth.users VALUES (10, 'new', 1)",
        "DELETE FROM auth.users WHERE id = 9",
        "INSERT INTO orders VALUES (1, 10)",
    )
    assert engine.reprotect(plan=True).uncaptured == ("auth.users",)
    report = engine.reprotect()
    assert report.outcome is Outcome.SUCCEEDED, report
    assert report.uncaptured == ("auth.users",)
    assert any("auth.users" in warning for warning in report.warnings)
    on_source(pair, "UPDATE auth.users SET v = 0 WHERE id = 1")
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    query = "SELECT * FROM auth.users ORDER BY id"
    assert pair.rows(Side.SOURCE, query) == pair.rows(Side.TARGET, query)
    pair.assert_equal()
    status = engine.status()
    assert status.uncaptured == ("auth.users",)
    assert status.problems == ()
    assert engine.verify().outcome is Outcome.SUCCEEDED


def test_target_when_tables_are_not_captured_then_opens_after_a_comparison_under_the_fence(
    pair: Any, engine: ReverseSync
) -> None:
    engine.reprotect()
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    on_source(pair, "UPDATE auth.users SET v = 0 WHERE id = 1")
    engine.raise_fence(Side.SOURCE, 1.0)
    # Nothing tells of that change, so that nobody knows without a comparison.
    with pytest.raises(SafetyRuleError, match="tail_drained"):
        engine.lift_fence(Side.TARGET)
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    assert pair.rows(Side.TARGET, "SELECT v FROM auth.users WHERE id = 1") == [(0,)]
    assert engine.lift_fence(Side.TARGET).outcome is Outcome.SUCCEEDED
    with pair.admin(Side.TARGET) as admin:
        admin.execute("UPDATE auth.users SET v = 5 WHERE id = 2")
    assert engine.arm().outcome is Outcome.SUCCEEDED
    assert engine.status().uncaptured == ()
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    assert pair.rows(Side.SOURCE, "SELECT v FROM auth.users WHERE id = 2") == [(5,)]


@pytest.fixture
def proved(pair: Any, engine: ReverseSync) -> ReverseSync:
    """The next attempt: the source is fenced, and the target was proved to have all of it."""
    engine.reprotect()
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    on_source(pair, "UPDATE auth.users SET v = 0 WHERE id = 1")
    engine.raise_fence(Side.SOURCE, 1.0)
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    return engine


def carry_without_comparing(engine: ReverseSync) -> None:
    """As a worker does between two comparisons, of which the first is due at once."""
    for _ in range(3):
        report = engine.run_batch()
        assert not report.skipped
    assert report.compared == ()


def test_proof_when_a_worker_carries_batches_meanwhile_then_the_target_opens_and_is_armed(
    pair: Any, proved: ReverseSync
) -> None:
    carry_without_comparing(proved)
    assert proved.lift_fence(Side.TARGET).outcome is Outcome.SUCCEEDED
    with pair.admin(Side.TARGET) as admin:
        admin.execute("UPDATE auth.users SET v = 5 WHERE id = 2")
    carry_without_comparing(proved)
    assert proved.arm().outcome is Outcome.SUCCEEDED
    assert proved.drain(30).outcome is Outcome.SUCCEEDED
    assert pair.rows(Side.SOURCE, "SELECT v FROM auth.users WHERE id = 2") == [(5,)]


def test_proof_when_the_fence_was_down_since_then_the_target_stays_shut(
    pair: Any, proved: ReverseSync
) -> None:
    # By hand, so that nothing tells the target of it.
    on_source(
        pair,
        "SELECT setval('failback.fence', 1)",
        "UPDATE auth.users SET v = 7 WHERE id = 1",
    )
    proved.raise_fence(Side.SOURCE, 1.0)
    with pytest.raises(SafetyRuleError, match="tail_drained"):
        proved.lift_fence(Side.TARGET)
    assert proved.drain(30).outcome is Outcome.SUCCEEDED
    assert proved.lift_fence(Side.TARGET).outcome is Outcome.SUCCEEDED
    assert pair.rows(Side.TARGET, "SELECT v FROM auth.users WHERE id = 1") == [(7,)]


def test_proof_when_something_was_written_past_the_fence_then_the_target_stays_shut(
    pair: Any, proved: ReverseSync
) -> None:
    carry_without_comparing(proved)
    on_source(
        pair,
        "ALTER TABLE orders DISABLE TRIGGER failback_fence",
        "INSERT INTO orders VALUES (7, 1)",
        "ALTER TABLE orders ENABLE ALWAYS TRIGGER failback_fence",
    )
    carry_without_comparing(proved)
    assert pair.rows(Side.TARGET, "SELECT buyer FROM orders WHERE id = 7") == [(1,)]
    with pytest.raises(SafetyRuleError, match="tail_drained"):
        proved.lift_fence(Side.TARGET)
    assert proved.drain(30).outcome is Outcome.SUCCEEDED
    assert proved.lift_fence(Side.TARGET).outcome is Outcome.SUCCEEDED


def test_disarm_when_reprotected_then_nothing_is_left_on_either_side(
    pair: Any, engine: ReverseSync
) -> None:
    engine.reprotect()
    assert engine.disarm().removed
    for side in Side:
        assert pair.rows(
            side,
            "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'failback')"
            " + (SELECT count(*) FROM pg_publication)"
            " + (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())"
            " + (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'failback%')",
        ) == [(0,)]
