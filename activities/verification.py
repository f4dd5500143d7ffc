"""Looks at the service as customers do: checks, availability, the proof that the source lives."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from temporalio import activity

from activities.failures import maps_errors
from failback.models.common import Side
from failback.models.requests import (
    CheckServiceRequest,
    EvidenceReport,
    MeasureAvailabilityRequest,
    SourceLiveRequest,
)
from failback.models.rollback import AvailabilityReport
from failback.models.traffic import ServiceReport
from failback.ports import AvailabilityProbe, LoadBalancer, ReverseSyncEngine, ServiceChecks

_ROUND_SECONDS = 0.2
"""Between two rounds of checks, when the first did not pass."""

ProbeFactory = Callable[[AvailabilityReport], AvailabilityProbe]
"""Makes a prober that goes on from the counts it is given."""


class VerificationActivities:
    """Checks of the running service.

    Args:
        checks: the estate's service checks; None where none are configured.
        probe: makes availability probers; None where nothing can be probed.
        balancer: read, to prove where traffic goes.
        engine: read, to prove who is fenced.
    """

    def __init__(
        self,
        checks: ServiceChecks | None,
        probe: ProbeFactory | None,
        balancer: LoadBalancer,
        engine: ReverseSyncEngine,
    ) -> None:
        self._checks = checks
        self._probe = probe
        self._balancer = balancer
        self._engine = engine

    @activity.defn
    @maps_errors
    async def check_service(self, request: CheckServiceRequest) -> ServiceReport:
        """Run every configured check until enough pass or the patience is over.

        A failing check is a result. The side that has just been given all traffic may be
        slow for a moment, which is no reason to call the rollback failed.
        """
        if self._checks is None:
            return ServiceReport(checks=())
        deadline = time.monotonic() + request.patience_seconds
        rounds = 0
        while True:
            rounds += 1
            report = ServiceReport(checks=await self._checks.check(), attempts=rounds)
            if report.availability >= request.minimum_availability:
                return report
            if time.monotonic() >= deadline:
                return report
            await asyncio.sleep(_ROUND_SECONDS)

    @activity.defn
    @maps_errors
    async def measure_availability(self, request: MeasureAvailabilityRequest) -> AvailabilityReport:
        """Probe until the workflow cancels; then report what was counted.

        Counts travel in heartbeats, so that a new worker goes on from a dead one's.
        """
        if self._probe is None:
            return request.before
        details = activity.info().heartbeat_details
        before = AvailabilityReport.model_validate(details[0]) if details else request.before
        prober = self._probe(before)
        running = asyncio.create_task(prober.run())
        try:
            while True:
                activity.heartbeat(prober.report().model_dump(mode="json"))
                await asyncio.sleep(0.2)
        except asyncio.CancelledError:
            return prober.report()
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    @activity.defn
    @maps_errors
    async def confirm_source_live(self, request: SourceLiveRequest) -> EvidenceReport:
        """Observe that the source has the traffic, takes writes, and that no door is closed."""
        wrong: list[str] = []
        facts: list[str] = []
        for route in request.routes:
            for backend in route.backends:
                source, target = await self._balancer.read_weights(backend)
                facts.append(f"{backend.backend}: source {source.weight}, target {target.weight}")
                if source.weight == 0 or target.weight != 0:
                    wrong.append(f"{backend.backend} does not send its traffic to the source")
        closed = await self._balancer.closed_doors()
        if closed:
            wrong.append(f"requests are still held for {', '.join(sorted(closed))}")
        if await asyncio.to_thread(self._engine.fenced, Side.SOURCE):
            wrong.append("the source is still fenced")
        if not await asyncio.to_thread(self._engine.fenced, Side.TARGET):
            wrong.append("the target is not fenced")
        return EvidenceReport(
            ok=not wrong, facts=(*wrong, *facts), attempts=activity.info().attempt
        )
