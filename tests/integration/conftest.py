"""The lab's product on both sides, each a process of its own on a fresh database."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import pytest

from failback.lab.databases import DatabasePair, PostgresPair, create_database, drop_database
from failback.lab.processes import end, free_port, spawn, tail, wait_until
from failback.lab.product.schema import install
from failback.models.common import Side

JWT_SECRET = "test-secret-that-is-long-enough-for-hs256"
ANON_KEY = "test-anon-key"
SERVICE_KEY = "test-service-key"


@dataclass
class Products:
    """One product process a side, started when it is asked for."""

    databases: DatabasePair
    folder: Path
    anon_key: str = ANON_KEY
    service_key: str = SERVICE_KEY
    ports: dict[Side, int] = field(default_factory=dict)
    processes: dict[Side, Popen[bytes]] = field(default_factory=dict)

    def start(self, side: Side, *, seconds: float = 30) -> str:
        """Start one side and wait until it is healthy; returns its URL."""
        port = self.ports.setdefault(side, free_port())
        log = self.folder / f"product-{side.value}.log"
        options = {
            "--side": side.value,
            "--port": port,
            "--dsn": self.databases.app_dsn(side),
            "--jwt-secret": JWT_SECRET,
            "--files": self.folder / f"files-{side.value}",
            "--anon-key": self.anon_key,
            "--service-key": self.service_key,
        }
        words = [str(word) for pair in options.items() for word in pair]
        command = [sys.executable, "-m", "failback.lab.product", *words]
        process = self.processes[side] = spawn(command, log=log)

        def healthy_or_ended() -> bool:
            return process.poll() is not None or self.status(side) == 200

        assert wait_until(healthy_or_ended, seconds), tail(log)
        assert process.returncode is None, tail(log)
        return self.url(side)

    def url(self, side: Side) -> str:
        return f"http://127.0.0.1:{self.ports[side]}"

    def status(self, side: Side) -> int | None:
        """What `/health` answers; None when nothing does."""
        try:
            return httpx.get(f"{self.url(side)}/health", trust_env=False, timeout=10).status_code
        except httpx.HTTPError:
            return None

    def client(self, side: Side) -> httpx.Client:
        """A client with the key that every client has."""
        return httpx.Client(
            base_url=self.url(side),
            headers={"apikey": self.anon_key},
            trust_env=False,
            timeout=20,
        )

    def stop(self, side: Side) -> tuple[int, float]:
        """Ask one side to end; returns its exit code and how many seconds it took."""
        process, began = self.processes.pop(side), time.monotonic()
        end(process, (signal.SIGTERM, 10.0))
        return process.returncode, time.monotonic() - began


@pytest.fixture
def products(databases: DatabasePair, tmp_path: Path) -> Iterator[Products]:
    """Both databases with the product's schema; processes start on demand."""
    with running(databases, tmp_path) as both:
        yield both


@pytest.fixture(scope="module")
def target_product(
    postgres_pair: PostgresPair, tmp_path_factory: pytest.TempPathFactory, request: Any
) -> Iterator[Products]:
    """The product of the target, started once for a module; its data stay between tests."""
    name = f"shared_{request.module.__name__.rpartition('.')[2]}"
    pair = DatabasePair(name, postgres_pair, "test-only")
    made = []
    try:
        for side in Side:
            create_database(postgres_pair.server(side), side, name)
            made.append(side)
        with running(pair, tmp_path_factory.mktemp("product")) as both:
            both.start(Side.TARGET)
            yield both
    finally:
        for side in made:
            drop_database(postgres_pair.server(side), name)


@contextmanager
def running(databases: DatabasePair, folder: Path) -> Iterator[Products]:
    for side in Side:
        install(databases.admin_dsn(side), side)
    both = Products(databases, folder)
    try:
        yield both
    finally:
        for side in list(both.processes):
            both.stop(side)
