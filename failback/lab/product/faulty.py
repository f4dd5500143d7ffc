"""Faults that a running product carries out on itself when the lab asks it to."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from aiohttp import web

from failback.lab.faults import AUTH_FAILURES, ERRORS, FAULTS, LATENCY
from failback.lab.product.problems import ProblemError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_EXEMPT = ("/_lab/", "/metrics", "/health")


class Faults:
    """Which faults are on, and how strong each is."""

    def __init__(self) -> None:
        self._on: dict[str, dict[str, float]] = {}
        self._random = random.Random()

    def state(self) -> dict[str, dict[str, float]]:
        """The faults that are on, with their settings."""
        return {name: dict(settings) for name, settings in self._on.items()}

    async def read(self, _request: web.Request) -> web.Response:
        """`GET /_lab/faults`."""
        return web.json_response({"faults": self.state(), "known": FAULTS})

    async def change(self, request: web.Request) -> web.Response:
        """`POST /_lab/faults` with `{"fault": NAME, "on": true, "share": 0.3, "seconds": 3}`."""
        try:
            body = await request.json()
            name, on = str(body["fault"]), bool(body["on"])
            usual = 0.3 if name == ERRORS else 1.0
            share = float(usual if body.get("share") is None else body["share"])
            seconds = float(body.get("seconds") or 3.0)
        except (ValueError, TypeError, KeyError) as error:
            raise ProblemError(
                400,
                "validation_failed",
                "Send `fault` and `on`; `share` and `seconds` are numbers.",
            ) from error
        if name not in FAULTS:
            raise ProblemError(
                404, "fault_not_found", f"No fault {name!r}; known: {', '.join(sorted(FAULTS))}."
            )
        if on:
            self._on[name] = {"share": min(1.0, max(0.0, share)), "seconds": max(0.0, seconds)}
        else:
            self._on.pop(name, None)
        return web.json_response({"faults": self.state()})

    def strikes(self, name: str) -> bool:
        """Whether a fault is on and this request is in its share."""
        settings = self._on.get(name)
        return settings is not None and self._random.random() < settings["share"]

    def login_fails(self) -> bool:
        """Whether this login is to be refused."""
        return self.strikes(AUTH_FAILURES)

    async def carry(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request with the faults that are on.

        Half of the errors strike after the work was done: a write may be there although its
        client was told 500, which is what clients of a broken server meet.
        """
        if not self._on or request.path.startswith(_EXEMPT):
            return await handler(request)
        if self.strikes(LATENCY):
            await asyncio.sleep(self._on[LATENCY]["seconds"])
        if not self.strikes(ERRORS):
            return await handler(request)
        if self._random.random() < 0.5:  # noqa: PLR2004 - one half, as the docstring says
            await handler(request)
        raise ProblemError(500, "unexpected_failure", "Broken on purpose by the lab.")
