"""What every load balancer keeps, on the fake and on a real HAProxy."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from failback.errors import BalancerError, ConfigurationError, UnreachableError
from failback.models.common import Service, Side
from failback.models.traffic import BackendRoute
from failback.providers.load_balancer import HaproxyLoadBalancer
from failback.sections.routing import HaproxyConfig

from support.balancers import API, KINDS, ROUTES, WIRE, Subject, opened

DATABASE = (Service.DATABASE,)


@pytest.fixture(params=KINDS)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async with opened(request) as made:
        yield made


async def _until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait for an asynchronous condition, or fail."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.01)


class TestLoadBalancerContract:
    async def test_weights_when_set_then_read_back(self, subject: Subject) -> None:
        before = await subject.balancer.read_weights(API)
        await subject.balancer.set_weights(API, 100, 0)
        source, target = await subject.balancer.read_weights(API)
        assert [weight.weight for weight in before] == [0, 100]
        assert (source.backend, source.server, source.weight) == ("rest", "source", 100)
        assert (target.backend, target.server, target.weight) == ("rest", "target", 0)
        assert source.up
        assert target.up

    async def test_weights_when_set_twice_then_the_same(self, subject: Subject) -> None:
        await subject.balancer.set_weights(API, 100, 0)
        once = await subject.balancer.read_weights(API)
        await subject.balancer.set_weights(API, 100, 0)
        assert await subject.balancer.read_weights(API) == once

    async def test_weights_when_one_backend_is_set_then_others_stay(self, subject: Subject) -> None:
        await subject.balancer.set_weights(API, 7, 256)
        pairs = await subject.balancer.read_all_weights(ROUTES)
        assert [[weight.weight for weight in pair] for pair in pairs] == [[7, 256], [0, 100]]

    async def test_weights_when_all_are_set_then_every_backend_has_them(
        self, subject: Subject
    ) -> None:
        await subject.balancer.set_all_weights(ROUTES, 100, 0)
        pairs = await subject.balancer.read_all_weights(ROUTES)
        assert [[weight.weight for weight in pair] for pair in pairs] == [[100, 0], [100, 0]]

    async def test_weights_when_many_backends_are_read_then_answered_in_order(
        self, subject: Subject
    ) -> None:
        pairs = await subject.balancer.read_all_weights(ROUTES * 300)
        assert [pair[0].backend for pair in pairs] == ["rest", "database"] * 300

    async def test_weights_when_one_backend_is_unknown_then_others_are_still_set(
        self, subject: Subject
    ) -> None:
        with pytest.raises(BalancerError):
            await subject.balancer.set_all_weights([BackendRoute(backend="nope"), *ROUTES], 100, 0)
        pairs = await subject.balancer.read_all_weights(ROUTES)
        assert [[weight.weight for weight in pair] for pair in pairs] == [[100, 0], [100, 0]]

    @pytest.mark.parametrize(
        "route", [BackendRoute(backend="nope"), BackendRoute(backend="rest", source="nope")]
    )
    async def test_route_when_unknown_then_refused_by_name(
        self, subject: Subject, route: BackendRoute
    ) -> None:
        balancer = subject.balancer
        for attempt in (
            lambda: balancer.set_weights(route, 100, 0),
            lambda: balancer.read_weights(route),
            lambda: balancer.in_flight(route, Side.SOURCE),
            lambda: balancer.shut_sessions(route, Side.SOURCE),
        ):
            with pytest.raises(BalancerError, match="nope") as caught:
                await attempt()
            assert "traffic.routes" in caught.value.cure

    async def test_weight_when_out_of_range_then_refused(self, subject: Subject) -> None:
        with pytest.raises(BalancerError):
            await subject.balancer.set_weights(API, 257, 0)

    async def test_door_when_closed_and_opened_then_told(self, subject: Subject) -> None:
        balancer = subject.balancer
        assert await balancer.closed_doors() == frozenset()
        assert await balancer.close_door((Service.DATABASE, Service.AUTH), 30)
        assert await balancer.closed_doors() == {Service.DATABASE, Service.AUTH}
        assert await balancer.close_door(DATABASE, 30)
        await balancer.open_door(DATABASE)
        assert await balancer.closed_doors() == {Service.AUTH}
        await balancer.open_door(tuple(Service))
        await balancer.open_door(tuple(Service))
        assert await balancer.closed_doors() == frozenset()

    async def test_door_when_its_deadline_passed_then_open(self, subject: Subject) -> None:
        await subject.balancer.close_door(DATABASE, 0.05)

        async def opened() -> bool:
            return not await subject.balancer.closed_doors()

        await _until(opened)

    async def test_door_when_unsupported_then_says_so(self, subject: Subject) -> None:
        assert not await subject.doorless.close_door(DATABASE, 30)
        await subject.doorless.open_door(DATABASE)
        assert await subject.doorless.closed_doors() == frozenset()

    async def test_sessions_when_nothing_runs_then_none_in_flight(self, subject: Subject) -> None:
        await subject.balancer.shut_sessions(API, Side.TARGET)
        assert await subject.balancer.in_flight(API, Side.TARGET) == 0


@pytest.mark.servers
class TestHaproxyOfTheLab:
    async def test_requests_when_held_then_each_service_by_its_own_door(
        self, lab_haproxy: Any
    ) -> None:
        balancer = HaproxyLoadBalancer(
            HaproxyConfig(runtime_api=lab_haproxy.runtime_api, doors_map=str(lab_haproxy.doors_map))
        )
        await balancer.close_door((Service.DATABASE, Service.AUTH), 30)
        async with httpx.AsyncClient(base_url=lab_haproxy.api_url, timeout=30) as http:
            paths = ("/rest/v1/", "/auth/v1/health")
            held = [asyncio.create_task(http.get(path)) for path in paths]
            assert (await http.get("/storage/v1/health")).text == "target"
            done, _ = await asyncio.wait(held, timeout=0.3)
            assert not done, "requests were not held"
            routes = [BackendRoute(backend=name) for name in ("rest", "auth", "storage")]
            await balancer.set_all_weights(routes, 100, 0)
            await balancer.open_door(tuple(Service))
            assert [(await answer).text for answer in held] == ["source", "source"]
            assert (await http.get("/storage/v1/health")).text == "source"


@pytest.mark.servers
class TestHaproxy:
    @pytest.fixture
    def balancer(self, haproxy: Any) -> HaproxyLoadBalancer:
        return HaproxyLoadBalancer(
            HaproxyConfig(runtime_api=haproxy.admin, doors_map=str(haproxy.doors_map))
        )

    async def test_traffic_when_weights_shift_then_all_goes_to_the_source(
        self, haproxy: Any, balancer: HaproxyLoadBalancer
    ) -> None:
        async def served() -> set[str]:
            answers = []
            for port in (haproxy.http_port, haproxy.tcp_port):
                # A connection each: an established TCP session keeps its server.
                async with httpx.AsyncClient(
                    limits=httpx.Limits(max_keepalive_connections=0)
                ) as http:
                    url = f"http://127.0.0.1:{port}/"
                    answers += [await http.get(url) for _ in range(20)]
            assert all(answer.status_code == 200 for answer in answers)
            return {answer.text for answer in answers}

        assert await served() == {"target"}
        await balancer.set_all_weights(ROUTES, 100, 0)
        assert await served() == {"source"}
        await balancer.set_all_weights(ROUTES, 0, 100)
        assert await served() == {"target"}

    async def test_traffic_when_shifted_under_load_then_no_request_fails(
        self, haproxy: Any, balancer: HaproxyLoadBalancer
    ) -> None:
        statuses: list[int] = []
        stop = asyncio.Event()

        async def user() -> None:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{haproxy.http_port}") as http:
                while not stop.is_set():
                    statuses.append((await http.get("/")).status_code)

        users = [asyncio.create_task(user()) for _ in range(4)]
        for turn in range(10):
            seen = len(statuses)
            await balancer.set_all_weights(ROUTES, *((100, 0) if turn % 2 == 0 else (0, 100)))

            async def more(seen: int = seen) -> bool:
                return len(statuses) > seen + 8

            await _until(more)
        stop.set()
        await asyncio.gather(*users)
        assert set(statuses) == {200}

    async def test_server_when_in_maintenance_then_made_ready_with_its_weight(
        self, haproxy: Any, balancer: HaproxyLoadBalancer
    ) -> None:
        reader, writer = await asyncio.open_unix_connection(str(haproxy.directory / "admin.sock"))
        writer.write(b"set server rest/source state maint\n")
        await reader.read(-1)
        writer.close()
        assert not (await balancer.read_weights(API))[0].up
        await balancer.set_weights(API, 100, 0)
        assert (await balancer.read_weights(API))[0].up
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://127.0.0.1:{haproxy.http_port}/")).text == "source"

    async def test_request_when_held_then_waits_until_the_door_opens(
        self, haproxy: Any, balancer: HaproxyLoadBalancer
    ) -> None:
        await balancer.close_door(DATABASE, 30)
        async with httpx.AsyncClient(timeout=30) as http:
            held = asyncio.create_task(http.get(f"http://127.0.0.1:{haproxy.http_port}/"))
            done, _ = await asyncio.wait([held], timeout=0.3)
            assert not done, "the request was not held"
            assert await balancer.in_flight(API, Side.TARGET) == 0
            await balancer.set_weights(API, 100, 0)
            await balancer.open_door(DATABASE)
            assert (await held).text == "source"

    async def test_request_when_nobody_opens_then_let_through_at_the_deadline(
        self, haproxy: Any, balancer: HaproxyLoadBalancer
    ) -> None:
        began = time.monotonic()
        await balancer.close_door(DATABASE, 0.5)
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.get(f"http://127.0.0.1:{haproxy.http_port}/")
        assert answer.text == "target"
        assert time.monotonic() - began >= 0.45

    async def test_in_flight_when_a_request_is_slow_then_counted_until_answered(
        self, haproxy: Any, balancer: HaproxyLoadBalancer
    ) -> None:
        origin = haproxy.origins[Side.TARGET]
        async with httpx.AsyncClient(timeout=30) as http:
            slow = asyncio.create_task(http.get(f"http://127.0.0.1:{haproxy.http_port}/slow"))
            assert await asyncio.to_thread(origin.reached.wait, 5)
            assert await balancer.in_flight(API, Side.TARGET) == 1
            assert (await balancer.read_weights(API))[1].sessions == 1
            assert await balancer.in_flight(API, Side.SOURCE) == 0
            origin.released.set()
            assert (await slow).text == "target"

            async def quiet() -> bool:
                return await balancer.in_flight(API, Side.TARGET) == 0

            # The client keeps its connection: a session, but no request in flight.
            await _until(quiet)

    async def test_in_flight_when_the_backend_is_tcp_then_sessions_do_not_count(
        self, haproxy: Any, balancer: HaproxyLoadBalancer
    ) -> None:
        async with httpx.AsyncClient() as http:
            await http.get(f"http://127.0.0.1:{haproxy.tcp_port}/")
            assert (await balancer.read_weights(WIRE))[1].sessions == 1
            assert await balancer.in_flight(WIRE, Side.TARGET) == 0

    async def test_sessions_when_shut_then_established_connections_end(
        self, haproxy: Any, balancer: HaproxyLoadBalancer
    ) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", haproxy.tcp_port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200" in await reader.readuntil(b"target")
        await balancer.shut_sessions(WIRE, Side.TARGET)
        async with asyncio.timeout(5):
            with suppress(ConnectionResetError):
                assert await reader.read(-1) == b""
        writer.close()

    async def test_command_when_the_socket_is_not_admin_then_cure_names_the_level(
        self, haproxy: Any
    ) -> None:
        balancer = HaproxyLoadBalancer(HaproxyConfig(runtime_api=haproxy.user))
        with pytest.raises(BalancerError, match="Permission denied") as caught:
            await balancer.set_weights(API, 100, 0)
        assert "level admin" in caught.value.cure

    async def test_door_when_the_map_is_not_loaded_then_cure_names_the_setting(
        self, haproxy: Any
    ) -> None:
        balancer = HaproxyLoadBalancer(
            HaproxyConfig(runtime_api=haproxy.admin, doors_map="/nowhere/doors.map")
        )
        for attempt in (
            lambda: balancer.close_door(DATABASE, 1),
            lambda: balancer.open_door(DATABASE),
            balancer.closed_doors,
        ):
            with pytest.raises(BalancerError, match="map") as caught:
                await attempt()
            assert "doors_map" in caught.value.cure

    async def test_weight_when_the_algorithm_is_static_then_cure_names_dynamic_ones(
        self, balancer: HaproxyLoadBalancer
    ) -> None:
        with pytest.raises(BalancerError, match="static") as caught:
            await balancer.set_weights(BackendRoute(backend="static"), 50, 0)
        assert "roundrobin" in caught.value.cure


class TestHaproxyAway:
    @pytest.mark.parametrize("address", ["unix:///nowhere/admin.sock", "tcp://127.0.0.1:1"])
    async def test_call_when_nothing_listens_then_unreachable(self, address: str) -> None:
        balancer = HaproxyLoadBalancer(HaproxyConfig(runtime_api=address))
        with pytest.raises(UnreachableError, match=address):
            await balancer.read_weights(API)

    async def test_call_when_the_server_is_silent_then_unreachable(self, tmp_path: Path) -> None:
        done = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await done.wait()
            writer.close()

        server = await asyncio.start_unix_server(silent, str(tmp_path / "s"))
        balancer = HaproxyLoadBalancer(
            HaproxyConfig(runtime_api=f"unix://{tmp_path}/s"), timeout_seconds=0.1
        )
        with pytest.raises(UnreachableError, match=r"0\.1 s"):
            await balancer.read_weights(API)
        done.set()
        server.close()
        await server.wait_closed()

    @pytest.mark.parametrize("address", ["", "admin.sock", "http://a:1", "tcp://host", "tcp://a:x"])
    def test_address_when_it_is_none_then_a_configuration_error(self, address: str) -> None:
        with pytest.raises(ConfigurationError, match="runtime_api"):
            HaproxyLoadBalancer(HaproxyConfig(runtime_api=address))

    @pytest.mark.parametrize("name", ["", "api\nshow info", "a\x00"])
    async def test_backend_when_its_name_cannot_be_sent_then_a_configuration_error(
        self, name: str
    ) -> None:
        balancer = HaproxyLoadBalancer(HaproxyConfig(runtime_api="tcp://127.0.0.1:1"))
        with pytest.raises(ConfigurationError):
            await balancer.read_weights(BackendRoute(backend=name))
