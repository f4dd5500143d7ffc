"""The changelog: every kind of change is written down once, and what is applied is a snapshot."""

import threading
from typing import Any

import psycopg
import pytest

from failback.errors import ConfigurationError, MissingRightError, SlotLostError
from failback.models.common import Outcome, Side
from failback.reverse_sync import changelog
from failback.reverse_sync.engine import ReverseSync

pytestmark = pytest.mark.servers

NOTE = "CREATE TABLE note (id int PRIMARY KEY, body text)"


def changelog_engine(pair: Any, *statements: str, **changed: Any) -> ReverseSync:
    """Both sides with these tables, armed by a changelog."""
    pair.both(*statements)
    engine: ReverseSync = pair.engine(**changed)
    report = engine.arm("changelog")
    assert report.outcome is Outcome.SUCCEEDED, report
    assert report.capture == "changelog"
    return engine


def logged(pair: Any) -> int:
    """Rows in the changelog, whatever they tell."""
    rows = pair.rows(Side.TARGET, "SELECT count(*) FROM failback.changelog")
    return int(rows[0][0])


def test_arm_when_the_target_may_not_replicate_then_a_changelog_is_picked_and_why_is_said(
    pair: Any,
) -> None:
    pair.both(NOTE)
    with pair.admin(Side.TARGET) as admin:
        admin.execute("ALTER ROLE failback NOREPLICATION")
        try:
            report = pair.engine().arm()
        finally:
            admin.execute("ALTER ROLE failback REPLICATION")
    assert report.outcome is Outcome.SUCCEEDED
    assert report.capture == "changelog"
    assert "failback may not replicate on the target" in report.why
    assert report.canary is not None
    assert report.canary.outcome is Outcome.SUCCEEDED
    status = pair.engine().status(canary=True)
    assert status.capture == "changelog"
    assert status.problems == ()
    assert status.lag_seconds == 0.0
    assert status.retained_wal_bytes is None
    assert status.captured_bytes is not None
    # What was picked stays, so that arming again compares nothing.
    again = pair.engine().arm()
    assert again.capture == "changelog"
    assert again.warnings == ()


def test_arm_when_a_way_is_unknown_then_the_ways_are_named(pair: Any) -> None:
    pair.both(NOTE)
    with pytest.raises(ConfigurationError, match="polling") as raised:
        pair.engine().arm("polling")
    assert "slot, changelog, diff" in raised.value.cure


def test_arm_when_the_target_subscribes_then_a_changelog_is_refused(pair: Any) -> None:
    pair.both(NOTE)
    with pair.admin(Side.TARGET) as admin:
        admin.execute(
            "CREATE SUBSCRIPTION feed CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p"
            " WITH (connect = false, slot_name = NONE)"
        )
        admin.execute("UPDATE pg_subscription SET subenabled = true WHERE subname = 'feed'")
        try:
            with pytest.raises(MissingRightError, match="apply workers fire no statement"):
                pair.engine().arm("changelog")
        finally:
            admin.execute("UPDATE pg_subscription SET subenabled = false WHERE subname = 'feed'")
            admin.execute("DROP SUBSCRIPTION feed")


