import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from failback.lab.haproxy import HaproxyServer
from failback.lab.processes import free_port, wait_until
from failback.models.common import Service, Side

pytestmark = pytest.mark.servers


class _Product(BaseHTTPRequestHandler):
    """Answers every path with its side's name."""

    protocol_version = "HTTP/1.1"
    side = ""

    def do_GET(self) -> None:
        body = self.side.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *arguments: object) -> None:
        """A client that went away is no error here."""


def _greeting_server(name: str) -> socket.socket:
    """A server that tells its name to whoever connects and sends something."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                if connection.recv(64):
                    connection.sendall(name.encode())

    threading.Thread(target=serve, daemon=True).start()
    return listener


@dataclass
class _Estate:
    balancer: HaproxyServer
    database_port: int
    source_door_port: int
    standby_port: int

    def api(self, path: str) -> tuple[int, str]:
        answer = httpx.get(f"{self.balancer.api_url}{path}", timeout=30, trust_env=False)
        return answer.status_code, answer.text

    def database(self, port: int | None = None) -> str:
        with socket.create_connection(("127.0.0.1", port or self.database_port), 30) as connection:
            connection.sendall(b"hello")
            return connection.recv(64).decode()

    def command(self, *commands: str) -> list[str]:
        return [self.balancer._asked(command) for command in commands]

    def close(self, *services: Service, seconds: float) -> None:
        until = round((time.time() + seconds) * 1000)
        for service in services:
            self.command(f"set map {self.balancer.doors_map} {service.value} {until}")

    def flip(self) -> None:
        for backend in ("rest", "auth", "storage", "functions", "database"):
            self.command(
                f"set server {backend}/source weight 100", f"set server {backend}/target weight 0"
            )


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[_Estate]:
    products = {}
    for side in Side:
        handler = type(f"Product{side}", (_Product,), {"side": side.value})
        products[side] = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=products[side].serve_forever, daemon=True).start()
    databases = {side: _greeting_server(side.value) for side in Side}
    standby = _greeting_server("standby")
    database_port, source_door_port = free_port(), free_port()
    balancer = HaproxyServer(
        tmp_path / "balancer",
        api_port=free_port(),
        database_port=database_port,
        product_ports={side: server.server_port for side, server in products.items()},
        database_ports={side: server.getsockname()[1] for side, server in databases.items()},
        log=tmp_path / "balancer.log",
        source_door_port=source_door_port,
        standby_port=standby.getsockname()[1],
    )
    try:
        balancer.start()
        yield _Estate(balancer, database_port, source_door_port, standby.getsockname()[1])
    finally:
        balancer.remove()
        for server in products.values():
            server.shutdown()
            server.server_close()
        for listener in (*databases.values(), standby):
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


PATHS = {
    Service.DATABASE: "/rest/v1/documents",
    Service.AUTH: "/auth/v1/health",
    Service.STORAGE: "/storage/v1/object/a",
    Service.FUNCTIONS: "/functions/v1/ai-query",
}


@pytest.mark.parametrize("service", list(Service))
def test_balancer_when_it_starts_sends_every_service_to_the_target(
    estate: _Estate, service: Service
) -> None:
    assert estate.api(PATHS[service]) == (200, "target")
    assert estate.api("/health") == (200, "target")
    assert estate.database() == "target"


def test_balancer_when_doors_close_holds_requests_and_fails_none(estate: _Estate) -> None:
    services = list(Service)
    stop = threading.Event()
    answers: list[tuple[float, int, str]] = []

    def user(number: int) -> None:
        path = PATHS[services[number % len(services)]]
        with httpx.Client(base_url=estate.balancer.api_url, timeout=30, trust_env=False) as client:
            while not stop.is_set():
                answer = client.get(path)
                answers.append((time.monotonic(), answer.status_code, answer.text))

    with ThreadPoolExecutor(8) as pool:
        users = [pool.submit(user, number) for number in range(8)]
        assert wait_until(lambda: len(answers) > 100, 10)
        estate.close(*services, seconds=0.3)
        # What was already being served is answered; then nothing is.
        assert wait_until(_is_quiet(answers), 5)
        in_hold = len(answers)
        estate.flip()
        assert wait_until(lambda: len(answers) > in_hold + 100, 10)
        stop.set()
        for each in users:
            each.result()
    assert {status for _, status, _ in answers} == {200}
    assert {text for _, _, text in answers[in_hold:]} == {"source"}


def _is_quiet(answers: list[tuple[float, int, str]]) -> Callable[[], bool]:
    return lambda: time.monotonic() - answers[-1][0] > 0.1


def test_balancer_when_one_door_closes_lets_the_other_services_pass(estate: _Estate) -> None:
    estate.close(Service.AUTH, seconds=60)
    assert estate.api(PATHS[Service.STORAGE])[0] == 200
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{estate.balancer.api_url}/auth/v1/health", timeout=0.3, trust_env=False)
    estate.command(f"set map {estate.balancer.doors_map} auth open")
    assert estate.api(PATHS[Service.AUTH]) == (200, "target")


def test_balancer_when_the_database_door_closes_holds_new_connections_until_the_flip(
    estate: _Estate,
) -> None:
    estate.close(Service.DATABASE, seconds=60)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(estate.database)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.3)
        estate.flip()
        estate.command(f"set map {estate.balancer.doors_map} database open")
        assert waiting.result(timeout=10) == "source"


def test_balancer_when_killed_comes_back_with_the_weights_of_before(estate: _Estate) -> None:
    estate.flip()
    estate.balancer.keep_state()
    pid = estate.balancer.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not estate.balancer.is_running(), 10)
    estate.balancer.start()
    assert estate.api(PATHS[Service.AUTH]) == (200, "source")
    assert estate.database() == "source"


def test_balancer_when_the_source_moved_to_the_standby_then_it_is_there_after_a_kill(
    estate: _Estate,
) -> None:
    assert estate.database(estate.source_door_port) == "source"
    estate.command(f"set server source_database/source addr 127.0.0.1 port {estate.standby_port}")
    assert estate.database(estate.source_door_port) == "standby"
    estate.balancer.keep_state()
    pid = estate.balancer.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not estate.balancer.is_running(), 10)
    estate.balancer.start()
    assert estate.database(estate.source_door_port) == "standby"
    # Only that one was moved.
    estate.flip()
    assert estate.database() == "source"
