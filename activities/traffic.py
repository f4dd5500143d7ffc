"""Effects on the load balancer: doors, weights, sessions."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from temporalio import activity

from activities.failures import maps_errors
from failback.errors import FailbackError
from failback.models.common import Outcome, Side
from failback.models.requests import (
    ForceTrafficReport,
    ForceTrafficRequest,
    HoldRequestsRequest,
    OpenDoorRequest,
    ShiftWeightsRequest,
)
from failback.models.traffic import (
    BackendRoute,
    DoorReport,
    ServerWeight,
    ServiceRoute,
    WeightsReport,
)
from failback.ports import DnsProvider, LoadBalancer

LIVE_WEIGHT = 100
"""The weight of the side that serves; the other side has 0."""

_LOOK_SECONDS = 0.002
"""How often requests in flight are counted while they are waited for."""


class TrafficActivities:
    """Shifts and holds traffic.

    Args:
        balancer: the estate's load balancer.
        dns: the estate's name server; None where names do not move. Only the forced
            failover needs it here, since it takes whatever path still answers.
    """

    def __init__(self, balancer: LoadBalancer, dns: DnsProvider | None) -> None:
        self._balancer = balancer
        self._dns = dns

    @activity.defn
    @maps_errors
    async def hold_requests(self, request: HoldRequestsRequest) -> DoorReport:
        """Close the doors, and wait until the side that is left has nothing in flight."""
        supported = await self._balancer.close_door(request.services, request.hold_seconds)
        closed_at = datetime.now(UTC)
        in_flight = await self._quiet(request) if supported else 0
        detail = "requests are held" if supported else "this balancer cannot hold requests"
        if in_flight:
            detail += f"; {in_flight} still in flight, which the fence will end"
        return DoorReport(
            outcome=Outcome.SUCCEEDED,
            supported=supported,
            closed=supported,
            at=closed_at,
            in_flight=in_flight,
            detail=detail,
            attempts=activity.info().attempt,
        )

    async def _quiet(self, request: HoldRequestsRequest) -> int:
        """Wait for requests in flight; the number that outlasted the wait."""
        deadline = time.monotonic() + request.quiet_seconds
        while True:
            in_flight = await self._in_flight(request.routes, request.leaving)
            if in_flight == 0 or time.monotonic() >= deadline:
                return in_flight
            await asyncio.sleep(_LOOK_SECONDS)

    async def _in_flight(self, routes: Sequence[ServiceRoute], side: Side) -> int:
        counts = [
            await self._balancer.in_flight(backend, side)
            for route in routes
            for backend in route.backends
        ]
        return sum(counts)

    @activity.defn
    @maps_errors
    async def open_door(self, request: OpenDoorRequest) -> DoorReport:
        """Let held requests through, and read back that no door is closed."""
        await self._balancer.open_door(request.services)
        still_closed = await self._balancer.closed_doors() & set(request.services)
        return DoorReport(
            outcome=Outcome.FAILED if still_closed else Outcome.SUCCEEDED,
            closed=bool(still_closed),
            at=datetime.now(UTC),
            detail=f"still closed: {', '.join(sorted(still_closed))}" if still_closed else "open",
            attempts=activity.info().attempt,
        )

    @activity.defn
    @maps_errors
    async def shift_weights(self, request: ShiftWeightsRequest) -> WeightsReport:
        """Give one side all traffic, read the weights back, and end the other's sessions."""
        source = LIVE_WEIGHT if request.live is Side.SOURCE else 0
        target = LIVE_WEIGHT - source
        backends = [backend for route in request.routes for backend in route.backends]
        await self._balancer.set_all_weights(backends, source, target)
        weights, wrong = await self._read_back(backends, source, target)
        for backend in backends:
            await self._balancer.shut_sessions(backend, request.live.other)
        return WeightsReport(
            outcome=Outcome.FAILED if wrong else Outcome.SUCCEEDED,
            weights=weights,
            detail="; ".join(wrong)
            or f"{len(weights) // 2} backends read back as source {source}, target {target}",
            attempts=activity.info().attempt,
        )

    async def _read_back(
        self, backends: Sequence[BackendRoute], source: int, target: int
    ) -> tuple[tuple[ServerWeight, ...], list[str]]:
        """All weights as the balancer has them, and a sentence for each that is wrong."""
        pairs = await self._balancer.read_all_weights(backends)
        wrong = [
            f"{seen.backend}/{seen.server} has weight {seen.weight}, wanted {wanted}"
            for pair in pairs
            for seen, wanted in zip(pair, (source, target), strict=True)
            if seen.weight != wanted
        ]
        return tuple(seen for pair in pairs for seen in pair), wrong

    @activity.defn
    @maps_errors
    async def force_traffic(self, request: ForceTrafficRequest) -> ForceTrafficReport:
        """Send everything to one side by every path that answers; none stops the others."""
        moved: list[str] = []
        failed: list[str] = []
        source = LIVE_WEIGHT if request.live is Side.SOURCE else 0
        for route in request.routes:
            for backend in route.backends:
                try:
                    await self._balancer.set_weights(backend, source, LIVE_WEIGHT - source)
                    moved.append(f"backend {backend.backend}")
                except FailbackError as error:
                    failed.append(f"backend {backend.backend}: {error.cause}")
        for record in request.records:
            if self._dns is None:
                break
            try:
                await self._dns.point(record, request.live)
                moved.append(f"name {record.name}")
            except FailbackError as error:
                failed.append(f"name {record.name}: {error.cause}")
        try:
            await self._balancer.open_door([route.service for route in request.routes])
            moved.append("doors")
        except FailbackError as error:
            failed.append(f"doors: {error.cause}")
        return ForceTrafficReport(
            moved=tuple(moved), failed=tuple(failed), attempts=activity.info().attempt
        )