def test_batch_when_rows_change_in_every_way_then_the_source_equals_the_target(pair: Any) -> None:
    engine = changelog_engine(
        pair,
        NOTE,
        "CREATE TABLE child (a int, b text, note int REFERENCES note ON DELETE CASCADE, v numeric,"
        " PRIMARY KEY (b, a))",
        "CREATE TABLE bag (v text)",
        'CREATE TABLE "Größe ""x""" ("Schlüssel" uuid PRIMARY KEY DEFAULT gen_random_uuid())',
    )
    with pair.target() as target:
        target.execute("INSERT INTO note SELECT i, 'n' FROM generate_series(1, 500) i")
        target.execute("INSERT INTO child SELECT i, 'b', i, i / 3.0 FROM generate_series(1, 99) i")
        target.execute("INSERT INTO bag VALUES ('twice'), ('twice'), (NULL)")
        target.execute('INSERT INTO "Größe ""x""" DEFAULT VALUES')
        with target.cursor().copy("COPY note FROM STDIN") as copy:
            copy.write("1000\tcopied\n")
    with pair.target() as target:
        target.execute("UPDATE note SET id = -id WHERE id BETWEEN 100 AND 120")
        target.execute("UPDATE note SET body = 'u' WHERE id < 50")
        target.execute(
            "INSERT INTO note VALUES (1, 'x'), (2000, 'new') ON CONFLICT (id) DO UPDATE"
            " SET body = 'upserted'"
        )
        target.execute(
            "MERGE INTO note USING (VALUES (2), (3), (3000)) AS s (id) ON note.id = s.id"
            " WHEN MATCHED AND s.id = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET body = 'merged'"
            " WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'merged')"
        )
        target.execute("DELETE FROM note WHERE id = 5")
    # The product's role has no right to the changelog.
    with psycopg.connect(pair.databases.target_app_dsn) as product:
        product.execute("UPDATE note SET body = 'by the product' WHERE id = 6")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            product.execute("DELETE FROM failback.changelog")
    with pair.target() as target:
        target.execute("DELETE FROM bag WHERE ctid = (SELECT min(ctid) FROM bag)")
        target.execute("SET session_replication_role = replica")
        target.execute("UPDATE child SET v = v + 1 WHERE a = 9")
    report = engine.run_batch()
    assert report.caught_up
    pair.assert_equal()
    assert logged(pair) == 0
    with pair.target() as target:
        target.execute("TRUNCATE child")
        target.execute("INSERT INTO child VALUES (1, 'after', 1, 0)")
    assert engine.status().lag_seconds != 0.0
    engine.run_batch()
    pair.assert_equal()
    assert logged(pair) == 0
    assert engine.status().lag_seconds == 0.0


def test_batch_when_a_partitioned_table_changes_through_root_and_leaf_then_each_is_logged_once(
    pair: Any,
) -> None:
    engine = changelog_engine(
        pair,
        "CREATE TABLE event (id int, day int, v text, PRIMARY KEY (id, day))"
        " PARTITION BY RANGE (day)",
        "CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (10) TO (20)"
        " PARTITION BY LIST (day)",
        "CREATE TABLE event_2a (v text, day int NOT NULL, id int NOT NULL)",
        "ALTER TABLE event_2 ATTACH PARTITION event_2a DEFAULT",
    )
    with pair.target() as target:
        target.execute("INSERT INTO event SELECT i, i % 20, 'root' FROM generate_series(1, 40) i")
    assert logged(pair) == 40
    with pair.target() as target:
        target.execute("INSERT INTO event_1 VALUES (100, 1, 'leaf')")
        target.execute("INSERT INTO event_2a (id, day, v) VALUES (101, 11, 'leaf')")
        target.execute("INSERT INTO event_2 VALUES (102, 12, 'middle')")
    assert logged(pair) == 43
    engine.run_batch()
    pair.assert_equal()
    with pair.target() as target:
        target.execute("UPDATE event SET day = 15 WHERE id = 1")  # moves to another leaf
        target.execute("UPDATE event_2a SET v = 'changed' WHERE id = 101")
        target.execute("DELETE FROM event_1 WHERE id = 100")
        target.execute("TRUNCATE event_2a")
        target.execute("INSERT INTO event VALUES (7777, 12, 'after')")
    engine.run_batch()
    pair.assert_equal()
    pair.run(Side.TARGET, "CREATE TABLE event_3 PARTITION OF event FOR VALUES FROM (20) TO (30)")
    problems = engine.status().problems
    assert any(
        problem.table == "public.event_3" and "changelog" in problem.problem for problem in problems
    )
    with pair.target() as target:
        target.execute("INSERT INTO event_3 VALUES (1, 25, 'past the changelog')")
    pair.run(Side.SOURCE, "CREATE TABLE event_3 PARTITION OF event FOR VALUES FROM (20) TO (30)")
    assert any("public.event" in warning for warning in engine.arm().warnings)
    engine.run_batch()
    pair.assert_equal()


