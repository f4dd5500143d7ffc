"""Whoever needs the stream more takes it from a catch-up, and no share overwrites newer rows."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from failback.errors import UnreachableError
from failback.models.catch_up import CatchUpPlan, ShareOutcome, ShareReport
from failback.models.common import Outcome, Side
from failback.models.sync import DrainReport
from failback.reverse_sync import catch_up_share, position, sharing
from failback.reverse_sync.apply import Applied, Carrier, Work
from failback.reverse_sync.catch_up import CatchUp
from failback.reverse_sync.catch_up_plan import Sizes
from failback.reverse_sync.engine import ReverseSync

pytestmark = pytest.mark.servers

Armed = Callable[..., ReverseSync]

ITEM = "CREATE TABLE item (id int PRIMARY KEY, v int NOT NULL)"
OPEN = "SELECT count(*) FROM pg_tables WHERE tablename = 'catch_up'"
SECONDS = 20.0


class Halted:
    """Shares stop after their snapshot was taken, before they change a row."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.halt = True

    def wrap(self, carry: Callable[[Carrier, Work], Applied]) -> Callable[..., Applied]:
        def halted(carrier: Carrier, work: Work) -> Applied:
            if self.halt:
                self.halt = False
                self.begun.set()
                assert self.go.wait(SECONDS)
            return carry(carrier, work)

        return halted


