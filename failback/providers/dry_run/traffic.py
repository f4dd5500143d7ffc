"""Balancer and names in a dry run: real reads, writes that are only told."""

import time
from collections.abc import Callable, Sequence

from failback.errors import BalancerError
from failback.models.common import Service, Side
from failback.models.traffic import (
    BackendRoute,
    DnsRecord,
    NameAnswer,
    ServerAddress,
    ServerWeight,
)
from failback.ports import DnsProvider, LoadBalancer
from failback.providers.dns.names import NO_ALIAS, NO_NAME, absolute
from failback.providers.dry_run.journal import DryRunJournal

_WEIGHTS = frozenset(range(257))
_PORTS = range(1, 65_536)


class DryRunLoadBalancer:
    """Implements `LoadBalancer`.

    Reads go to the real balancer, so that a backend that does not exist is found out. What
    was written before in this dry run is laid over what they answer.

    Args:
        real: the balancer that is read.
        journal: where writes are told.
        holds: whether the real one can hold requests; only trying would show it.
        clock: seconds, monotonic, by which a door's deadline passes.
    """

    def __init__(
        self,
        real: LoadBalancer,
        journal: DryRunJournal,
        *,
        holds: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._real = real
        self._journal = journal
        self._clock = clock
        self._weights: dict[str, tuple[int, int]] = {}
        self._doors: dict[Service, float] = {}
        self._addresses: dict[tuple[str, str], ServerAddress] = {}
        self._opened: set[Service] = set()
        self._holds = holds
        self._held = False

    async def set_weights(self, route: BackendRoute, source: int, target: int) -> None:
        """See `LoadBalancer.set_weights`."""
        await self.set_all_weights([route], source, target)

    async def read_weights(self, route: BackendRoute) -> tuple[ServerWeight, ServerWeight]:
        """See `LoadBalancer.read_weights`."""
        return (await self.read_all_weights([route]))[0]

    async def set_all_weights(
        self, routes: Sequence[BackendRoute], source: int, target: int
    ) -> None:
        """See `LoadBalancer.set_all_weights`."""
        refused: list[BalancerError] = []
        for route in routes:
            try:
                await self._set(route, source, target)
            except BalancerError as error:
                refused.append(error)
        if refused:
            raise refused[0]

    async def read_all_weights(
        self, routes: Sequence[BackendRoute]
    ) -> tuple[tuple[ServerWeight, ServerWeight], ...]:
        """See `LoadBalancer.read_all_weights`."""
        seen = await self._real.read_all_weights(routes)
        return tuple(self._laid_over(route, pair) for route, pair in zip(routes, seen, strict=True))

    async def close_door(self, services: Sequence[Service], seconds: float) -> bool:
        """See `LoadBalancer.close_door`."""
        if not self._holds:
            return False
        self._journal.would(f"hold new requests of {_listed(services)} for at most {seconds:g} s")
        self._held = True
        self._doors.update(dict.fromkeys(services, self._clock() + seconds))
        self._opened.difference_update(services)
        return True

    async def open_door(self, services: Sequence[Service]) -> None:
        """See `LoadBalancer.open_door`."""
        if not self._holds:
            return
        self._journal.would(f"let requests of {_listed(services)} through")
        for service in services:
            self._doors.pop(service, None)
        self._opened.update(services)

    async def closed_doors(self) -> frozenset[Service]:
        """See `LoadBalancer.closed_doors`."""
        now = self._clock()
        closed = {service for service, until in self._doors.items() if until > now}
        return (await self._real.closed_doors() - self._opened) | closed

    async def in_flight(self, route: BackendRoute, side: Side) -> int:
        """See `LoadBalancer.in_flight`.

        The estate goes on serving while a dry run pretends to hold its requests: then
        there is nothing to wait for.
        """
        seen = await self._real.in_flight(route, side)
        return 0 if self._held else seen

    async def shut_sessions(self, route: BackendRoute, side: Side) -> None:
        """See `LoadBalancer.shut_sessions`."""
        await self._real.in_flight(route, side)  # Raises where there is no such server.
        self._journal.would(f"end the sessions of {route.backend}/{route.server(side)}")

    async def set_address(self, route: BackendRoute, side: Side, host: str, port: int) -> None:
        """See `LoadBalancer.set_address`."""
        was = await self.address(route, side)
        if not host or port not in _PORTS:
            raise BalancerError(
                f"{host}:{port} is no address.", "An address is an IP address and a port."
            )
        self._journal.would(
            f"send what {was.backend}/{was.server} gets to {host}:{port}"
            f" instead of {was.host}:{was.port}"
        )
        moved = was.model_copy(update={"host": host, "port": port})
        self._addresses[was.backend, was.server] = moved

    async def address(self, route: BackendRoute, side: Side) -> ServerAddress:
        """See `LoadBalancer.address`."""
        seen = await self._real.address(route, side)
        return self._addresses.get((seen.backend, seen.server), seen)

    async def aclose(self) -> None:
        """See `LoadBalancer.aclose`."""
        await self._real.aclose()

    async def _set(self, route: BackendRoute, source: int, target: int) -> None:
        was_source, was_target = await self.read_weights(route)
        if not {source, target} <= _WEIGHTS:
            raise BalancerError(f"{source} and {target} are no weights.", "Use 0 to 256.")
        self._journal.would(
            f"set the weights of backend {route.backend} from "
            f"{route.source} {was_source.weight}, {route.target} {was_target.weight} to "
            f"{route.source} {source}, {route.target} {target}"
        )
        self._weights[route.backend] = (source, target)

    def _laid_over(
        self, route: BackendRoute, pair: tuple[ServerWeight, ServerWeight]
    ) -> tuple[ServerWeight, ServerWeight]:
        if route.backend not in self._weights:
            return pair
        source, target = self._weights[route.backend]
        return (
            pair[0].model_copy(update={"weight": source}),
            pair[1].model_copy(update={"weight": target}),
        )


class DryRunDns:
    """Implements `DnsProvider`: resolvers are asked, names stay where they are."""

    def __init__(self, real: DnsProvider, journal: DryRunJournal) -> None:
        self._real = real
        self._journal = journal
        self._pointed: dict[str, tuple[str, int]] = {}

    async def point(self, record: DnsRecord, side: Side) -> None:
        """See `DnsProvider.point`."""
        seen = await self._real.answers(record)
        hosts = sorted({answer.answer or answer.detail for answer in seen})
        self._journal.would(
            f"make {record.name}, for which resolvers answer {', '.join(hosts)}, "
            f"a CNAME to {record.host(side)} with TTL {record.ttl}"
        )
        self._pointed[absolute(record.name)] = (record.host(side), record.ttl)

    async def answers(self, record: DnsRecord) -> tuple[NameAnswer, ...]:
        """See `DnsProvider.answers`. A resolver that does not answer stays silent here, too."""
        seen = await self._real.answers(record)
        pointed = self._pointed.get(absolute(record.name))
        if pointed is None:
            return seen
        told = {"answer": pointed[0], "ttl": pointed[1], "detail": "dry run"}
        return tuple(
            answer.model_copy(update=told) if _was_heard(answer) else answer for answer in seen
        )

    async def aclose(self) -> None:
        """See `DnsProvider.aclose`."""
        await self._real.aclose()


def _was_heard(answer: NameAnswer) -> bool:
    """Whether the resolver answered, be it that there is no such host."""
    return answer.answer is not None or answer.detail in {NO_NAME, NO_ALIAS}


def _listed(services: Sequence[Service]) -> str:
    return ", ".join(services)
