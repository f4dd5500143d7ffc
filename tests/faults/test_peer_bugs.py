"""Bugs that other migration tools had, each as a test that fails when its cure is taken out.

`docs/testing.md` says which change to the product makes which of these fail.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from temporalio.testing import ActivityEnvironment

from activities.database import DatabaseActivities
from failback.errors import FailbackError, SafetyRuleError, SlotLostError, UnreachableError
from failback.models.common import Outcome, Side
from failback.models.requests import DrainRequest
from failback.reverse_sync import batch, capture
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.pgoutput import lsn_number

pytestmark = pytest.mark.servers

Armed = Callable[..., ReverseSync]

LEDGER = "CREATE TABLE ledger (id int PRIMARY KEY, v int NOT NULL DEFAULT 0)"
LIMIT = 10
"""Changes that the engine takes at once in these tests."""


def ids(pair: Any, side: Side) -> list[int]:
    return [row[0] for row in pair.rows(side, "SELECT id FROM ledger ORDER BY id")]


def many_small_commits(pair: Any, first: int, last: int) -> None:
    with pair.admin(Side.TARGET) as target:
        for number in range(first, last):
            target.execute("INSERT INTO ledger VALUES (%s)", [number])


@contextmanager
def writing(pair: Any) -> Iterator[list[int]]:
    """A customer who writes without a pause, on the target until it refuses, then on the source.

    Yields the keys of the writes that were acknowledged.
    """
    acknowledged: list[int] = []
    over = threading.Event()

    def write() -> None:
        dsns = [pair.databases.target_app_dsn, pair.databases.source_app_dsn]
        numbers = itertools.count(1_000_000)
        sessions = [psycopg.connect(dsn, autocommit=True) for dsn in dsns]
        place = 0
        while not over.is_set():
            number = next(numbers)
            try:
                sessions[place].execute("INSERT INTO ledger VALUES (%s)", [number])
            except psycopg.errors.ReadOnlySqlTransaction:
                place = 1 - place
            else:
                acknowledged.append(number)
        for session in sessions:
            session.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield acknowledged
    finally:
        over.set()
        thread.join()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)


def test_writes_when_committed_inside_the_switch_then_the_source_has_them(
    pair: Any, armed: Armed
) -> None:
    # A peer took the position of the way back before the switch was complete.
    engine = armed(LEDGER, batch_changes=LIMIT)
    with writing(pair) as acknowledged:
        until(lambda: len(acknowledged) > 20)
        assert engine.drain(30).outcome is Outcome.SUCCEEDED
        many_small_commits(pair, 0, 5 * LIMIT)
        assert engine.raise_fence(Side.TARGET, 5).outcome is Outcome.SUCCEEDED
        assert engine.drain(30).outcome is Outcome.SUCCEEDED
        assert ids(pair, Side.SOURCE) == ids(pair, Side.TARGET)
        engine.lift_fence(Side.SOURCE)
        before = len(acknowledged)
        until(lambda: len(acknowledged) > before + 20)
    assert set(acknowledged) | set(range(5 * LIMIT)) == set(ids(pair, Side.SOURCE))


def test_transaction_when_in_flight_at_the_fence_then_it_is_awaited_and_arrives(
    pair: Any, armed: Armed
) -> None:
    # A peer took the position while transactions that had written were still open.
    engine = armed(LEDGER)
    writer = pair.target()
    writer.execute("INSERT INTO ledger VALUES (1)")
    waits = (
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
        " AND query LIKE '%drain_writers%' AND pid <> pg_backend_pid()"
    )
    with ThreadPoolExecutor(1) as pool:
        raising = pool.submit(engine.raise_fence, Side.TARGET, 20)
        until(lambda: raising.done() or bool(pair.rows(Side.TARGET, waits)))
        assert not raising.done()
        writer.commit()
        report = raising.result()
    writer.close()
    assert (report.outcome, report.terminated) == (Outcome.SUCCEEDED, ())
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    assert ids(pair, Side.SOURCE) == [1]


def test_drain_when_the_backlog_is_many_small_commits_then_success_means_all_of_them(
    pair: Any, armed: Armed
) -> None:
    # A peer read one portion of the backlog and called the whole of it done.
    engine = armed(LEDGER, batch_changes=LIMIT)
    many_small_commits(pair, 0, 20 * LIMIT + 3)
    report = engine.drain(60)
    assert report.outcome is Outcome.SUCCEEDED
    assert ids(pair, Side.SOURCE) == list(range(20 * LIMIT + 3))
    assert report.batches > 10


def test_position_when_a_commit_is_followed_by_nothing_of_ours_then_it_does_not_skip_it(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A peer's position followed keepalives and empty transactions past commits it had not read.
    engine = armed(LEDGER)
    opened = capture.open_horizon
    late = pair.target()
    late.execute("INSERT INTO ledger VALUES (1)")

    def then_a_commit_and_more(*arguments: Any) -> capture.Horizon:
        horizon = opened(*arguments)
        late.commit()
        with pair.admin(Side.TARGET) as target:
            for _ in range(3):
                target.execute("SELECT pg_logical_emit_message(true, 'other', 'none of ours')")
            row = target.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        assert row is not None
        # As if all that had been in the log when the position was taken, not in the snapshot.
        return replace(horizon, lsn=lsn_number(row[0]), flushed=False)

    with monkeypatch.context() as patch:
        patch.setattr(capture, "open_horizon", then_a_commit_and_more)
        assert not engine.run_batch().caught_up
    late.close()
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    assert ids(pair, Side.SOURCE) == [1]


def test_drain_when_it_ends_early_then_its_position_is_what_was_applied(
    pair: Any, armed: Armed
) -> None:
    # A peer wrote the end that it wanted into its position, so that its own check passed.
    engine = armed(LEDGER, batch_changes=LIMIT)
    many_small_commits(pair, 0, 20 * LIMIT)
    engine.raise_fence(Side.TARGET, 1)
    report = engine.drain(0.001)
    assert report.outcome is Outcome.INCONCLUSIVE
    held = engine.status().position
    assert held is not None
    assert held.lsn == report.position
    assert lsn_number(held.lsn) < lsn_number(report.wanted)
    assert len(ids(pair, Side.SOURCE)) < 20 * LIMIT
    # Who asks whether the source may take writes is told the truth.
    with pytest.raises(SafetyRuleError, match="tail_drained"):
        engine.lift_fence(Side.SOURCE)
    assert engine.drain(60).outcome is Outcome.SUCCEEDED
    engine.lift_fence(Side.SOURCE)
    assert len(ids(pair, Side.SOURCE)) == 20 * LIMIT


def test_fence_when_raised_then_no_role_can_write(pair: Any, armed: Armed) -> None:
    # A peer took the right to write from the one role that its configuration named.
    engine = armed(LEDGER)
    with pair.admin(Side.TARGET) as target:
        target.execute("DROP ROLE IF EXISTS made_later")
        target.execute("CREATE ROLE made_later")
        target.execute(
            "GRANT INSERT, UPDATE, DELETE, TRUNCATE ON public.ledger TO made_later, service_role"
        )
    assert engine.raise_fence(Side.TARGET, 1).outcome is Outcome.SUCCEEDED
    try:
        with pair.admin(Side.TARGET) as target:
            (superuser,) = target.execute("SELECT current_user").fetchone()
            for role in (
                "product",
                "app_owner",
                "failback",
                "service_role",
                "made_later",
                superuser,
            ):
                target.execute(f"SET ROLE {role}")
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                    target.execute("INSERT INTO public.ledger VALUES (1)")
                target.execute("RESET ROLE")
            target.execute("SET session_replication_role = replica")
            for statement in (
                "TRUNCATE public.ledger",
                "DELETE FROM public.ledger",
                "UPDATE public.ledger SET v = 1",
            ):
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                    target.execute(statement)
    finally:
        with pair.admin(Side.TARGET) as target:
            target.execute("DROP OWNED BY made_later")
            target.execute("DROP ROLE made_later")


def test_sequences_when_a_rollback_has_drained_then_the_source_gives_out_new_values(
    pair: Any, armed: Armed
) -> None:
    # A peer left the sequences at the values of the first copy: the next insert was a duplicate.
    engine = armed("CREATE TABLE note (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY)")
    with pair.admin(Side.TARGET) as target:
        target.execute("INSERT INTO note SELECT FROM generate_series(1, 50)")
    engine.raise_fence(Side.TARGET, 1)
    # What the workflows call: the drain of a rollback, not the engine's part of it alone.
    report = ActivityEnvironment().run(
        DatabaseActivities(engine).drain,
        DrainRequest(rollback_id="r", step="drain", deadline_seconds=30),
    )
    assert report.outcome is Outcome.SUCCEEDED
    engine.lift_fence(Side.SOURCE)
    with psycopg.connect(pair.databases.source_app_dsn, autocommit=True) as source:
        row = source.execute("INSERT INTO note DEFAULT VALUES RETURNING id").fetchone()
    assert row is not None
    assert row[0] > 50


def test_rollback_when_it_failed_then_the_next_try_has_all_that_it_needs(
    pair: Any, armed: Armed
) -> None:
    # A peer cleaned up after a failed rollback, and with it went the stream it would have needed.
    engine = armed(LEDGER)
    many_small_commits(pair, 0, 20)
    assert engine.raise_fence(Side.TARGET, 1).outcome is Outcome.SUCCEEDED
    with pair.admin(Side.SOURCE) as source, source.transaction():
        source.execute("LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE")

        def given_up(_: str) -> None:
            raise TimeoutError

        with pytest.raises(TimeoutError):
            engine.drain(30, given_up)
        # Neither does an operator's tidying up remove it now.
        with pytest.raises(FailbackError):
            engine.disarm()
    engine.close()
    # Back to the target, which takes writes again; some time later, another try.
    another = pair.engine()
    assert another.lift_fence(Side.TARGET).outcome is Outcome.SUCCEEDED
    many_small_commits(pair, 20, 40)
    assert another.raise_fence(Side.TARGET, 1).outcome is Outcome.SUCCEEDED
    assert another.drain(30).outcome is Outcome.SUCCEEDED
    assert ids(pair, Side.SOURCE) == list(range(40))


def test_slot_when_made_anew_then_what_it_skipped_is_never_called_done(
    pair: Any, armed: Armed
) -> None:
    # A peer went on with a slot of the same name, which knew nothing of what lay before it.
    engine = armed(LEDGER)
    slot = pair.settings.object_name
    with pair.admin(Side.TARGET) as target:
        target.execute("INSERT INTO ledger VALUES (1)")
        target.execute("SELECT pg_drop_replication_slot(%s)", [slot])
        target.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
        target.execute("INSERT INTO ledger VALUES (2)")
    outcome: Outcome | None = None
    with suppress(SlotLostError):
        outcome = engine.drain(30).outcome
    if outcome is Outcome.SUCCEEDED:
        assert ids(pair, Side.SOURCE) == [1, 2]
    engine.arm()
    assert engine.drain(30).outcome is Outcome.SUCCEEDED
    assert ids(pair, Side.SOURCE) == [1, 2]


def test_slot_when_orphaned_then_it_is_named_with_what_drops_it(pair: Any, armed: Armed) -> None:
    # A peer left a slot on the side that was left; weeks later its disk was full.
    engine = armed(LEDGER)
    assert engine.status().problems == ()
    assert engine.status().retained_wal_bytes is not None
    # The source was set up anew, and knows nothing of the stream.
    with pair.admin(Side.SOURCE) as source:
        source.execute("DROP SCHEMA failback CASCADE")
    (problem,) = [
        each
        for each in engine.status().problems
        if pair.settings.object_name in each.problem and "target" in each.problem
    ]
    assert "pg_drop_replication_slot" in problem.cure


def test_late_tail_when_it_meets_its_own_writes_then_they_are_no_conflicts(
    pair: Any, armed: Armed
) -> None:
    # A peer's way back read what its own applier had written, as if customers had done it.
    engine = armed(LEDGER, "INSERT INTO ledger SELECT g FROM generate_series(1, 5) AS g")
    engine = pair.engine(batch_changes=2)
    with pair.admin(Side.TARGET) as target:
        for value in range(1, 12):
            target.execute("UPDATE ledger SET v = %s", [value])
    engine.raise_fence(Side.TARGET, 1)
    engine.lift_fence(Side.SOURCE, accepted="level 1 policy")
    report = engine.drain_late(60)
    assert report.outcome is Outcome.SUCCEEDED
    assert report.batches > 3
    assert report.conflicts == 0
    assert engine.conflicts() == ()
    assert pair.rows(Side.SOURCE, "SELECT DISTINCT v FROM ledger") == [(11,)]
    # Nor are they changes that the target would lack when traffic goes back there.
    assert engine.raise_fence(Side.SOURCE, 1).outcome is Outcome.SUCCEEDED
    assert engine.lift_fence(Side.TARGET).outcome is Outcome.SUCCEEDED


def test_batch_when_the_answer_to_its_commit_is_lost_then_it_is_unknown_and_not_failed(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A peer reported a failure where nobody knew, and undid what had been done.
    engine = armed(LEDGER)
    many_small_commits(pair, 0, 5)
    committed = batch.position.write

    def then_cut(connection: Any, *arguments: Any, **options: Any) -> None:
        committed(connection, *arguments, **options)
        connection.execute("COMMIT")  # it was done; the answer does not arrive
        with pair.admin(Side.SOURCE) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])

    with monkeypatch.context() as patch:
        patch.setattr(batch.position, "write", then_cut)
        with pytest.raises(UnreachableError) as raised:
            engine.drain(30)
    # Temporal tries again what is not known; what is refused it does not.
    assert raised.value.retryable
    report = engine.drain(30)
    assert (report.outcome, report.keys) == (Outcome.SUCCEEDED, 0)
    assert ids(pair, Side.SOURCE) == list(range(5))


def test_drain_when_the_deadline_passes_then_it_is_unknown_and_not_failed(
    pair: Any, armed: Armed
) -> None:
    engine = armed(LEDGER, batch_changes=LIMIT)
    many_small_commits(pair, 0, 10 * LIMIT)
    assert engine.drain(0.001).outcome is Outcome.INCONCLUSIVE