@pytest.fixture
def halted(monkeypatch: pytest.MonkeyPatch) -> Halted:
    """Stops the first share."""
    made = Halted()
    monkeypatch.setattr(catch_up_share.Carrier, "carry", made.wrap(Carrier.carry))
    return made


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for what is at work at the same time."""
    with ThreadPoolExecutor(4) as made:
        yield made


@pytest.fixture
def engine(armed: Armed, pair: Any) -> ReverseSync:
    """One table with a backlog."""
    made = armed(ITEM)
    pair.run(Side.TARGET, "INSERT INTO item SELECT n, 0 FROM generate_series(1, 1000) AS n")
    return made


@pytest.fixture
def carrying(pair: Any) -> Iterator[CatchUp]:
    """A worker that makes one share of the backlog."""
    made = CatchUp(pair.settings, Sizes(fewest_keys=1))
    yield made
    made.close()


Begun = tuple[CatchUpPlan, "Future[ShareReport]"]


@pytest.fixture
def begun(
    engine: ReverseSync, carrying: CatchUp, halted: Halted, pool: ThreadPoolExecutor, pair: Any
) -> Begun:
    """A share has its snapshot and is halted; then every row changes on the target."""
    del engine
    plan = carrying.plan_catch_up()
    (share,) = plan.shares
    future = pool.submit(carrying.carry_share, plan.run, share.number)
    assert halted.begun.wait(SECONDS)
    pair.run(Side.TARGET, "UPDATE item SET v = 1")
    return plan, future


def test_drain_when_a_share_is_at_work_then_the_share_gives_way_and_overwrites_nothing(
    pair: Any, engine: ReverseSync, begun: Begun, halted: Halted, pool: ThreadPoolExecutor
) -> None:
    drain: Future[DrainReport] = pool.submit(engine.drain, SECONDS)
    with pair.admin(Side.SOURCE) as looking:
        while not position.awaited(looking):
            assert not drain.done()
    halted.go.set()
    plan, share = begun
    assert share.result(SECONDS).outcome in {ShareOutcome.VOID, ShareOutcome.CARRIED}
    assert drain.result(SECONDS).outcome is Outcome.SUCCEEDED
    assert pair.rows(Side.SOURCE, OPEN) == [(0,)]
    pair.assert_equal()
    with_worker = CatchUp(pair.settings)
    try:
        late = with_worker.carry_share(plan.run, plan.shares[0].number)
        assert late.outcome is ShareOutcome.VOID
        assert not with_worker.settle_catch_up(plan.run).settled
    finally:
        with_worker.close()
    pair.assert_equal()


def test_drain_when_a_share_does_not_give_way_then_it_begins_after_the_share(
    pair: Any,
    engine: ReverseSync,
    begun: Begun,
    halted: Halted,
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(position, "awaited", lambda _: False)
    monkeypatch.setattr(sharing, "_PATIENCE_SECONDS", SECONDS)
    drain: Future[DrainReport] = pool.submit(engine.drain, SECONDS)
    drained = threading.Event()
    drain.add_done_callback(lambda _: drained.set())
    # Were the drain over before the share, the share would bring the older rows back.
    assert not drained.wait(1.0)
    halted.go.set()
    assert begun[1].result(SECONDS).outcome is ShareOutcome.CARRIED
    assert drain.result(SECONDS).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_drain_when_a_share_is_frozen_then_its_sessions_are_ended(
    pair: Any,
    engine: ReverseSync,
    begun: Begun,
    halted: Halted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(position, "awaited", lambda _: False)
    monkeypatch.setattr(sharing, "_PATIENCE_SECONDS", 0.05)
    assert engine.drain(SECONDS).outcome is Outcome.SUCCEEDED
    halted.go.set()
    with pytest.raises(UnreachableError):
        begun[1].result(SECONDS)
    pair.assert_equal()


def test_share_when_an_earlier_attempt_still_works_then_the_newest_one_carries_it(
    pair: Any, engine: ReverseSync, begun: Begun, halted: Halted, carrying: CatchUp
) -> None:
    plan, earlier = begun
    report = carrying.carry_share(plan.run, plan.shares[0].number)
    assert (report.outcome, report.rows) == (ShareOutcome.CARRIED, 1000)
    halted.go.set()
    with pytest.raises(UnreachableError):
        earlier.result(SECONDS)
    assert carrying.settle_catch_up(plan.run).settled
    pair.assert_equal()
    assert engine.drain(SECONDS).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_batch_when_a_share_is_at_work_then_it_stands_aside(
    pair: Any, engine: ReverseSync, begun: Begun, halted: Halted
) -> None:
    assert engine.run_batch().skipped == "a catch-up is at work"
    assert pair.rows(Side.SOURCE, OPEN) == [(1,)]
    halted.go.set()
    assert begun[1].result(SECONDS).outcome is ShareOutcome.CARRIED
    # With no share in flight nobody may be left who goes on with it.
    assert engine.run_batch().caught_up
    assert pair.rows(Side.SOURCE, OPEN) == [(0,)]
    pair.assert_equal()


@pytest.mark.parametrize("taker", ["arm", "lift_fence", "repair"])
def test_stream_when_somebody_else_takes_it_then_the_catch_up_is_over(
    pair: Any, engine: ReverseSync, carrying: CatchUp, taker: str
) -> None:
    plan = carrying.plan_catch_up()
    if taker == "arm":
        engine.arm()
    elif taker == "lift_fence":
        engine.raise_fence(Side.TARGET, 1.0)
        engine.lift_fence(Side.SOURCE, "a test")
    else:
        engine.repair(plan_only=False)
    assert pair.rows(Side.SOURCE, OPEN) == [(0,)]
    assert carrying.carry_share(plan.run, 1).outcome is ShareOutcome.VOID


def test_share_when_it_is_committed_then_a_sender_from_before_is_known_by_its_count(
    pair: Any, engine: ReverseSync, carrying: CatchUp
) -> None:
    plan = carrying.plan_catch_up()
    carrying.carry_share(plan.run, plan.shares[0].number)
    told = "SELECT acknowledged, batch FROM failback.stream"
    counted = "SELECT last_value FROM failback.witness"
    ((acknowledged, batch),) = pair.rows(Side.SOURCE, told)
    assert pair.rows(Side.TARGET, counted) == [(acknowledged,)]
    assert batch >= acknowledged
    assert carrying.settle_catch_up(plan.run).settled
    assert engine.run_batch().caught_up
    pair.run(Side.TARGET, "INSERT INTO item VALUES (5000, 1)")
    assert engine.run_batch().caught_up
