"""Readiness by the API: one look at a time, and its answer for all who ask meanwhile."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from failback.gateway.api.bodies import Readiness
from failback.gateway.api.operations import Call

Look = Callable[[], Awaitable[Readiness]]
_KEPT_SECONDS = 10.0


class ReadinessOperations:
    """Asks every part of the estate, at most every ten seconds.

    Args:
        look: looks at every part; changes nothing.
        clock: seconds that only go forward.
    """

    def __init__(self, look: Look, clock: Callable[[], float] = time.monotonic) -> None:
        self._look = look
        self._clock = clock
        self._looking = asyncio.Lock()
        self._at = float("-inf")
        self._found: Readiness | None = None

    async def get(self, _: Call) -> Readiness:
        """What was found, now or a moment ago."""
        async with self._looking:
            if self._found is None or self._clock() - self._at >= _KEPT_SECONDS:
                self._found = await self._look()
                self._at = self._clock()
            return self._found
