"""Counting what customers would have seen."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from failback.models.common import Outcome
from failback.models.rollback import AvailabilityReport
from failback.models.traffic import CheckResult
from failback.providers.checks import AvailabilityProber, FakeServiceChecks

INTERVAL = 0.002


@asynccontextmanager
async def running(prober: AvailabilityProber) -> AsyncIterator[None]:
    task = asyncio.create_task(prober.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.001)


def checked(**outcomes: bool) -> tuple[CheckResult, ...]:
    return tuple(
        CheckResult(name=name, outcome=Outcome.SUCCEEDED if passed else Outcome.FAILED)
        for name, passed in outcomes.items()
    )


async def test_counts_when_all_pass_then_the_share_is_one() -> None:
    prober = AvailabilityProber(FakeServiceChecks(), INTERVAL)
    assert prober.report().share is None
    async with running(prober):
        await until(lambda: prober.report().probes >= 9)
    report = prober.report()
    assert report.share == 1.0
    assert set(report.by_check) == {"database", "auth", "api"}
    assert sum(probes for _, probes in report.by_check.values()) == report.probes


async def test_counts_when_a_check_fails_then_counted_by_check() -> None:
    checks = FakeServiceChecks()
    checks.break_check("auth", times=3)
    prober = AvailabilityProber(checks, INTERVAL)
    async with running(prober):
        await until(lambda: prober.report().by_check.get("auth", (0, 0))[1] >= 5)
    by_check = prober.report().by_check
    assert by_check["auth"][1] - by_check["auth"][0] == 3
    assert by_check["api"][0] == by_check["api"][1]
    assert prober.report().probes - prober.report().passed == 3


async def test_counts_when_resumed_then_go_on_from_before() -> None:
    before = AvailabilityReport(
        probes=10, passed=8, longest_gap_seconds=4.0, by_check={"auth": (8, 10)}
    )
    prober = AvailabilityProber(FakeServiceChecks(), INTERVAL, before)
    assert prober.report() == before
    async with running(prober):
        await until(lambda: prober.report().probes >= 13)
    report = prober.report()
    assert report.probes - report.passed == 2
    assert report.by_check["auth"][1] >= 11
    assert report.longest_gap_seconds >= 4.0


async def test_counts_when_resumed_from_a_sum_alone_then_the_sum_is_kept() -> None:
    prober = AvailabilityProber(
        FakeServiceChecks(), INTERVAL, AvailabilityReport(probes=10, passed=8)
    )
    report = prober.report()
    assert (report.probes, report.passed) == (10, 8)


async def test_gap_when_one_check_fails_then_the_others_do_not_hide_it() -> None:
    now = 0.0
    prober = AvailabilityProber(FakeServiceChecks(), INTERVAL, clock=lambda: now)
    for at, auth in ((0.0, True), (1.0, True), (2.0, False), (4.0, False), (4.5, True), (5, True)):
        now = at
        for result in checked(auth=auth, api=True):
            prober._count(result, now)
    assert prober.report().longest_gap_seconds == 3.5


async def test_gap_when_nothing_passes_any_more_then_reaches_to_the_latest_failure() -> None:
    now = 0.0
    prober = AvailabilityProber(FakeServiceChecks(), INTERVAL, clock=lambda: now)
    for at, auth in ((0.0, True), (7.0, False)):
        prober._count(checked(auth=auth)[0], at)
    assert prober.report().longest_gap_seconds == 7.0


async def test_rounds_when_the_service_hangs_then_still_start_and_count_as_failed() -> None:
    now = 0.0
    checks = FakeServiceChecks()
    prober = AvailabilityProber(checks, INTERVAL, clock=lambda: now + time.monotonic() - base)
    base = time.monotonic()
    async with running(prober):
        await until(lambda: prober.report().probes >= 3)
        checks.hang("probe")
        seen = len(checks.called("probe"))
        await until(lambda: len(checks.called("probe")) >= seen + 3)
        assert prober.report().share == 1.0, "rounds that may still be answered are not judged"
        now = 100.0
        overdue = prober.report()
        assert overdue.probes - overdue.passed >= 9
        assert prober._counts["auth"].passed == prober._counts["auth"].probes
        checks.release("probe")


async def test_rounds_when_hanging_from_the_start_then_availability_is_zero_not_unknown() -> None:
    now = 0.0
    checks = FakeServiceChecks()
    checks.hang("probe")
    prober = AvailabilityProber(checks, INTERVAL, clock=lambda: now + time.monotonic())
    async with running(prober):
        await until(lambda: bool(checks.called("probe")))
        now = 100.0
        assert prober.report().share == 0.0


async def test_run_when_cancelled_then_no_round_is_left_behind() -> None:
    checks = FakeServiceChecks()
    checks.hang("probe")
    prober = AvailabilityProber(checks, INTERVAL)
    async with running(prober):
        await until(lambda: len(checks.called("probe")) >= 3)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_run_when_a_round_raises_then_counts_it_as_failed_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Buggy(FakeServiceChecks):
        async def probe(self) -> tuple[CheckResult, ...]:
            if len(self.called("probe")) == 1:
                await super().probe()
                raise RuntimeError("a bug")
            return await super().probe()

    prober = AvailabilityProber(Buggy(), INTERVAL)
    async with running(prober):
        await until(lambda: prober.report().probes >= 9)
    report = prober.report()
    assert report.probes - report.passed == 3
    assert "a bug" in caplog.text
