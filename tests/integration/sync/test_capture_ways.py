"""All three ways carry the same, can follow each other, and leave nothing behind."""

from typing import Any

import pytest

from failback.models.common import Outcome, Side

pytestmark = pytest.mark.servers

WAYS = ("slot", "changelog", "diff")
NOTE = "CREATE TABLE note (id int PRIMARY KEY, body text)"
TABLES = (
    NOTE,
    "CREATE TABLE bag (v text)",
    "CREATE TABLE pin (n numeric NOT NULL UNIQUE)",
    "ALTER TABLE pin REPLICA IDENTITY NOTHING",
    "CREATE TABLE event (id int, day int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)",
    "CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10)",
)
# What a database consists of besides rows; identifiers of objects do not matter.
OBJECTS = """
SELECT 'schema', nspname::text, nspacl::text FROM pg_namespace
    WHERE nspname !~ '^pg_(temp|toast_temp)'
UNION ALL SELECT 'relation', oid::regclass::text,
    concat_ws(' ', relkind, relreplident, relacl, reloptions)
    FROM pg_class WHERE relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
UNION ALL SELECT 'inheritance', inhrelid::regclass::text, inhparent::regclass::text
    FROM pg_inherits WHERE inhrelid::regclass::text !~ '^pg_'
UNION ALL SELECT 'trigger', tgrelid::regclass::text, concat_ws(' ', tgname, tgenabled)
    FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function', oid::regprocedure::text, proacl::text FROM pg_proc
    WHERE pronamespace::regnamespace::text !~ '^(pg_catalog|information_schema)'
UNION ALL SELECT 'type', oid::regtype::text, '' FROM pg_type
    WHERE typnamespace::regnamespace::text !~ '^(pg_|information_schema)'
UNION ALL SELECT 'publication', pubname::text, '' FROM pg_publication
UNION ALL SELECT 'slot', slot_name::text, plugin::text FROM pg_replication_slots
    WHERE database = current_database()
UNION ALL SELECT 'event trigger', evtname::text, '' FROM pg_event_trigger
UNION ALL SELECT 'default privilege', defaclrole::regrole::text, defaclacl::text
    FROM pg_default_acl
UNION ALL SELECT 'role', rolname::text, concat_ws(' ', rolsuper, rolreplication, rolbypassrls,
    rolcreaterole, rolcreatedb, rolconnlimit) FROM pg_roles WHERE rolname !~ '^pg_'
UNION ALL SELECT 'setting', setrole::regrole::text || setdatabase::text, setconfig::text
    FROM pg_db_role_setting
UNION ALL SELECT 'membership', roleid::regrole::text, member::regrole::text FROM pg_auth_members
ORDER BY 1, 2, 3
"""


def objects(pair: Any) -> dict[Side, list[tuple[Any, ...]]]:
    """What both databases hold besides rows."""
    return {side: pair.rows(side, OBJECTS) for side in Side}


def change(pair: Any, number: int) -> None:
    """Rows inserted, changed and deleted in every table, the same number only once."""
    with pair.target() as target:
        for statement in (
            f"INSERT INTO note SELECT i, 'n' FROM generate_series({number}, {number + 9}) i",
            f"UPDATE note SET body = 'changed by {number}' WHERE id % 10 = 3",
            f"DELETE FROM note WHERE id = {number + 5}",
            f"INSERT INTO bag VALUES ('twice'), ('twice'), ('{number}'), (NULL)",
            f"INSERT INTO pin VALUES ({number}.50)",
            f"INSERT INTO event VALUES ({number}, 1), ({number}, 2)",
        ):
            target.execute(statement)


@pytest.mark.parametrize("way", WAYS)
def test_disarm_when_armed_in_each_way_then_both_sides_are_as_before(pair: Any, way: str) -> None:
    pair.both(*TABLES)
    before = objects(pair)
    engine = pair.engine()
    report = engine.arm(way)
    assert report.outcome is Outcome.SUCCEEDED, report
    assert report.capture == way
    assert objects(pair) != before
    change(pair, 100)
    assert engine.drain(20).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert engine.status().problems == ()
    assert engine.disarm().removed
    assert objects(pair) == before
    assert engine.disarm().removed == ()


def test_arm_when_ways_follow_each_other_then_nothing_is_missing_and_nothing_is_left(
    pair: Any,
) -> None:
    pair.both(*TABLES)
    before = objects(pair)
    engine = pair.engine()
    number = 0
    for way in ("slot", "changelog", "slot", "diff", "changelog", "diff", "slot"):
        number += 100
        if number > 100:  # both sides are the same when they are armed for the first time
            change(pair, number)
        report = engine.arm(way)
        assert report.outcome is Outcome.SUCCEEDED, report
        kinds = {row[0] for row in objects(pair)[Side.TARGET] if row[0] in ("slot", "publication")}
        assert bool(kinds) == (way == "slot")
        change(pair, number + 50)
        assert engine.drain(20).outcome is Outcome.SUCCEEDED
        pair.assert_equal()
    engine.disarm()
    assert objects(pair) == before


def test_diff_when_the_target_is_live_then_batches_compare_now_and_then(pair: Any) -> None:
    pair.both(*TABLES)
    engine = pair.engine()
    report = engine.arm("diff")
    assert any("no change is captured" in warning for warning in report.warnings)
    change(pair, 100)
    first = engine.run_batch()
    assert first.keys
    assert set(first.compared) == {
        "failback.canary",
        *(f"public.{name}" for name in ("bag", "event", "note", "pin")),
    }
    pair.assert_equal()
    change(pair, 200)
    assert "not due" in engine.run_batch().skipped
    assert engine.canary().outcome is Outcome.SUCCEEDED
    assert pair.contents(Side.SOURCE) != pair.contents(Side.TARGET)
    assert engine.drain(20).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_diff_when_the_target_is_fenced_then_the_source_is_let_in_after_a_comparison_alone(
    pair: Any,
) -> None:
    pair.both(*TABLES)
    engine = pair.engine()
    engine.arm("diff")
    change(pair, 100)
    engine.raise_fence(Side.TARGET, 1)
    with pytest.raises(Exception, match="tail_drained"):
        engine.lift_fence(Side.SOURCE)
    assert engine.drain(20).outcome is Outcome.SUCCEEDED
    assert engine.lift_fence(Side.SOURCE).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_diff_when_a_table_differs_by_more_than_keys_can_be_told_then_it_is_copied_whole(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.both(*TABLES)
    engine = pair.engine()
    engine.arm("diff")
    with pair.target() as target:
        target.execute("INSERT INTO note SELECT i, 'n' FROM generate_series(1, 20000) i")
    monkeypatch.setattr("failback.reverse_sync.attempt._MOST_DIFFERENCES", 100)
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
