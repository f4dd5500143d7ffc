"""Asking a server for settings over HTTP, and what its refusals mean."""

import asyncio
from typing import Any

import httpx

from failback.errors import (
    CredentialsError,
    MissingRightError,
    SettingsChangedError,
    SettingsError,
    UnreachableError,
)
from failback.providers.lazy_http import LazyHttp

_NOW_AND_THEN = frozenset(
    {
        httpx.codes.REQUEST_TIMEOUT,
        httpx.codes.TOO_EARLY,
        httpx.codes.TOO_MANY_REQUESTS,
    }
)


class Asker:
    """Sends requests to one server. No error's text holds an address: some are secrets.

    Args:
        what: what it is called in messages.
        token: sent as `Authorization: Bearer`; empty sends none.
        timeout_seconds: for one request, from connecting to the last byte.
    """

    def __init__(self, what: str, token: str, timeout_seconds: float) -> None:
        self._what = what
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = timeout_seconds
        self._http = LazyHttp(self._opened)

    async def ask(self, method: str, url: str, **options: Any) -> httpx.Response:
        """One request; returns an answer of success.

        Raises:
            UnreachableError: no answer, or one that may be another later.
            CredentialsError, MissingRightError: it does not let us in, or not do this.
            SettingsChangedError: a condition of the request does not hold.
            SettingsError: any other refusal.
        """
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._http.client.request(method, url, **options)
        except TimeoutError as error:
            raise UnreachableError(
                f"{self._what} did not answer within {self._timeout:g} s.",
                "Check that it runs and that the network lets it through.",
            ) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
            raise SettingsError(
                f"The address of {self._what} cannot be used.", "Correct it."
            ) from error
        except (httpx.HTTPError, OSError) as error:
            # The class alone: some texts repeat the address.
            raise UnreachableError(
                f"{self._what} does not answer ({type(error).__name__}).",
                "Check its address, that it runs and that the network lets it through.",
            ) from error
        if not answer.is_success:
            self._refuse(method, answer.status_code)
        return answer

    async def aclose(self) -> None:
        """Give back connections."""
        await self._http.aclose()

    def _opened(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=self._timeout, headers=self._headers)

    def _refuse(self, method: str, status: int) -> None:
        said = f"{self._what} answered {method} with HTTP {status}."
        if status == httpx.codes.UNAUTHORIZED:
            raise CredentialsError(said, "Correct its token.")
        if status == httpx.codes.FORBIDDEN:
            raise MissingRightError(said, "Give its token the right to read and write settings.")
        if status == httpx.codes.PRECONDITION_FAILED:
            raise SettingsChangedError(f"{self._what} changed while it was worked on.")
        if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _NOW_AND_THEN:
            raise UnreachableError(said, "Look into its log; the request may be repeated.")
        raise SettingsError(said, "Check its address, its method and what it takes.")
