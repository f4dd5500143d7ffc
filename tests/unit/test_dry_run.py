"""A dry run: what it would do is told in full, and nothing is done."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from failback.errors import BalancerError, NotArmedError, SafetyRuleError, UnreachableError
from failback.models.common import Outcome, Service, Side
from failback.models.messages import Message, MessageKind
from failback.models.traffic import BackendRoute, DnsRecord
from failback.ports import ReverseSyncEngine
from failback.providers.checks import FakeServiceChecks
from failback.providers.compose import Ports, dry_run
from failback.providers.dns import FakeDnsProvider
from failback.providers.dry_run import DryRunJournal, DryRunSync
from failback.providers.faults import Call
from failback.providers.load_balancer import FakeLoadBalancer
from failback.providers.notify import FakeNotifier
from failback.providers.reverse_sync import FakeReverseSync

GOLDEN = Path(__file__).parent / "golden" / "dry_run_level_2.txt"
ROUTES = tuple(BackendRoute(backend=name) for name in ("database", "auth", "storage", "functions"))
RECORDS = tuple(
    DnsRecord(name=f"{name}.shop.test.", source="source.shop.test.", target="target.shop.test.")
    for name in ("api", "auth")
)
SERVICES = tuple(Service)
WRITES = {
    *("set_weights", "set_all_weights", "close_door", "open_door", "shut_sessions", "point"),
    *("check", "deliver", "arm", "disarm", "run_batch", "drain", "drain_late", "raise_fence"),
    *("lift_fence", "synchronise_sequences", "canary", "verify"),
}


class Estate:
    """Fakes that share one list of calls, and the dry run on top of them."""

    def __init__(self, *, holds: bool = True) -> None:
        self.calls: list[Call] = []
        self.balancer = FakeLoadBalancer(ROUTES, calls=self.calls)
        self.dns = FakeDnsProvider(RECORDS, resolvers=("a", "b"), calls=self.calls)
        self.checks = FakeServiceChecks(calls=self.calls)
        self.notifier = FakeNotifier(calls=self.calls)
        self.engine = FakeReverseSync(calls=self.calls)
        self.journal = DryRunJournal()
        real = Ports(self.balancer, self.dns, self.checks, self.notifier, holds=holds)
        self.ports = dry_run(real, self.journal)
        self.sync: ReverseSyncEngine = DryRunSync(self.engine, self.journal)


def told(subject: str) -> Message:
    return Message(
        kind=MessageKind.ROLLBACK_STARTED,
        key=subject,
        estate="shop",
        subject=subject,
        text="Level 2",
        occurred_at=datetime(2026, 3, 14, tzinfo=UTC),
    )


async def roll_back(estate: Estate) -> None:
    """A level 2 rollback by its steps, each verified as the workflow verifies it."""
    ports, sync = estate.ports, estate.sync
    assert ports.dns is not None
    assert ports.checks is not None
    await ports.notifier.deliver("operators", told("Rollback of shop started"))
    assert await ports.balancer.close_door(SERVICES, 10)
    assert sum([await ports.balancer.in_flight(route, Side.TARGET) for route in ROUTES]) == 0
    assert sync.raise_fence(Side.TARGET, 1.0).outcome is Outcome.SUCCEEDED
    assert sync.fenced(Side.TARGET)
    assert sync.drain(2.0).outcome is Outcome.SUCCEEDED
    sync.synchronise_sequences()
    assert sync.verify().outcome is Outcome.SUCCEEDED
    await ports.balancer.set_all_weights(ROUTES, 100, 0)
    weights = await ports.balancer.read_all_weights(ROUTES)
    assert {(source.weight, target.weight) for source, target in weights} == {(100, 0)}
    for route in ROUTES:
        await ports.balancer.shut_sessions(route, Side.TARGET)
    for record in RECORDS:
        await ports.dns.point(record, Side.SOURCE)
        answers = await ports.dns.answers(record)
        assert {answer.answer for answer in answers} == {record.source}
    assert sync.lift_fence(Side.SOURCE).outcome is Outcome.SUCCEEDED
    assert not sync.fenced(Side.SOURCE)
    await ports.balancer.open_door(SERVICES)
    assert not await ports.balancer.closed_doors()
    assert {check.outcome for check in await ports.checks.check()} == {Outcome.SUCCEEDED}
    assert sync.drain_late(30.0).outcome is Outcome.SUCCEEDED
    await ports.notifier.deliver("operators", told("Rollback of shop succeeded"))


@pytest.fixture
def estate() -> Estate:
    return Estate()


async def test_rollback_when_dry_then_tells_each_write_in_order(estate: Estate) -> None:
    await roll_back(estate)
    told = "\n".join(estate.journal.sentences()) + "\n"
    assert told == GOLDEN.read_text(encoding="utf-8")


async def test_rollback_when_dry_then_writes_nothing(estate: Estate) -> None:
    estate.balancer.set_in_flight(ROUTES[0], Side.TARGET, 7)
    await roll_back(estate)
    assert estate.calls, "the real ports were never read"
    assert {call.method for call in estate.calls} & WRITES == set()
    assert estate.balancer.serving(ROUTES[0]) == {Side.TARGET}
    assert not estate.engine.database(Side.TARGET).fenced
    assert estate.engine.database(Side.SOURCE).fenced
    assert not estate.notifier.messages


async def test_drain_when_dry_then_tells_the_tail_of_now(estate: Estate) -> None:
    for number in range(3):
        estate.engine.write(Side.TARGET, str(number), "v")
    report = estate.sync.drain(2.0)
    assert "300 bytes" in estate.journal.sentences()[-1]
    assert report.detail.startswith("dry run")
    assert estate.engine.tail == 3


async def test_door_when_the_balancer_cannot_hold_then_the_dry_run_says_so() -> None:
    estate = Estate(holds=False)
    assert not await estate.ports.balancer.close_door(SERVICES, 10)
    assert estate.journal.sentences() == ()


async def test_backend_when_unknown_then_found_out_by_the_dry_run(estate: Estate) -> None:
    with pytest.raises(BalancerError, match="nope"):
        await estate.ports.balancer.set_weights(BackendRoute(backend="nope"), 100, 0)


async def test_server_when_away_then_found_out_by_the_dry_run(estate: Estate) -> None:
    estate.engine.cut(Side.SOURCE)
    with pytest.raises(UnreachableError):
        estate.sync.drain(1.0)


def test_sync_when_nothing_was_armed_then_refused_as_for_real() -> None:
    sync = DryRunSync(FakeReverseSync(armed=False), DryRunJournal())
    for attempt in (
        lambda: sync.raise_fence(Side.TARGET, 1),
        lambda: sync.lift_fence(Side.SOURCE),
        lambda: sync.drain(1),
        lambda: sync.drain_late(1),
        sync.run_batch,
        sync.verify,
        sync.synchronise_sequences,
    ):
        with pytest.raises(NotArmedError):
            attempt()


def test_fence_when_the_other_side_writes_then_refused_as_for_real(estate: Estate) -> None:
    with pytest.raises(SafetyRuleError, match="one_writer"):
        estate.sync.lift_fence(Side.SOURCE)


async def test_resolver_when_silent_then_stays_silent_in_the_dry_run(estate: Estate) -> None:
    estate.dns.silence("b")
    assert estate.ports.dns is not None
    await estate.ports.dns.point(RECORDS[0], Side.SOURCE)
    heard, silent = await estate.ports.dns.answers(RECORDS[0])
    assert (heard.answer, heard.detail) == ("source.shop.test.", "dry run")
    assert silent.answer is None


async def test_checks_when_something_fails_now_then_the_dry_run_tells_it(estate: Estate) -> None:
    estate.checks.break_check("auth")
    assert estate.ports.checks is not None
    results = await estate.ports.checks.check()
    assert all("dry run" in result.detail for result in results)
    assert estate.journal.sentences()[-1] == (
        "Observed: before any change these do not answer: auth."
    )


def test_status_when_fences_were_told_then_laid_over_the_real_one(estate: Estate) -> None:
    estate.sync.raise_fence(Side.TARGET, 1)
    estate.sync.lift_fence(Side.SOURCE, "alice")
    status = estate.sync.status(canary=True)
    assert (status.source_fenced, status.target_fenced) == (False, True)
    assert status.canary is not None
    assert status.canary.detail == "dry run"
    assert "accepted by alice" in estate.journal.sentences()[1]
