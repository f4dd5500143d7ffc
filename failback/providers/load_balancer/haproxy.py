"""HAProxy by its runtime API: weights, doors and sessions of a running balancer."""

import csv
import time
from collections.abc import Sequence

from failback.errors import BalancerError
from failback.models.common import Service, Side
from failback.models.traffic import BackendRoute, ServerAddress, ServerWeight
from failback.providers.load_balancer.runtime_api import (
    NO_ENTRY,
    Command,
    RuntimeApi,
    refusal,
    refused,
    word,
)
from failback.sections.routing import HaproxyConfig

OPEN = "open"
"""What the map of doors says for a service whose requests pass."""

_NOT_SERVING = ("DOWN", "MAINT", "NOLB")
_SAME_ADDRESS = "no need to change"
_NEW_ADDRESS = " changed from "
_PORTS = range(1, 65_536)
Row = dict[str, str]


class HaproxyLoadBalancer:
    """Implements `LoadBalancer`.

    A door is an entry of a map file: the service's name with the deadline, in milliseconds
    since the epoch, until which a Lua action in HAProxy holds its requests, or `open`.

    Args:
        config: where the runtime API is, and the path of the map as HAProxy loaded it.
        timeout_seconds: how long HAProxy may take for one batch of commands.
    """

    def __init__(self, config: HaproxyConfig, timeout_seconds: float = 2.0) -> None:
        self._api = RuntimeApi(config.runtime_api, timeout_seconds)
        self._doors = word(config.doors_map) if config.doors_map else ""

    async def set_weights(self, route: BackendRoute, source: int, target: int) -> None:
        """See `LoadBalancer.set_weights`. A server that gets a weight is made ready, too."""
        await self.set_all_weights([route], source, target)

    async def set_all_weights(
        self, routes: Sequence[BackendRoute], source: int, target: int
    ) -> None:
        """See `LoadBalancer.set_all_weights`; one round trip for about fifty backends."""
        weights = {Side.SOURCE: source, Side.TARGET: target}
        # The side that gains goes first: a backend is never without a server in between.
        gaining_first = sorted(weights, key=lambda side: -weights[side])
        await self._run_silent(
            [
                command
                for route in routes
                for side in gaining_first
                for command in _weight_commands(_server(route, side), weights[side])
            ]
        )

    async def read_weights(self, route: BackendRoute) -> tuple[ServerWeight, ServerWeight]:
        """See `LoadBalancer.read_weights`."""
        return (await self.read_all_weights([route]))[0]

    async def read_all_weights(
        self, routes: Sequence[BackendRoute]
    ) -> tuple[tuple[ServerWeight, ServerWeight], ...]:
        """See `LoadBalancer.read_all_weights`; one round trip for about fifty backends."""
        statistics = await self._statistics(routes)
        return tuple(
            (_weight(route, Side.SOURCE, rows), _weight(route, Side.TARGET, rows))
            for route, rows in zip(routes, statistics, strict=True)
        )

    async def close_door(self, services: Sequence[Service], seconds: float) -> bool:
        """See `LoadBalancer.close_door`."""
        if not self._doors:
            return False
        deadline = str(round((time.time() + seconds) * 1000))
        await self._set_doors(services, deadline)
        return True

    async def open_door(self, services: Sequence[Service]) -> None:
        """See `LoadBalancer.open_door`."""
        if self._doors:
            await self._set_doors(services, OPEN)

    async def closed_doors(self) -> frozenset[Service]:
        """See `LoadBalancer.closed_doors`; a deadline that has passed is an open door."""
        if not self._doors:
            return frozenset()
        command = Command(f"show map {self._doors}", "show the map of doors")
        (answer,) = await self._api.run([command])
        if refused(answer):
            raise refusal(command, answer)
        now = time.time() * 1000
        values = {
            parts[1]: parts[2]
            for line in answer.splitlines()
            # A line is: address of the entry, key, value.
            if len(parts := line.split(maxsplit=2)) == 3  # noqa: PLR2004
        }
        return frozenset(
            service
            for service in Service
            if (value := values.get(service.value, OPEN)).isdigit() and int(value) > now
        )

    async def in_flight(self, route: BackendRoute, side: Side) -> int:
        """See `LoadBalancer.in_flight`.

        In HTTP mode the current sessions of a server are its requests in flight, and its
        queue holds requests that will still reach it. In TCP mode sessions are connections
        that say nothing about requests: always 0.
        """
        (rows,) = await self._statistics([route])
        row = _row(route, side, rows)
        if row["mode"] != "http":
            return 0
        return int(row["scur"] or 0) + int(row["qcur"] or 0)

    async def shut_sessions(self, route: BackendRoute, side: Side) -> None:
        """See `LoadBalancer.shut_sessions`."""
        server = _server(route, side)
        await self._run_silent(
            [Command(f"shutdown sessions server {server}", f"end the sessions of {server}")]
        )

    async def set_address(self, route: BackendRoute, side: Side, host: str, port: int) -> None:
        """See `LoadBalancer.set_address`. The host is an IP address.

        A health check without a port of its own follows.
        """
        if port not in _PORTS:
            # HAProxy takes a larger number without a word.
            raise BalancerError(
                f"{host}:{port} is no address.", "An address is an IP address and a port."
            )
        command = Command(
            f"set server {_server(route, side)} addr {word(host)} port {port}",
            f"send what {_server(route, side)} gets to {host}:{port}",
        )
        (answer,) = await self._api.run([command])
        # A success is told in words; what was refused is told in others.
        if answer.startswith(_SAME_ADDRESS) or _NEW_ADDRESS in answer:
            return
        raise refusal(command, answer)

    async def address(self, route: BackendRoute, side: Side) -> ServerAddress:
        """See `LoadBalancer.address`."""
        command = Command(
            f"show servers state {word(route.backend)}", f"show backend {route.backend}"
        )
        (answer,) = await self._api.run([command])
        # A version, a line of titles, then a line a server.
        _, _, table = answer.partition("\n# ")
        rows = {row["srv_name"]: row for row in csv.DictReader(table.splitlines(), delimiter=" ")}
        if not rows:
            raise refusal(command, answer)
        row = _row(route, side, rows)
        return ServerAddress(
            backend=route.backend,
            server=route.server(side),
            host=row["srv_addr"],
            port=int(row["srv_port"]),
        )

    async def aclose(self) -> None:
        """See `LoadBalancer.aclose`; nothing is kept open between commands."""

    async def _run_silent(self, commands: Sequence[Command]) -> None:
        """Run commands whose success is an empty answer; all are tried before one raises."""
        answers = await self._api.run(commands)
        refusals = [
            refusal(command, answer)
            for command, answer in zip(commands, answers, strict=True)
            if answer
        ]
        if refusals:
            raise refusals[0]

    async def _set_doors(self, services: Sequence[Service], value: str) -> None:
        purpose = f"set the door to {value}"
        setting = [
            Command(f"set map {self._doors} {service.value} {value}", purpose)
            for service in services
        ]
        answers = await self._api.run(setting)
        adding: list[Command] = []
        for service, command, answer in zip(services, setting, answers, strict=True):
            if answer.startswith(NO_ENTRY):
                adding.append(Command(f"add map {self._doors} {service.value} {value}", purpose))
            elif answer:
                raise refusal(command, answer)
        if adding:
            await self._run_silent(adding)

    async def _statistics(self, routes: Sequence[BackendRoute]) -> list[dict[str, Row]]:
        """The statistics of each backend's servers, by server."""
        commands = [
            # 4 is the type of servers, -1 stands for all of them.
            Command(f"show stat {word(route.backend)} 4 -1", f"show backend {route.backend}")
            for route in routes
        ]
        answers = await self._api.run(commands)
        return [_rows(command, answer) for command, answer in zip(commands, answers, strict=True)]


