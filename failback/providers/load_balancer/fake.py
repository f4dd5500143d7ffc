"""A load balancer in memory, for tests of everything that shifts or holds traffic."""

import time
from collections.abc import Callable, Iterable, Sequence

from failback.errors import BalancerError
from failback.models.common import Service, Side
from failback.models.traffic import BackendRoute, ServerAddress, ServerWeight
from failback.providers.faults import Call, Faults

MAXIMUM_WEIGHT = 256
_HIGHEST_PORT = 65_535


class FakeLoadBalancer(Faults):
    """Backends with a server for each side; all traffic goes to the target at first.

    Args:
        routes: the backends that exist; any other is refused, as a real balancer does.
        holds: whether it can hold requests.
        calls: see `Faults`.
        clock: seconds since the epoch, by which a door's deadline passes.
    """

    def __init__(
        self,
        routes: Iterable[BackendRoute] = (),
        *,
        holds: bool = True,
        calls: list[Call] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__("balancer", calls)
        self._clock = clock
        self._holds = holds
        self._weights: dict[tuple[str, str], int] = {}
        self._in_flight: dict[tuple[str, str], int] = {}
        self._down: set[tuple[str, str]] = set()
        self._doors: dict[Service, float] = {}
        self._addresses: dict[tuple[str, str], tuple[str, int]] = {}
        self.shut: list[tuple[str, str]] = []
        """(backend, server) of every `shut_sessions`."""
        for route in routes:
            self._weights[route.backend, route.source] = 0
            self._weights[route.backend, route.target] = 100

    def set_in_flight(self, route: BackendRoute, side: Side, requests: int) -> None:
        """Say how many requests one side's server is serving."""
        self._in_flight[self._server(route, side)] = requests

    def set_up(self, route: BackendRoute, side: Side, *, up: bool) -> None:
        """Say whether the balancer sees one side's server as up."""
        server = self._server(route, side)
        (self._down.discard if up else self._down.add)(server)

    def serving(self, route: BackendRoute) -> frozenset[Side]:
        """The sides that get new traffic of one backend."""
        return frozenset(
            side
            for side in Side
            if self._weights[self._server(route, side)]
            and self._server(route, side) not in self._down
        )

    async def set_weights(self, route: BackendRoute, source: int, target: int) -> None:
        """See `LoadBalancer.set_weights`."""
        await self._called("set_weights", route, source, target)
        self._set(route, source, target)

    async def read_weights(self, route: BackendRoute) -> tuple[ServerWeight, ServerWeight]:
        """See `LoadBalancer.read_weights`."""
        await self._called("read_weights", route)
        return self._read(route)

    async def set_all_weights(
        self, routes: Sequence[BackendRoute], source: int, target: int
    ) -> None:
        """See `LoadBalancer.set_all_weights`."""
        await self._called("set_all_weights", tuple(routes), source, target)
        failures = []
        for route in routes:
            try:
                self._set(route, source, target)
            except BalancerError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    async def read_all_weights(
        self, routes: Sequence[BackendRoute]
    ) -> tuple[tuple[ServerWeight, ServerWeight], ...]:
        """See `LoadBalancer.read_all_weights`."""
        await self._called("read_all_weights", tuple(routes))
        return tuple(self._read(route) for route in routes)

    async def close_door(self, services: Sequence[Service], seconds: float) -> bool:
        """See `LoadBalancer.close_door`."""
        await self._called("close_door", tuple(services), seconds)
        if self._holds:
            self._doors.update(dict.fromkeys(services, self._clock() + seconds))
        return self._holds

    async def open_door(self, services: Sequence[Service]) -> None:
        """See `LoadBalancer.open_door`."""
        await self._called("open_door", tuple(services))
        for service in services:
            self._doors.pop(service, None)

    async def closed_doors(self) -> frozenset[Service]:
        """See `LoadBalancer.closed_doors`."""
        await self._called("closed_doors")
        now = self._clock()
        return frozenset(service for service, until in self._doors.items() if until > now)

    async def in_flight(self, route: BackendRoute, side: Side) -> int:
        """See `LoadBalancer.in_flight`."""
        await self._called("in_flight", route, side)
        return self._in_flight.get(self._server(route, side), 0)

    async def shut_sessions(self, route: BackendRoute, side: Side) -> None:
        """See `LoadBalancer.shut_sessions`."""
        await self._called("shut_sessions", route, side)
        server = self._server(route, side)
        self.shut.append(server)
        self._in_flight[server] = 0

    async def set_address(self, route: BackendRoute, side: Side, host: str, port: int) -> None:
        """See `LoadBalancer.set_address`."""
        await self._called("set_address", route, side, host, port)
        server = self._server(route, side)
        if not host or not 1 <= port <= _HIGHEST_PORT:
            raise BalancerError(
                f"{host}:{port} is no address.", "An address is an IP address and a port."
            )
        self._addresses[server] = (host, port)

    async def address(self, route: BackendRoute, side: Side) -> ServerAddress:
        """See `LoadBalancer.address`; each server has a port of its own at first."""
        await self._called("address", route, side)
        server = self._server(route, side)
        first = ("127.0.0.1", 10_001 + list(self._weights).index(server))
        host, port = self._addresses.get(server, first)
        return ServerAddress(backend=server[0], server=server[1], host=host, port=port)

    async def aclose(self) -> None:
        """See `LoadBalancer.aclose`."""
        await self._called("aclose")

    def _server(self, route: BackendRoute, side: Side) -> tuple[str, str]:
        server = (route.backend, route.server(side))
        if server not in self._weights:
            raise BalancerError(
                f"The balancer has no server {'/'.join(server)}.",
                "Compare traffic.routes with the balancer's own configuration.",
            )
        return server

    def _set(self, route: BackendRoute, source: int, target: int) -> None:
        servers = [self._server(route, side) for side in (Side.SOURCE, Side.TARGET)]
        for server, weight in zip(servers, (source, target), strict=True):
            if not 0 <= weight <= MAXIMUM_WEIGHT:
                raise BalancerError(f"{weight} is no weight.", "A weight is 0 to 256.")
            self._weights[server] = weight

    def _read(self, route: BackendRoute) -> tuple[ServerWeight, ServerWeight]:
        source, target = (self._weight(self._server(route, side)) for side in Side)
        return source, target

    def _weight(self, server: tuple[str, str]) -> ServerWeight:
        return ServerWeight(
            backend=server[0],
            server=server[1],
            weight=self._weights[server],
            sessions=self._in_flight.get(server, 0),
            up=server not in self._down,
        )
