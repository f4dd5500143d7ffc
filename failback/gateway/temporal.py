"""The gateway's connection to Temporal: made when it is needed, and looked at by `/readyz`."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

from temporalio.client import Client, Interceptor
from temporalio.service import RPCError

from failback.config import Estate
from failback.errors import UnreachableError
from failback.temporal.client import connect

_CONNECT_SECONDS = 2.0
_HEALTH = timedelta(seconds=1)
_LOOKED_SECONDS = 1.0
"""An answer of Temporal's health counts for so long."""


class Reachability(Protocol):
    """Whether alerts can be handed over now."""

    async def why_not(self) -> str:
        """Empty where Temporal answers, else what is wrong."""
        ...


class TemporalLink:
    """One client for the whole gateway. A gateway starts, and answers 503, without Temporal.

    Args:
        estate: whose Temporal it is.
        interceptors: of the client.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        estate: Estate,
        interceptors: Sequence[Interceptor] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._estate = estate
        self._interceptors = interceptors
        self._clock = clock
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._looked_at = float("-inf")
        self._wrong = ""

    async def client(self) -> Client:
        """The client, connected by the first who asks.

        Raises:
            UnreachableError: Temporal does not answer; the next call tries again.
        """
        async with self._connecting:
            if self._client is None:
                self._client = await connect(
                    self._estate,
                    interceptors=self._interceptors,
                    identity=f"gateway of {self._estate.estate}",
                    timeout_seconds=_CONNECT_SECONDS,
                )
            return self._client

    async def why_not(self) -> str:
        """See `Reachability.why_not`."""
        if self._clock() - self._looked_at >= _LOOKED_SECONDS:
            self._wrong = await self._look()
            self._looked_at = self._clock()
        return self._wrong

    async def _look(self) -> str:
        try:
            client = await self.client()
            healthy = await client.service_client.check_health(timeout=_HEALTH)
        except UnreachableError as error:
            return error.cause
        except RPCError as error:
            return f"Temporal does not answer: {error.message}"
        return "" if healthy else "Temporal says that it is not serving"