def test_batch_when_a_parent_is_changed_then_rows_of_inheriting_tables_follow(pair: Any) -> None:
    engine = changelog_engine(
        pair,
        "CREATE TABLE place (id int PRIMARY KEY, name text)",
        "CREATE TABLE city (mayor text, PRIMARY KEY (id)) INHERITS (place)",
        "CREATE TABLE port (code text PRIMARY KEY) INHERITS (place)",
    )
    with pair.target() as target:
        target.execute("INSERT INTO place VALUES (1, 'a')")
        target.execute("INSERT INTO city VALUES (2, 'b', 'm')")
        target.execute("INSERT INTO port VALUES (3, 'c', 'XX')")
    engine.run_batch()
    pair.assert_equal()
    with pair.target() as target:
        target.execute("UPDATE place SET name = name || '!', id = id + 10")
    engine.run_batch()
    pair.assert_equal()
    with pair.target() as target:
        target.execute("DELETE FROM place WHERE id > 11")
    engine.run_batch()
    pair.assert_equal()


def test_batch_when_a_smaller_transaction_commits_late_then_its_rows_are_not_skipped(
    pair: Any,
) -> None:
    engine = changelog_engine(pair, NOTE)
    with pair.target() as early:
        early.execute("INSERT INTO note VALUES (1, 'begun first, committed last')")
        with pair.target() as late:
            late.execute("INSERT INTO note VALUES (2, 'begun last, committed first')")
        assert engine.run_batch().keys == 1
        # Its row is not visible yet, and is neither applied nor taken out.
        assert pair.rows(Side.SOURCE, "SELECT id FROM note") == [(2,)]
    assert engine.run_batch().keys == 1
    pair.assert_equal()
    assert logged(pair) == 0


