"""A large backlog is carried in shares, by any number of engines at once, and nothing is lost."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from failback.models.catch_up import CatchUpPlan, ShareOutcome
from failback.models.common import Outcome, Side
from failback.reverse_sync.catch_up import CatchUp
from failback.reverse_sync.catch_up_plan import Sizes
from failback.reverse_sync.engine import ReverseSync

from support.backlog import TABLES, grow
from support.writers import Writer

pytestmark = pytest.mark.servers

Armed = Callable[..., ReverseSync]

SIZES = Sizes(share_keys=500, fewest_keys=100)
KEPT = "SELECT count(*) FROM pg_tables WHERE schemaname = 'failback' AND tablename ~ 'catch_up'"


@contextmanager
def worker(pair: Any, sizes: Sizes = SIZES) -> Iterator[CatchUp]:
    """What a worker process has."""
    made = CatchUp(pair.settings, sizes)
    try:
        yield made
    finally:
        made.close()


def carried(workers: list[CatchUp], plan: CatchUpPlan) -> list[ShareOutcome]:
    """Every share of a plan, dealt to the workers in turn, all at once."""
    with ThreadPoolExecutor(4) as pool:
        reports = pool.map(
            lambda each: workers[each.number % len(workers)].carry_share(plan.run, each.number),
            plan.shares,
        )
    return [report.outcome for report in reports]


def test_catch_up_when_two_workers_carry_it_while_the_product_writes_then_both_sides_are_equal(
    pair: Any, armed: Armed
) -> None:
    engine = armed(
        *TABLES,
        "CREATE TABLE ledger (id int PRIMARY KEY, v int, writer text)",
        "INSERT INTO ledger SELECT n, 0, 'first' FROM generate_series(1, 200) AS n",
    )
    grow(pair, 12_000)
    before = engine.status().position
    over = threading.Event()
    writers = [
        Writer(pair.databases.admin_dsn(Side.TARGET), n, over, threading.Event()) for n in range(2)
    ]
    with worker(pair) as first, worker(pair) as second:
        for writer in writers:
            writer.start()
        try:
            plan = first.plan_catch_up()
            assert (plan.declined, len(plan.shares)) == ("", plan.of_shares)
            assert {share.label for share in plan.shares} >= {"public.child", "public.event"}
            assert sum(share.label == "public.entry" for share in plan.shares) == 1
            assert sum(share.label == "public.event" for share in plan.shares) > 1
            progress = engine.status().catch_up
            assert progress is not None
            assert (progress.run, progress.keys_carried) == (plan.run, 0)
            assert engine.status().position == before
            assert set(carried([first, second], plan)) == {ShareOutcome.CARRIED}
            progress = engine.status().catch_up
            assert progress is not None
            assert progress.keys_carried == progress.keys == plan.keys
            assert progress.bytes > progress.rows > 0
            settled = second.settle_catch_up(plan.run)
        finally:
            over.set()
            for writer in writers:
                writer.join()
    assert settled.settled, settled.detail
    assert pair.rows(Side.SOURCE, KEPT) == [(0,)]
    held = engine.status().position
    assert held is not None
    assert held.lsn == settled.position
    assert [writer.failure for writer in writers] == [None, None]
    drained = engine.drain(20)
    assert drained.outcome is Outcome.SUCCEEDED
    assert drained.changes < 12_000  # those of the catch-up do not come again
    pair.assert_equal()


def test_catch_up_when_captured_by_triggers_then_the_changelog_is_shortened(
    pair: Any, armed: Armed
) -> None:
    pair.both(*TABLES)
    engine = pair.engine()
    assert engine.arm("changelog").outcome is Outcome.SUCCEEDED
    grow(pair, 6_000)
    with worker(pair) as one:
        plan = one.plan_catch_up()
        assert set(carried([one], plan)) == {ShareOutcome.CARRIED}
        assert one.settle_catch_up(plan.run).settled
    pair.assert_equal()
    drained = engine.drain(20)
    assert (drained.outcome, drained.changes) == (Outcome.SUCCEEDED, 0)
    tail = engine.status()
    assert tail.lag_seconds == 0.0


def test_plan_when_repeated_then_the_shares_that_are_left_are_told(pair: Any, armed: Armed) -> None:
    armed(*TABLES)
    grow(pair, 6_000)
    with worker(pair) as one:
        plan = one.plan_catch_up()
        number = plan.shares[0].number
        first = one.carry_share(plan.run, number)
        again = one.carry_share(plan.run, number)
        assert (again.outcome, again.rows) == (ShareOutcome.CARRIED, first.rows)
        resumed = one.plan_catch_up()
        assert resumed.run == plan.run
        assert resumed.keys_carried == first.keys
        assert [share.number for share in resumed.shares] == [
            share.number for share in plan.shares[1:]
        ]
        # Not every share was carried: batches carry what is left.
        assert not one.settle_catch_up(plan.run).settled
        assert one.carry_share(plan.run, number).outcome is ShareOutcome.VOID
    assert pair.rows(Side.SOURCE, KEPT) == [(0,)]


def test_plan_when_the_backlog_cannot_be_shared_out_then_it_says_why(
    pair: Any, armed: Armed
) -> None:
    engine = armed(*TABLES)
    grow(pair, 300)
    with worker(pair, Sizes(fewest_keys=10_000)) as one:
        assert "few enough" in one.plan_catch_up().declined
    with worker(pair) as one:
        pair.run(Side.SOURCE, "ALTER TABLE event ADD COLUMN only_here int NOT NULL DEFAULT 1")
        assert "public.event" in one.plan_catch_up().declined
        engine.run_batch()
        assert "public.event may differ" in one.plan_catch_up().declined
        pair.run(Side.SOURCE, "ALTER TABLE event DROP COLUMN only_here")
        assert engine.drain(20).outcome is Outcome.SUCCEEDED
        engine.raise_fence(Side.TARGET, 1.0)
        engine.drain(20)
        engine.lift_fence(Side.SOURCE)
        assert "takes writes" in one.plan_catch_up().declined


def test_truncate_when_it_comes_in_the_middle_then_both_sides_are_equal(
    pair: Any, armed: Armed
) -> None:
    engine = armed(*TABLES)
    grow(pair, 6_000)
    with worker(pair) as one:
        plan = one.plan_catch_up()
        for share in plan.shares[: len(plan.shares) // 2]:
            one.carry_share(plan.run, share.number)
        pair.run(Side.TARGET, "TRUNCATE event")
        grow(pair, 1_000)
        for share in plan.shares[len(plan.shares) // 2 :]:
            one.carry_share(plan.run, share.number)
        assert one.settle_catch_up(plan.run).settled
        assert engine.drain(20).outcome is Outcome.SUCCEEDED
        pair.assert_equal()
        # And before: the table is a share of its own, copied whole.
        pair.run(Side.TARGET, "TRUNCATE event")
        grow(pair, 1_000)
        plan = one.plan_catch_up()
        assert set(carried([one], plan)) == {ShareOutcome.CARRIED}
        assert one.settle_catch_up(plan.run).settled
    pair.assert_equal()


@pytest.mark.parametrize(
    "drift",
    [
        "ALTER TABLE event ADD COLUMN extra int NOT NULL DEFAULT 7",
        "ALTER TABLE child RENAME n TO m",
    ],
)
def test_schema_when_it_changes_in_the_middle_then_batches_take_over(
    pair: Any, armed: Armed, drift: str
) -> None:
    engine = armed(*TABLES)
    grow(pair, 6_000)
    with worker(pair) as one:
        plan = one.plan_catch_up()
        one.carry_share(plan.run, plan.shares[0].number)
        pair.both(drift)
        outcomes = carried([one], plan)
        assert ShareOutcome.REFUSED in outcomes
        assert not one.settle_catch_up(plan.run).settled
    assert pair.rows(Side.SOURCE, KEPT) == [(0,)]
    if "RENAME" in drift:
        assert engine.arm().outcome is Outcome.SUCCEEDED
    assert engine.drain(20).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_unique_value_when_it_changes_hands_in_the_middle_then_batches_take_over(
    pair: Any, armed: Armed
) -> None:
    engine = armed(*TABLES)
    pair.run(Side.TARGET, "INSERT INTO entry VALUES (0, 'old', 0)")
    assert engine.drain(20).outcome is Outcome.SUCCEEDED
    grow(pair, 3_000)
    with worker(pair) as one:
        plan = one.plan_catch_up()
        # The one that gives its value up was not among the keys that were read.
        pair.run(
            Side.TARGET,
            "BEGIN; UPDATE entry SET seat = 'new' WHERE id = 0;"
            " UPDATE entry SET seat = 'old' WHERE id = 1; COMMIT",
        )
        assert ShareOutcome.REFUSED in carried([one], plan)
        assert not one.settle_catch_up(plan.run).settled
    assert engine.drain(20).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_rows_when_carried_by_shares_then_their_chunks_are_not_taken_for_equal(
    pair: Any, armed: Armed
) -> None:
    engine = armed(*TABLES)
    grow(pair, 3_000)
    assert engine.drain(20).outcome is Outcome.SUCCEEDED
    assert engine.verify_some(5.0).clean > 0
    grow(pair, 3_000)
    with worker(pair) as one:
        plan = one.plan_catch_up()
        marked = "SELECT sum(marks) FROM failback.ledger_table"
        before = pair.rows(Side.SOURCE, marked)
        assert set(carried([one], plan)) == {ShareOutcome.CARRIED}
        assert pair.rows(Side.SOURCE, marked) > before
        assert one.settle_catch_up(plan.run).settled
    assert engine.verify().outcome is Outcome.SUCCEEDED
