"""Posting to vendors: one client, one reading of what their answers mean."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from failback.providers.lazy_http import LazyHttp
from failback.providers.notify.note import UndeliveredError
from failback.providers.retrying import retry_after

_STATUSPAGE_CALM_DOWN = 420
"""What Statuspage answers to too many requests."""


class Poster:
    """Sends requests to one vendor. No error's text holds an address: many are secrets.

    Args:
        timeout_seconds: for one request, from connecting to the last byte.
        headers: sent with every request.
    """

    def __init__(self, timeout_seconds: float, headers: Mapping[str, str] | None = None) -> None:
        self._timeout = timeout_seconds
        self._headers = dict(headers or {})
        self._http = LazyHttp(self._opened)

    async def send(self, method: str, url: str, **options: Any) -> httpx.Response:
        """One request; returns an answer of success.

        Raises:
            UndeliveredError: no answer, or another one.
        """
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._http.client.request(method, url, **options)
        except TimeoutError as error:
            raise UndeliveredError(f"no answer within {self._timeout:g} s", retryable=True) from (
                error
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            # The class alone: some texts repeat the address.
            raise UndeliveredError(type(error).__name__, retryable=_may_mend(error)) from error
        if not answer.is_success:
            raise refused(answer)
        return answer

    async def aclose(self) -> None:
        """Give back connections."""
        await self._http.aclose()

    def _opened(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=self._timeout, headers=self._headers)


def refused(answer: httpx.Response, detail: str = "") -> UndeliveredError:
    """What an answer other than success means."""
    status = answer.status_code
    return UndeliveredError(
        detail or f"HTTP {status}",
        retryable=status >= httpx.codes.INTERNAL_SERVER_ERROR
        or status
        in {
            httpx.codes.REQUEST_TIMEOUT,
            httpx.codes.TOO_EARLY,
            httpx.codes.TOO_MANY_REQUESTS,
            _STATUSPAGE_CALM_DOWN,
        },
        retry_after_seconds=retry_after(answer),
    )


def _may_mend(error: Exception) -> bool:
    """Whether the same request may work later: not where the address itself is wrong."""
    return not isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | ValueError)