def test_batch_when_the_consumer_dies_after_the_commit_then_nothing_is_applied_twice(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = changelog_engine(pair, NOTE)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with pair.target() as target:
        target.execute("INSERT INTO note SELECT i, 'n' FROM generate_series(1, 9) i")
    with monkeypatch.context() as patch:
        patch.setattr(changelog, "forget", die)
        with pytest.raises(KeyboardInterrupt):
            engine.run_batch()
    assert logged(pair) == 9
    pair.assert_equal()
    other = pair.engine()
    assert other.status().lag_seconds == 0.0
    assert other.run_batch().keys == 0
    assert logged(pair) == 0
    with pair.target() as target:
        target.execute("DELETE FROM note WHERE id = 4")
    assert other.run_batch().keys == 1
    pair.assert_equal()


def test_batch_when_limited_then_whole_transactions_follow_each_other_to_the_end(
    pair: Any,
) -> None:
    engine = changelog_engine(pair, NOTE, batch_changes=100)
    for start in range(0, 1000, 50):
        with pair.target() as target:
            target.execute(
                "INSERT INTO note SELECT i, 'n' FROM generate_series(%s::int, %s::int) i",
                [start, start + 49],
            )
    reports = [engine.run_batch()]
    while not reports[-1].caught_up:
        reports.append(engine.run_batch())
        assert len(reports) < 30
    assert len(reports) > 5
    assert sum(report.keys for report in reports) == 1000
    pair.assert_equal()
    assert engine.drain(10).outcome is Outcome.SUCCEEDED


def test_drain_when_many_write_at_once_then_nothing_is_missing(pair: Any) -> None:
    engine = changelog_engine(pair, NOTE, batch_changes=300)
    over = threading.Event()

    def write(worker: int) -> None:
        with psycopg.connect(pair.databases.admin_dsn(Side.TARGET), autocommit=True) as session:
            turn = 0
            while not over.is_set():
                turn += 1
                session.execute(
                    "INSERT INTO note VALUES (%s, %s) ON CONFLICT (id) DO UPDATE"
                    " SET body = excluded.body",
                    [worker * 1000 + turn % 40, str(turn)],
                )
                session.execute("DELETE FROM note WHERE id = %s", [worker * 1000 + turn % 7])

    workers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(20):
            engine.run_batch()
    finally:
        over.set()
        for worker in workers:
            worker.join()
    assert engine.raise_fence(Side.TARGET, 1).outcome is Outcome.SUCCEEDED
    assert engine.drain(10).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert logged(pair) == 0


def test_lift_when_the_changelog_is_drained_then_the_source_takes_writes_and_conflicts_are_parked(
    pair: Any,
) -> None:
    pair.both(NOTE)
    with pair.admin(Side.SOURCE) as admin:
        admin.execute("ALTER ROLE postgres NOREPLICATION")
        try:
            engine = pair.engine()
            report = engine.arm("changelog")
        finally:
            admin.execute("ALTER ROLE postgres REPLICATION")
    assert any("own changes are found by a changelog" in warning for warning in report.warnings)
    with pair.target() as target:
        target.execute("INSERT INTO note VALUES (1, 'before'), (2, 'before'), (3, 'before')")
    engine.drain(5)
    with pair.target() as target:
        target.execute("UPDATE note SET body = 'late on the target' WHERE id IN (1, 2)")
    engine.raise_fence(Side.TARGET, 1)
    engine.lift_fence(Side.SOURCE, accepted="the test")
    with psycopg.connect(pair.databases.source_app_dsn) as product:
        product.execute("UPDATE note SET body = 'on the source' WHERE id = 2")
    late = engine.drain_late(5)
    assert late.outcome is Outcome.SUCCEEDED
    assert late.conflicts == 1
    assert sorted(pair.rows(Side.SOURCE, "SELECT * FROM note")) == [
        (1, "late on the target"),
        (2, "on the source"),
        (3, "before"),
    ]
    assert [conflict.key for conflict in engine.conflicts()] == ["id=2"]


def test_late_tail_when_the_source_cannot_tell_its_changes_then_what_differs_is_parked(
    pair: Any,
) -> None:
    pair.both(NOTE)
    engine = pair.engine()
    assert engine.arm("changelog").outcome is Outcome.SUCCEEDED
    with pair.admin(Side.SOURCE) as admin:
        admin.execute("UPDATE failback.stream SET receiver_capture = 'none'")
    assert any("parked as a conflict" in warning for warning in engine.status().warnings)
    with pair.target() as target:
        target.execute("INSERT INTO note VALUES (1, 'same'), (2, 'before')")
    engine.drain(5)
    with pair.target() as target:
        target.execute("UPDATE note SET body = 'same' WHERE id = 1")
        target.execute("UPDATE note SET body = 'late' WHERE id = 2")
    engine.raise_fence(Side.TARGET, 1)
    engine.lift_fence(Side.SOURCE, accepted="the test")
    assert engine.drain_late(5).conflicts == 1
    (parked,) = engine.conflicts()
    assert parked.key == "id=2"
    assert pair.rows(Side.SOURCE, "SELECT body FROM note WHERE id = 2") == [("before",)]


def test_batch_when_the_changelog_is_dropped_then_it_is_lost_and_never_silent(pair: Any) -> None:
    engine = changelog_engine(pair, NOTE)
    with pair.admin(Side.TARGET) as admin:
        admin.execute("DROP TABLE failback.changelog CASCADE")
    with pytest.raises(SlotLostError, match="changelog is gone"):
        engine.run_batch()
    status = engine.status()
    assert status.capture_lost
    assert any("changelog is gone" in problem.problem for problem in status.problems)


def test_batch_when_the_target_was_restored_to_before_then_it_is_noticed(pair: Any) -> None:
    engine = changelog_engine(pair, NOTE)
    for number in range(3):
        with pair.target() as target:
            target.execute("INSERT INTO note VALUES (%s, 'n')", [number])
        engine.run_batch()
    with pair.admin(Side.TARGET) as admin:
        admin.execute("SELECT setval('failback.witness', 1)")
    with pytest.raises(SlotLostError, match="restored to an earlier state"):
        engine.run_batch()
