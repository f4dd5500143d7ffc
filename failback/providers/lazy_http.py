"""An HTTP client that is opened by its first request."""

from collections.abc import Callable

import httpx


class LazyHttp:
    """Opens a client when one is asked for: a command that sends nothing reads no authorities.

    Args:
        opened: makes a client; called again where one is asked for after `aclose`.
    """

    def __init__(self, opened: Callable[[], httpx.AsyncClient]) -> None:
        self._opened = opened
        self._client: httpx.AsyncClient | None = None

    @property
    def client(self) -> httpx.AsyncClient:
        """The open client."""
        if self._client is None:
            self._client = self._opened()
        return self._client

    async def aclose(self) -> None:
        """Give back connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
