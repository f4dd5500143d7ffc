"""Counts, round after round, what customers would have seen."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from failback.models.common import Outcome
from failback.models.rollback import AvailabilityReport
from failback.models.traffic import CheckResult
from failback.ports import ServiceChecks

_LOG = logging.getLogger(__name__)
_OVERDUE_SECONDS = 1.0
"""A probe that is not answered after so long counts as failed until it is."""
_UNNAMED = ("service",)
"""What overdue probes are counted under as long as no round has named its checks."""


class _Count(NamedTuple):
    passed: int = 0
    probes: int = 0


class AvailabilityProber:
    """Implements `AvailabilityProbe`: starts a round of probes every interval.

    A round starts whether or not the one before has ended, so that a service that hangs
    costs as many probes as one that answers with errors.

    Args:
        checks: whose `probe` is one round.
        interval_seconds: time from one start to the next.
        before: counts to go on from, when a crash ended another prober.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        checks: ServiceChecks,
        interval_seconds: float,
        before: AvailabilityReport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = checks
        self._interval = interval_seconds
        self._clock = clock
        before = before or AvailabilityReport()
        self._counts = {name: _Count(*pair) for name, pair in before.by_check.items()}
        unnamed = _Count(
            before.passed - sum(count.passed for count in self._counts.values()),
            before.probes - sum(count.probes for count in self._counts.values()),
        )
        if unnamed.probes:
            self._counts[_UNNAMED[0]] = unnamed
        self._longest_gap = before.longest_gap_seconds
        self._last_pass: dict[str, float] = {}
        self._names: tuple[str, ...] = tuple(before.by_check)
        self._started: dict[asyncio.Task[None], float] = {}

    async def run(self) -> None:
        """Probe until cancelled; rounds that are under way then end with it."""
        next_start = self._clock()
        try:
            while True:
                round_ = asyncio.create_task(self._round())
                self._started[round_] = self._clock()
                round_.add_done_callback(lambda done: self._started.pop(done, None))
                # Counted from the start before, so that the rate holds; never in a burst
                # after the event loop was late.
                next_start = max(next_start + self._interval, self._clock())
                await asyncio.sleep(next_start - self._clock())
        finally:
            under_way = list(self._started)
            for round_ in under_way:
                round_.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def report(self) -> AvailabilityReport:
        """See `AvailabilityProbe.report`.

        The longest gap is the longest time between two passed probes of the same check, or
        from one to the latest that failed.
        """
        counts = dict(self._counts)
        for name in (self._names or _UNNAMED) * self._overdue():
            counts[name] = _counted(counts.get(name, _Count()), passed=False)
        return AvailabilityReport(
            probes=sum(count.probes for count in counts.values()),
            passed=sum(count.passed for count in counts.values()),
            longest_gap_seconds=self._longest_gap,
            by_check={name: tuple(count) for name, count in counts.items()},
        )

    def _overdue(self) -> int:
        latest = self._clock() - _OVERDUE_SECONDS
        return sum(started < latest for started in self._started.values())

    async def _round(self) -> None:
        try:
            results = await self._checks.probe()
        except Exception:  # noqa: BLE001 -- a provider's bug: what was not seen has not passed
            _LOG.exception("a round of availability probes broke off")
            results = tuple(
                CheckResult(name=name, outcome=Outcome.FAILED) for name in self._names or _UNNAMED
            )
        now = self._clock()
        self._names = tuple(result.name for result in results)
        for result in results:
            self._count(result, now)

    def _count(self, result: CheckResult, now: float) -> None:
        passed = result.outcome is Outcome.SUCCEEDED
        name = result.name
        self._counts[name] = _counted(self._counts.get(name, _Count()), passed=passed)
        # The first probe starts the time, passed or not.
        gap = now - self._last_pass.setdefault(name, now)
        self._longest_gap = max(self._longest_gap, gap)
        if passed:
            self._last_pass[name] = now


def _counted(count: _Count, *, passed: bool) -> _Count:
    return _Count(count.passed + passed, count.probes + 1)
