"""Repair between real servers: every difference is found with its key, and none is left."""

import random
from collections.abc import Callable

import pytest

from failback.errors import NotArmedError, SafetyRuleError
from failback.models.common import Outcome, Side
from failback.models.repair import RepairReport
from failback.reverse_sync.engine import ReverseSync

from .conftest import Pair

pytestmark = pytest.mark.servers

TABLE = (
    (
        "CREATE TABLE t (id bigint PRIMARY KEY, v int NOT NULL, w text,"
        " twice bigint GENERATED ALWAYS AS (id * 2) STORED)"
    ),
    "INSERT INTO t (id, v, w) SELECT g, g % 7, 'row ' || g FROM generate_series(1, 5000) g",
)
Arm = Callable[..., ReverseSync]


def quietly(pair: Pair, side: Side, *statements: str) -> None:
    with pair.admin(side) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            connection.execute(statement.encode())


def by_kind(report: RepairReport) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {"missing": set(), "extra": set(), "different": set()}
    for row in report.tables[0].rows:
        found[row.kind].add(int(row.key["id"]))
    return found


def test_two_hundred_differences_when_seeded_behind_our_back_are_found_and_repaired(
    armed: Arm, pair: Pair
) -> None:
    engine = armed(*TABLE)
    engine.verify_some(30.0)
    chosen = random.Random(4).sample(range(1, 5001), 134)
    different, missing = set(chosen[:67]), set(chosen[67:])
    extra = set(range(6001, 6067))
    quietly(
        pair,
        Side.SOURCE,
        "ALTER TABLE t DISABLE TRIGGER ALL",
        f"UPDATE t SET v = v + 1, w = NULL WHERE id IN {tuple(different)}",
        f"DELETE FROM t WHERE id IN {tuple(missing)}",
        "INSERT INTO t (id, v) SELECT g, 1 FROM generate_series(6001, 6066) g",
        "ALTER TABLE t ENABLE TRIGGER ALL",
    )
    plan = engine.repair(rows=1000)
    assert not plan.applied
    assert by_kind(plan) == {"missing": missing, "extra": extra, "different": different}
    (table,) = plan.tables
    assert (table.missing, table.extra, table.different) == (67, 66, 67)
    one = next(row for row in table.rows if row.kind == "different")
    assert one.source_image is not None
    assert one.target_image is not None
    assert one.source_image["w"] is None
    assert one.target_image["w"] == f"row {one.key['id']}"
    assert engine.verify().outcome is Outcome.FAILED
    done = engine.repair(plan_only=False)
    assert (done.outcome, done.repaired, done.total) == (Outcome.SUCCEEDED, 200, 200)
    assert done.verification is not None
    assert done.verification.tables[0].equal
    assert engine.verify().outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert engine.repair().tables == ()


def test_rows_when_they_hold_each_others_unique_values_are_repaired_together(
    armed: Arm, pair: Pair
) -> None:
    engine = armed(
        "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)",
        "INSERT INTO t SELECT g, g FROM generate_series(1, 1200) g",
    )
    quietly(
        pair,
        Side.SOURCE,
        "DELETE FROM t",
        "INSERT INTO t SELECT g, 1201 - g FROM generate_series(1, 1200) g",
    )
    done = engine.repair(plan_only=False)
    assert (done.outcome, done.repaired) == (Outcome.SUCCEEDED, 1200)
    pair.assert_equal()


def test_row_when_it_moved_since_it_was_compared_is_left_alone(
    armed: Arm, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = armed(*TABLE)
    quietly(pair, Side.SOURCE, "UPDATE t SET v = -1 WHERE id IN (1, 2, 3)")
    moved = []

    def move(sentence: str) -> None:
        if sentence.startswith("Repairing") and not moved:
            moved.append(sentence)
            pair.run(Side.TARGET, "UPDATE t SET v = 100 WHERE id = 2")
            quietly(pair, Side.SOURCE, "UPDATE t SET v = -2 WHERE id = 3")

    done = engine.repair(move, plan_only=False)
    assert (done.repaired, done.tables[0].skipped) == (1, ("id=2", "id=3"))
    assert done.outcome is not Outcome.SUCCEEDED
    assert pair.rows(Side.SOURCE, "SELECT v FROM t WHERE id IN (1, 2, 3) ORDER BY id") == [
        (1,),
        (-1,),
        (-2,),
    ]
    engine.drain(20.0)
    assert engine.repair(plan_only=False).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_repair_when_the_source_takes_writes_is_refused(armed: Arm, pair: Pair) -> None:
    engine = armed(*TABLE)
    engine.raise_fence(Side.TARGET, 1.0)
    engine.drain(20.0)
    engine.lift_fence(Side.SOURCE)
    quietly(pair, Side.SOURCE, "UPDATE t SET v = -1 WHERE id = 1")
    assert engine.repair().total == 1
    with pytest.raises(SafetyRuleError, match="source_fenced"):
        engine.repair(plan_only=False)
    assert pair.rows(Side.SOURCE, "SELECT v FROM t WHERE id = 1") == [(-1,)]


def test_table_without_a_key_when_copies_differ_is_named_by_its_rows_and_copied(
    armed: Arm, pair: Pair
) -> None:
    engine = armed(
        "CREATE TABLE t (a int, b text)",
        "INSERT INTO t SELECT g % 10, 'x' FROM generate_series(1, 100) g",
        "INSERT INTO t VALUES (NULL, NULL), (NULL, NULL)",
    )
    assert engine.verify().outcome is Outcome.SUCCEEDED
    quietly(
        pair,
        Side.SOURCE,
        "DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE a = 3 LIMIT 2)",
        "INSERT INTO t VALUES (7, 'x'), (7, 'y')",
    )
    report = engine.verify()
    (table,) = report.tables
    assert (table.missing, table.extra, table.different) == (2, 2, 0)
    assert sorted(table.keys) == [
        "extra row=(7,x)",
        "extra row=(7,y)",
        "missing row=(3,x)",
        "missing row=(3,x)",
    ]
    assert engine.repair(plan_only=False).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_repair_when_nothing_is_armed_plans_and_does_nothing(pair: Pair) -> None:
    pair.both(*TABLE)
    engine = pair.engine()
    quietly(pair, Side.SOURCE, "DELETE FROM t WHERE id = 1")
    assert engine.repair().total == 1
    with pytest.raises((NotArmedError, SafetyRuleError)):
        engine.repair(plan_only=False)