def _server(route: BackendRoute, side: Side) -> str:
    return f"{word(route.backend)}/{word(route.server(side))}"


def _weight_commands(server: str, weight: int) -> list[Command]:
    purpose = f"give {server} weight {weight}"
    commands = [Command(f"set server {server} weight {weight}", purpose)]
    if weight:
        # A weight means nothing while the server is drained or in maintenance.
        commands.insert(0, Command(f"set server {server} state ready", purpose))
    return commands


def _rows(command: Command, answer: str) -> dict[str, Row]:
    if not answer.startswith("# "):
        raise refusal(command, answer)
    return {row["svname"]: row for row in csv.DictReader(answer[2:].splitlines())}


def _row(route: BackendRoute, side: Side, rows: dict[str, Row]) -> Row:
    try:
        return rows[route.server(side)]
    except KeyError:
        raise BalancerError(
            f"HAProxy's backend {route.backend} has no server {route.server(side)}.",
            "Compare traffic.routes with HAProxy's own configuration.",
        ) from None


def _weight(route: BackendRoute, side: Side, rows: dict[str, Row]) -> ServerWeight:
    row = _row(route, side, rows)
    # `uweight` is what was asked for; `weight` also follows slow start, but older releases
    # have nothing else.
    weight = int(row.get("uweight") or row["weight"])
    drained = row["status"].startswith("DRAIN") and weight > 0
    return ServerWeight(
        backend=route.backend,
        server=route.server(side),
        weight=weight,
        sessions=int(row["scur"] or 0),
        up=not drained and not row["status"].startswith(_NOT_SERVING),
    )
