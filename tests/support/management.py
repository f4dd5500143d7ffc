"""The stand-in of the management API in a test's own process, held to the published description."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from failback.lab.management.app import Management, Settings
from failback.lab.processes import free_port
from failback.providers.supabase import SupabaseManagement
from failback.sections.supabase import SupabaseConfig

from support.openapi import Watch, WatchedTransport, described

REF = "abcdefghijklmnopqrst"
TOKEN = "sbp_a-token-that-nobody-may-see"
UNLISTED = frozenset({400, 404, 409, 500})
"""Refusals of the API's framework and its faults, which the description leaves out in places."""


@dataclass
class RunningManagement:
    """A stand-in that serves.

    Attributes:
        url: its base URL.
        folder: its files.
        watch: what went over the wire.
    """

    url: str
    folder: Path
    watch: Watch

    def config(self, **changes: Any) -> SupabaseConfig:
        usual = {"ref": REF, "access_token": TOKEN, "api_url": self.url, "timeout_seconds": 5.0}
        return SupabaseConfig.model_validate({**usual, **changes})

    def client(self, **changes: Any) -> SupabaseManagement:
        """A client whose requests and answers are held to the description."""
        transport = WatchedTransport(httpx.AsyncHTTPTransport(), self.watch, only="/v1/")
        return SupabaseManagement(self.config(**changes), transport, pause_seconds=0.01)

    async def trouble(self, **trouble: Any) -> None:
        """Have the next requests answered with an error."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.put(f"{self.url}/_lab/trouble", json=trouble)
            assert answer.status_code == 200, answer.text

    def secrets(self) -> dict[str, str]:
        """The values that the functions' runtime reads."""
        found: dict[str, str] = json.loads((self.folder / "secrets.json").read_text())
        return found

    def signing_keys(self) -> list[dict[str, Any]]:
        """The private keys that the project's auth reads."""
        found: list[dict[str, Any]] = json.loads((self.folder / "keys.json").read_text())["keys"]
        return found


@asynccontextmanager
async def serving(folder: Path, functions: Path | None = None) -> AsyncIterator[RunningManagement]:
    """Serve a stand-in with its files in a folder; ends with a look at everything it answered."""
    watch = Watch(described("supabase-management-api.json"), unlisted=UNLISTED)
    settings = Settings(
        ref=REF,
        token=TOKEN,
        jwt_secret="the secret that signed every token so far",
        state=folder / "state.json",
        secrets=folder / "secrets.json",
        jwt_keys=folder / "keys.json",
        functions=functions,
    )
    runner = web.AppRunner(Management(settings).application(), access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield RunningManagement(f"http://127.0.0.1:{port}", folder, watch)
    finally:
        await runner.cleanup()
    assert watch.violations == []
