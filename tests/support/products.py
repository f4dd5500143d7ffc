"""The lab's product on both sides, each a process of its own, as tests start and ask it."""

import os
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

from failback.lab.databases import DatabasePair
from failback.lab.processes import end, free_port, spawn, tail, wait_until
from failback.lab.product.environment import JWT_KEYS, REUSE_SECONDS, written
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
    reuse_seconds: float = 10.0
    jwt_secrets: dict[Side, str] = field(default_factory=dict)
    """Where a side has another one than the other."""
    ports: dict[Side, int] = field(default_factory=dict)
    processes: dict[Side, Popen[bytes]] = field(default_factory=dict)

    def start(self, side: Side, *, seconds: float = 30) -> str:
        """Start one side and wait until it is healthy; returns its URL."""
        port = self.ports.setdefault(side, free_port())
        log = self.folder / f"product-{side.value}.log"
        options = {
            "--side": side.value,
            "--port": port,
            "--files": self.folder / f"files-{side.value}",
        }
        words = [str(word) for pair in options.items() for word in pair]
        command = [sys.executable, "-m", "failback.lab.product", *words]
        values = {
            "dsn": self.databases.app_dsn(side),
            "jwt_secret": self.jwt_secrets.get(side, JWT_SECRET),
            "anon_key": self.anon_key,
            "service_key": self.service_key,
        }
        process = self.processes[side] = spawn(
            command,
            log=log,
            environment={
                **os.environ,
                **written(values),
                JWT_KEYS: str(self.jwt_keys(side)),
                REUSE_SECONDS: str(self.reuse_seconds),
            },
        )

        def healthy_or_ended() -> bool:
            return process.poll() is not None or self.status(side) == 200

        assert wait_until(healthy_or_ended, seconds), tail(log)
        assert process.returncode is None, tail(log)
        return self.url(side)

    def jwt_keys(self, side: Side) -> Path:
        """Where the signing keys of one side are, if it has any."""
        return self.folder / f"keys-{side.value}.json"

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


PASSWORD = "correct horse"
WANT_ROWS = {"Prefer": "return=representation"}


def signed_up(client: httpx.Client, email: str = "ada@example.org") -> dict[str, Any]:
    answer = client.post("/auth/v1/signup", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    session: dict[str, Any] = answer.json()
    client.headers["Authorization"] = f"Bearer {session['access_token']}"
    return session


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    """The sum of a metric's series whose labels fit."""
    total = 0.0
    for line in client.get("/metrics").text.splitlines():
        series, _, value = line.rpartition(" ")
        wanted = all(f'{key}="{text}"' in series for key, text in labels.items())
        if series.partition("{")[0] == name and wanted:
            total += float(value)
    return total
