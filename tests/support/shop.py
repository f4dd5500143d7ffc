"""A small product in Supabase's shape, served for real, whose answers a test may change."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from failback.sections.checks import ChecksConfig

ANON, SERVICE = "the-anon-key", "the-service-key"


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serve an application on a free port of loopback."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Shop:
    """A small product in Supabase's shape, whose answers a test may change by path."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.headers: dict[str, Any] = {}
        self.users: set[str] = set()
        self.broken: dict[str, web.Response] = {}
        self.hanging: set[str] = set()
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}
        self.after: dict[str, Callable[[], Awaitable[None]]] = {}
        self.delays: dict[str, float] = {}

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.requests.append((request.method, path))
        self.headers[f"{request.method} {path}"] = request.headers
        if path in self.before:
            await self.before[path]()
            # A client that gave up is not served any more.
            if request.transport is None or request.transport.is_closing():
                raise web.HTTPBadRequest
        answer = await self._answers(request)
        if path in self.after:
            await self.after[path]()
        if path in self.hanging:
            await asyncio.sleep(30)
        await asyncio.sleep(self.delays.get(path, 0))
        return self.broken.get(path, answer)

    async def _answers(self, request: web.Request) -> web.Response:
        if request.path in self.broken:
            return self.broken[request.path]
        match request.method, request.path:
            case "POST", "/auth/v1/signup":
                email = (await request.json())["email"]
                self.users.add(email)
                return web.json_response({"user": {"id": f"id-of-{email}"}})
            case "POST", "/auth/v1/token":
                email = (await request.json())["email"]
                if email not in self.users:
                    return web.json_response({"msg": "Invalid login credentials"}, status=400)
                return web.json_response(
                    {"access_token": f"token-of-{email}", "user": {"id": f"id-of-{email}"}}
                )
            case "DELETE", path:
                self.users.discard(path.rpartition("/id-of-")[2])
                return web.json_response({})
        return web.json_response([])


def checks_config(api_url: str, **changes: Any) -> ChecksConfig:
    fields: dict[str, Any] = {"api_url": api_url, "anon_key": ANON, "service_key": SERVICE}
    return ChecksConfig(**{**fields, **changes})
