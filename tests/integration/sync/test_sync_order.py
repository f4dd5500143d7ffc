"""Nothing is lost between snapshot, stream, position and slot, whatever happens in between."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from psycopg import sql

from failback.errors import NotArmedError, SlotBusyError, SlotLostError, UnreachableError
from failback.models.common import Outcome, Side
from failback.reverse_sync import batch, capture, position
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.pgoutput import lsn_number

from support.writers import Writer

pytestmark = pytest.mark.servers

Armed = Callable[..., ReverseSync]

LEDGER = "CREATE TABLE ledger (id int PRIMARY KEY, v int, writer text)"


def test_batches_when_many_writers_commit_in_odd_order_then_nothing_is_lost(
    pair: Any, armed: Armed
) -> None:
    engine = armed(
        LEDGER,
        "INSERT INTO ledger SELECT n, 0, 'first' FROM generate_series(1, 200) AS n",
        batch_changes=100,
    )
    over, pausing = threading.Event(), threading.Event()
    dsn = pair.databases.admin_dsn(Side.TARGET)
    writers = [Writer(dsn, number, over, pausing) for number in range(6)]
    for writer in writers:
        writer.start()
    try:
        batches, reached = 0, 0
        deadline = time.monotonic() + 60
        while (batches < 100 or reached < 5) and time.monotonic() < deadline:
            report = engine.run_batch()
            batches += report.changes > 0
            reached += report.caught_up
            if batches >= 50:
                pausing.set()
    finally:
        over.set()
        for writer in writers:
            writer.join()
    assert [writer.failure for writer in writers] == [None] * 6
    assert all(writer.committed for writer in writers)
    assert batches >= 100
    assert reached >= 5
    assert engine.drain(20).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    assert engine.status().lag_seconds == 0.0


def test_batch_when_a_transaction_is_open_then_it_arrives_after_its_commit(
    pair: Any, armed: Armed
) -> None:
    engine = armed(LEDGER)
    with pair.target() as early, pair.target() as late:
        early.execute("INSERT INTO ledger VALUES (1, 1, 'early')")
        late.execute("INSERT INTO ledger VALUES (2, 2, 'late')")
        late.commit()
        report = engine.run_batch()
        assert report.caught_up
        assert pair.rows(Side.SOURCE, "SELECT id FROM ledger") == [(2,)]
        early.commit()
        engine.run_batch()
        pair.assert_equal()
        early.execute("UPDATE ledger SET v = 10 WHERE id = 2")
        assert engine.drain(5).outcome is Outcome.SUCCEEDED
        early.rollback()
        engine.drain(5)
        pair.assert_equal()


def test_batch_when_a_commit_is_not_visible_yet_then_the_position_waits_for_it(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = armed(LEDGER)
    opened = capture.open_horizon
    late = pair.target()
    late.execute("INSERT INTO ledger VALUES (1, 1, 'in the log, not in the snapshot')")

    def with_a_commit_behind_the_snapshot(*arguments: Any) -> capture.Horizon:
        horizon = opened(*arguments)
        late.commit()
        # As if its commit record had been written before the position was taken.
        with pair.admin(Side.TARGET) as admin:
            row = admin.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        return capture.Horizon(
            horizon.snapshot, lsn_number(row[0]), flushed=False, at=horizon.at, slot=horizon.slot
        )

    with monkeypatch.context() as patch:
        patch.setattr(capture, "open_horizon", with_a_commit_behind_the_snapshot)
        report = engine.run_batch()
    assert report.changes == 1
    assert not report.caught_up
    assert pair.rows(Side.SOURCE, "SELECT id FROM ledger") == []
    assert engine.run_batch().rows == 1
    pair.assert_equal()
    late.close()


def test_batch_when_the_sender_commits_asynchronously_then_the_commit_arrives(
    pair: Any, armed: Armed
) -> None:
    engine = armed(LEDGER)
    with pair.admin(Side.TARGET) as target:
        target.execute("SET synchronous_commit = off")
        for number in range(1, 30):
            target.execute("INSERT INTO ledger VALUES (%s, 0, 'async')", [number])
            assert engine.drain(5).outcome is Outcome.SUCCEEDED
            assert pair.rows(Side.SOURCE, "SELECT max(id) FROM ledger") == [(number,)]


def test_batch_when_killed_between_commit_and_advance_then_the_next_one_goes_on(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = armed(LEDGER)

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with pair.target() as target:
        target.execute("INSERT INTO ledger SELECT n, 1, 'x' FROM generate_series(1, 10) AS n")
    with monkeypatch.context() as patch:
        patch.setattr(capture, "advancing", dies)
        with pytest.raises(KeyboardInterrupt):
            engine.run_batch()
    pair.assert_equal()
    with pair.target() as target:
        target.execute("DELETE FROM ledger WHERE id > 5")
    report = pair.engine().run_batch()
    assert report.keys == 5  # what the source has already is not applied again
    pair.assert_equal()


def test_batch_when_its_session_is_killed_before_the_commit_then_nothing_of_it_stays(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = armed(LEDGER)
    before = engine.status().position
    write = position.write

    def after_the_writer_was_killed(connection: Any, *arguments: Any, **options: Any) -> None:
        with pair.admin(Side.SOURCE) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        write(connection, *arguments, **options)

    with pair.target() as target:
        target.execute("INSERT INTO ledger VALUES (1, 1, 'x')")
    with monkeypatch.context() as patch:
        patch.setattr(batch.position, "write", after_the_writer_was_killed)
        with pytest.raises(UnreachableError):
            engine.run_batch()
    assert pair.rows(Side.SOURCE, "SELECT * FROM ledger") == []
    assert engine.status().position.lsn == before.lsn
    assert engine.run_batch().rows == 1
    pair.assert_equal()


def test_batch_when_another_consumer_is_at_work_then_it_stands_aside(
    pair: Any, armed: Armed
) -> None:
    engine = armed(LEDGER)
    with pair.admin(Side.SOURCE) as other, other.transaction():
        assert position.take(other)
        assert pair.engine().run_batch().skipped
        with pytest.raises(SlotBusyError):
            engine.drain(0.3)
    assert not engine.run_batch().skipped


def test_drain_when_it_has_announced_itself_then_batches_stand_aside(
    pair: Any, armed: Armed
) -> None:
    engine = armed(LEDGER)
    with pair.admin(Side.SOURCE) as drainer:
        position.prefer(drainer, 1)
        assert engine.run_batch().skipped
        assert engine.drain(5).outcome is Outcome.SUCCEEDED  # two drains share the announcement
        position.unprefer(drainer)
    assert not engine.run_batch().skipped


def test_batch_when_the_slot_was_made_anew_then_it_is_lost(pair: Any, armed: Armed) -> None:
    engine = armed(LEDGER)
    slot = pair.settings.object_name
    with pair.admin(Side.TARGET) as target:
        target.execute("INSERT INTO ledger VALUES (1, 1, 'skipped by the new slot')")
        target.execute("SELECT pg_drop_replication_slot(%s)", [slot])
    with pytest.raises(SlotLostError, match="gone"):
        engine.run_batch()
    with pair.admin(Side.TARGET) as target:
        target.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
    # Once lost, a new slot of the same name heals nothing.
    with pytest.raises(SlotLostError, match="gone"):
        engine.run_batch()
    assert [problem.table for problem in engine.status().problems] == ["(all)"]
    # Arming again has every table compared: what was captured in between is not known.
    report = engine.arm()
    assert report.outcome is Outcome.SUCCEEDED
    assert any("compared by checksum" in warning for warning in report.warnings)
    engine.run_batch()
    pair.assert_equal()
    assert pair.rows(Side.SOURCE, "SELECT id FROM ledger") == [(1,)]


def test_batch_when_somebody_read_the_slot_then_it_is_lost(pair: Any, armed: Armed) -> None:
    engine = armed(LEDGER)
    with pair.admin(Side.TARGET) as target:
        target.execute("INSERT INTO ledger VALUES (1, 1, 'taken by somebody')")
        target.execute(
            "SELECT count(*) FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL,"
            " 'proto_version', '1', 'publication_names', %s)",
            [pair.settings.object_name, pair.settings.object_name],
        )
    with pytest.raises(SlotLostError, match="somebody else advanced"):
        engine.run_batch()


def test_batch_when_nothing_is_armed_then_it_says_so(pair: Any) -> None:
    with pytest.raises(NotArmedError, match="failback arm"):
        pair.engine().run_batch()
    assert not pair.engine().status().armed


def test_drain_when_the_deadline_passes_first_then_it_is_inconclusive_and_keeps_what_it_did(
    pair: Any, armed: Armed
) -> None:
    engine = armed(LEDGER, batch_changes=100)
    with pair.admin(Side.TARGET) as target:
        for start in range(0, 3000, 100):
            target.execute(
                "INSERT INTO ledger SELECT n, 0, 'x' FROM generate_series(%s::int, %s) AS n",
                [start, start + 99],
            )
    report = engine.drain(0.001)
    assert report.outcome is Outcome.INCONCLUSIVE
    assert report.changes >= 100
    assert lsn_number(report.position) < lsn_number(report.wanted)
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_drain_when_progress_raises_then_it_stops_and_nothing_is_half_done(
    pair: Any, armed: Armed
) -> None:
    engine = armed(LEDGER)
    with pair.admin(Side.TARGET) as target:
        target.execute("INSERT INTO ledger VALUES (1, 1, 'x')")
    # A lock on the source makes the batch wait until it is told to stop.
    with pair.admin(Side.SOURCE) as source, source.transaction():
        source.execute("LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE")

        def stop(_: str) -> None:
            raise InterruptedError("cancelled")

        with pytest.raises(InterruptedError, match="cancelled"):
            engine.drain(30, stop)
    assert pair.rows(Side.SOURCE, "SELECT * FROM ledger") == []
    assert engine.drain(5).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_batch_when_a_table_is_rewritten_behind_the_snapshot_then_rows_stay(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = armed(LEDGER, "INSERT INTO ledger VALUES (1, 1, 'kept')")
    with pair.admin(Side.TARGET) as target:
        target.execute("UPDATE ledger SET v = 2")
    opened = capture.open_horizon
    # The columns stay as they are: nothing but the table's storage tells.
    rewrites = iter(["ALTER TABLE ledger ALTER COLUMN v TYPE int USING v + 0"])

    def with_a_rewrite_behind(*arguments: Any) -> capture.Horizon:
        horizon = opened(*arguments)
        for statement in rewrites:
            with pair.admin(Side.TARGET) as admin:
                admin.execute(statement)
        return horizon

    monkeypatch.setattr(capture, "open_horizon", with_a_rewrite_behind)
    engine.run_batch()
    assert pair.rows(Side.SOURCE, "SELECT v FROM ledger") == [(2,)]


def test_batch_when_both_sides_gained_a_column_then_its_values_arrive(
    pair: Any, armed: Armed
) -> None:
    engine = armed(LEDGER, "INSERT INTO ledger VALUES (1, 1, 'x')")
    with pair.target() as target:
        target.execute("UPDATE ledger SET v = 2")
    engine.run_batch()
    pair.both("ALTER TABLE ledger ADD COLUMN extra text")
    with pair.target() as target:
        target.execute("UPDATE ledger SET extra = 'new'")
    engine.run_batch()
    pair.assert_equal()
    assert pair.rows(Side.SOURCE, "SELECT extra FROM ledger") == [("new",)]


def test_position_when_it_would_go_back_then_the_batch_is_refused(pair: Any, armed: Armed) -> None:
    engine = armed(LEDGER)
    direction = pair.settings.direction
    held = lsn_number(engine.status().position.lsn)
    with pair.admin(Side.SOURCE) as source:
        with pytest.raises(SlotLostError, match="Two consumers"):
            position.write(source, direction, held - 1)
        assert position.read(source, direction).lsn == held


def test_status_when_the_slot_stands_far_behind_then_a_pending_change_is_still_found(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = armed(LEDGER)
    with pair.target() as target:
        target.execute("INSERT INTO ledger SELECT n, 0, 'x' FROM generate_series(1, 5000) AS n")
    with monkeypatch.context() as patch:
        patch.setattr(capture, "advancing", lambda *_: sql.SQL("SELECT 1"))
        engine.run_batch()
    assert engine.status().lag_seconds == 0.0
    with pair.target() as target:
        target.execute("DELETE FROM ledger WHERE id = 1")
    assert engine.status().lag_seconds > 0


def test_batch_when_a_burst_was_read_then_the_next_ones_need_not_read_it_again(
    pair: Any, armed: Armed
) -> None:
    armed(LEDGER)
    engine = pair.engine()
    with pair.target() as target:
        target.execute("INSERT INTO ledger SELECT n, n, 'x' FROM generate_series(1, 80000) AS n")
    engine.run_batch()
    query = (
        "SELECT pg_wal_lsn_diff(confirmed_flush_lsn, restart_lsn) FROM pg_replication_slots"
        " WHERE database = current_database()"
    )
    distance = None
    # The server moves on once a batch has read the record that another has asked for.
    for each in range(1, 6):
        with pair.target() as target:
            target.execute("DELETE FROM ledger WHERE id = %s", [each])
        engine.run_batch()
        ((distance,),) = pair.rows(Side.TARGET, query)
        if distance < 1_000_000:
            break
    assert distance is not None
    assert distance < 1_000_000
    pair.assert_equal()
