"""The fakes: what tests of workflows rely on beyond the ports' contracts."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from failback.errors import (
    BalancerError,
    FenceNotHeldError,
    SafetyRuleError,
    UnreachableError,
)
from failback.models.common import Outcome, Service, Side
from failback.models.traffic import BackendRoute
from failback.ports import (
    AvailabilityProbe,
    DnsProvider,
    LoadBalancer,
    Notifier,
    ReverseSyncEngine,
    ServiceChecks,
)
from failback.providers.checks import AvailabilityProber, FakeServiceChecks
from failback.providers.dns import FakeDnsProvider
from failback.providers.faults import Call
from failback.providers.load_balancer import FakeLoadBalancer
from failback.providers.notify import FakeNotifier
from failback.providers.reverse_sync import FakeReverseSync

API = BackendRoute(backend="api")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.001)


def test_fakes_when_taken_for_their_ports_then_have_every_method() -> None:
    fakes = {
        LoadBalancer: FakeLoadBalancer(),
        DnsProvider: FakeDnsProvider(),
        ServiceChecks: FakeServiceChecks(),
        Notifier: FakeNotifier(),
        AvailabilityProbe: AvailabilityProber(FakeServiceChecks(), 1.0),
        ReverseSyncEngine: FakeReverseSync(),
    }
    for port, fake in fakes.items():
        wanted = {name for name in vars(port) if not name.startswith("_")}
        missing = {name for name in wanted if not callable(getattr(fake, name, None))}
        assert not missing, f"{type(fake).__name__} lacks {missing}"


class TestFaults:
    async def test_failure_when_injected_then_so_many_calls_raise_it(self) -> None:
        fake = FakeLoadBalancer([API])
        fake.fail("read_weights", times=2, error=BalancerError("out of order"))
        for _ in range(2):
            with pytest.raises(BalancerError, match="out of order"):
                await fake.read_weights(API)
        assert await fake.read_weights(API)

    async def test_failure_when_injected_for_good_then_until_recovered(self) -> None:
        fake = FakeLoadBalancer([API])
        fake.fail("read_weights", times=None)
        for _ in range(3):
            with pytest.raises(UnreachableError):
                await fake.read_weights(API)
        fake.recover("read_weights")
        assert await fake.read_weights(API)

    async def test_failure_when_injected_then_nothing_was_changed(self) -> None:
        fake = FakeLoadBalancer([API])
        fake.fail("set_weights")
        with pytest.raises(UnreachableError):
            await fake.set_weights(API, 100, 0)
        assert fake.serving(API) == {Side.TARGET}

    @pytest.mark.parametrize("arm", ["fail", "hang"])
    def test_method_when_misspelt_then_an_error_at_once(self, arm: str) -> None:
        with pytest.raises(AttributeError, match="set_wieghts"):
            getattr(FakeLoadBalancer(), arm)("set_wieghts")

    async def test_calls_when_fakes_share_a_list_then_in_common_order(self) -> None:
        calls: list[Call] = []
        balancer = FakeLoadBalancer([API], calls=calls)
        engine = FakeReverseSync(calls=calls)
        await balancer.close_door((Service.DATABASE,), 10)
        engine.raise_fence(Side.TARGET, 1.0)
        await balancer.set_weights(API, 100, 0)
        assert [str(call) for call in calls] == [
            "balancer.close_door",
            "sync.raise_fence",
            "balancer.set_weights",
        ]
        assert engine.called("raise_fence")[0].arguments == (Side.TARGET, 1.0)

    async def test_call_when_hanging_then_recorded_and_waits_for_its_release(self) -> None:
        fake = FakeLoadBalancer([API])
        fake.hang("set_weights")
        call = asyncio.create_task(fake.set_weights(API, 100, 0))
        done, _ = await asyncio.wait([call], timeout=0.05)
        assert not done
        assert len(fake.called("set_weights")) == 1
        threading.Thread(target=fake.release, args=("set_weights",)).start()
        await asyncio.wait_for(call, 10)
        assert fake.serving(API) == {Side.SOURCE}

    async def test_call_when_cancelled_while_hanging_then_had_no_effect(self) -> None:
        fake = FakeLoadBalancer([API])
        fake.hang("set_weights")
        call = asyncio.create_task(fake.set_weights(API, 100, 0))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert fake.serving(API) == {Side.TARGET}

    def test_blocking_call_when_hanging_then_other_methods_still_answer(self) -> None:
        fake = FakeReverseSync()
        fake.hang("verify")
        thread = threading.Thread(target=fake.verify)
        thread.start()
        wait_for(lambda: bool(fake.called("verify")))
        assert fake.status().armed
        fake.release("verify")
        thread.join(10)
        assert not thread.is_alive()


class TestFakeLoadBalancer:
    async def test_door_when_its_time_is_over_then_open(self) -> None:
        now = 1000.0
        fake = FakeLoadBalancer([API], clock=lambda: now)
        await fake.close_door((Service.AUTH,), 10)
        assert await fake.closed_doors() == {Service.AUTH}
        now = 1010.0
        assert await fake.closed_doors() == frozenset()

    async def test_requests_when_set_then_counted_until_sessions_are_shut(self) -> None:
        fake = FakeLoadBalancer([API])
        fake.set_in_flight(API, Side.TARGET, 3)
        assert await fake.in_flight(API, Side.TARGET) == 3
        await fake.shut_sessions(API, Side.TARGET)
        assert await fake.in_flight(API, Side.TARGET) == 0
        assert fake.shut == [("api", "target")]

    async def test_server_when_down_then_does_not_serve_whatever_its_weight(self) -> None:
        fake = FakeLoadBalancer([API])
        fake.set_up(API, Side.TARGET, up=False)
        assert fake.serving(API) == frozenset()
        assert not (await fake.read_weights(API))[1].up


class TestFakeServiceChecks:
    async def test_check_when_broken_for_some_times_then_mends_itself(self) -> None:
        fake = FakeServiceChecks()
        fake.break_check("journey", times=1, outcome=Outcome.INCONCLUSIVE, detail="unknown")
        first = {result.name: result for result in await fake.check()}
        second = {result.name: result for result in await fake.check()}
        assert (first["journey"].outcome, first["journey"].detail) == (
            Outcome.INCONCLUSIVE,
            "unknown",
        )
        assert second["journey"].outcome is Outcome.SUCCEEDED

    async def test_round_when_told_to_fail_then_every_check_fails_without_an_exception(
        self,
    ) -> None:
        fake = FakeServiceChecks()
        fake.fail("check")
        assert {result.outcome for result in await fake.check()} == {Outcome.FAILED}

    def test_check_when_unknown_then_an_error_at_once(self) -> None:
        with pytest.raises(KeyError, match="jorney"):
            FakeServiceChecks().break_check("jorney")


class TestFakeReverseSync:
    def test_drain_when_longer_than_a_batch_then_takes_several_and_tells(self) -> None:
        fake = FakeReverseSync(batch_keys=2)
        for number in range(5):
            fake.write(Side.TARGET, str(number), "v")
        told: list[str] = []
        report = fake.drain(10, told.append)
        assert (report.batches, report.keys, fake.tail) == (3, 5, 0)
        assert len(told) == 3

    def test_drain_when_the_source_is_cut_off_midway_then_what_was_carried_stays(self) -> None:
        fake = FakeReverseSync(batch_keys=2)
        for number in range(5):
            fake.write(Side.TARGET, str(number), "v")
        fake.cut(Side.SOURCE, after_batches=1)
        with pytest.raises(UnreachableError):
            fake.drain(10)
        assert fake.tail == 3
        fake.mend(Side.SOURCE)
        assert fake.drain(10).outcome is Outcome.SUCCEEDED
        assert fake.database(Side.SOURCE).rows == fake.database(Side.TARGET).rows

    def test_drain_when_stalled_then_inconclusive_with_the_tail_kept(self) -> None:
        fake = FakeReverseSync()
        fake.write(Side.TARGET, "a", "1")
        fake.stalled = True
        assert fake.drain(10).outcome is Outcome.INCONCLUSIVE
        assert fake.tail == 1

    def test_fence_when_a_prepared_transaction_holds_it_then_named(self) -> None:
        fake = FakeReverseSync()
        fake.database(Side.TARGET).prepared.append("gid-1")
        with pytest.raises(FenceNotHeldError, match="gid-1"):
            fake.raise_fence(Side.TARGET, 1.0)
        assert fake.fenced(Side.TARGET), "the fence is up all the same"
        fake.database(Side.TARGET).prepared.clear()
        assert fake.raise_fence(Side.TARGET, 1.0).outcome is Outcome.SUCCEEDED

    def test_fence_when_writers_outlast_it_then_ended_and_named(self) -> None:
        fake = FakeReverseSync()
        fake.database(Side.TARGET).stragglers.append("17 product psql")
        assert fake.raise_fence(Side.TARGET, 1.0).terminated == ("17 product psql",)
        assert fake.raise_fence(Side.TARGET, 1.0).terminated == ()

    def test_fence_when_unproved_then_inconclusive(self) -> None:
        fake = FakeReverseSync()
        fake.unproved = True
        report = fake.raise_fence(Side.TARGET, 1.0)
        assert (report.outcome, report.proofs) == (Outcome.INCONCLUSIVE, ())

    def test_source_when_the_target_is_away_then_opened_only_for_who_accepts_it(self) -> None:
        fake = FakeReverseSync()
        fake.cut(Side.TARGET)
        with pytest.raises(SafetyRuleError, match="tail_drained"):
            fake.lift_fence(Side.SOURCE)
        assert fake.lift_fence(Side.SOURCE, "alice").outcome is Outcome.SUCCEEDED

    def test_verify_when_rows_were_corrupted_then_counts_each_kind(self) -> None:
        fake = FakeReverseSync()
        for key in "abc":
            fake.write(Side.TARGET, key, "1")
        fake.drain(10)
        fake.corrupt(Side.SOURCE, "a", "other")
        fake.corrupt(Side.SOURCE, "b", None)
        fake.corrupt(Side.SOURCE, "x", "1")
        report = fake.verify()
        assert report.outcome is Outcome.FAILED
        assert (report.missing, report.extra, report.different) == (1, 1, 1)
        assert report.tables[0].keys == ("a", "b", "x")
