"""One side's auth over HTTP: GoTrue's API, as Supabase describes it."""

import asyncio
from typing import Any

import httpx

from failback.errors import UnreachableError
from failback.models.common import Side
from failback.providers.auth.side import Answer
from failback.providers.lazy_http import LazyHttp
from failback.sections.auth import AuthSideConfig

_AWAY = frozenset({408, 429, 502, 504, 520, 522, 524})
"""Answers of a gateway whose server did not answer, or of a server that is too busy."""


class HttpAuthSide:
    """Implements `AuthSide`. No token is in an error's text.

    Args:
        side: which one it is.
        config: its address and keys.
        timeout_seconds: for one request as a whole.
        transport: what really sends; None is the network.
    """

    def __init__(
        self,
        side: Side,
        config: AuthSideConfig,
        timeout_seconds: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.side = side
        self._config = config
        self._timeout = timeout_seconds
        self._transport = transport
        self._http = LazyHttp(self._opened)

    async def health(self) -> Answer:
        """See `AuthSide.health`."""
        return await self._send("GET", "/health")

    async def keys(self) -> tuple[dict[str, Any], ...]:
        """See `AuthSide.keys`. A server that knows no such page has no keys."""
        keys = (await self._send("GET", "/.well-known/jwks.json")).body.get("keys")
        return tuple(key for key in keys or () if isinstance(key, dict))

    async def user(self, token: str) -> Answer:
        """See `AuthSide.user`."""
        return await self._send("GET", "/user", bearer=token)

    async def create_user(self, email: str, password: str) -> Answer:
        """See `AuthSide.create_user`."""
        body = {"email": email, "password": password, "email_confirm": True}
        return await self._send("POST", "/admin/users", body, service=True)

    async def sign_in(self, email: str, password: str) -> Answer:
        """See `AuthSide.sign_in`."""
        body = {"email": email, "password": password}
        return await self._send("POST", "/token?grant_type=password", body)

    async def refresh(self, token: str) -> Answer:
        """See `AuthSide.refresh`."""
        body = {"refresh_token": token}
        return await self._send("POST", "/token?grant_type=refresh_token", body)

    async def delete_user(self, user_id: str) -> Answer:
        """See `AuthSide.delete_user`."""
        return await self._send("DELETE", f"/admin/users/{user_id}", service=True)

    async def aclose(self) -> None:
        """See `AuthSide.aclose`."""
        await self._http.aclose()

    async def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        bearer: str = "",
        service: bool = False,
    ) -> Answer:
        key = (self._config.service_key if service else self._config.anon_key).get_secret_value()
        headers = {"apikey": key}
        if service or bearer:
            headers["Authorization"] = f"Bearer {bearer or key}"
        try:
            # A deadline for the whole: httpx's own is for each read.
            async with asyncio.timeout(self._timeout):
                answer = await self._http.client.request(method, path, json=body, headers=headers)
        except TimeoutError as error:
            raise self._away(f"no answer within {self._timeout:g} s") from error
        except httpx.HTTPError as error:
            # The class alone: a text may repeat what was sent.
            raise self._away(type(error).__name__) from error
        if answer.status_code in _AWAY:
            raise self._away(f"HTTP {answer.status_code}")
        try:
            found = answer.json()
        except ValueError:
            found = None
        return Answer(answer.status_code, found if isinstance(found, dict) else {})

    def _away(self, why: str) -> UnreachableError:
        return UnreachableError(
            f"The {self.side.value}'s auth at {self._config.url} does not answer: {why}.",
            f"Check auth.{self.side.value}.url, that the server runs, and the network's way to it.",
        )

    def _opened(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._config.url,
            timeout=self._timeout,
            transport=self._transport,
            follow_redirects=False,
        )
