"""A POST that is tried again where that helps. What goes wrong is a text without the address."""

import asyncio
from collections.abc import Mapping

import httpx

from failback.providers.lazy_http import LazyHttp

_TRIES = 3


class HookCaller:
    """Calls hooks.

    Args:
        timeout_seconds: of one of three tries.
        pause_seconds: before the second try; doubled before the third.
    """

    def __init__(self, timeout_seconds: float, pause_seconds: float = 0.5) -> None:
        self._timeout = timeout_seconds
        self._pause = pause_seconds
        self._http = LazyHttp(self._opened)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[bool, str]:
        """Whether the hook took a JSON body, and what it answered."""
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(self._pause * 2 ** (attempt - 1))
            answer = await self.ask(
                "POST", url, {"Content-Type": "application/json", **headers}, body
            )
            if isinstance(answer, str):
                problem = answer
                continue
            problem = f"HTTP {answer.status_code}"
            if answer.is_success:
                return True, problem
            if answer.is_client_error:
                break
        return False, problem

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> httpx.Response | str:
        """One request; the answer, or why there is none."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._http.client.request(
                    method, url, content=body, headers=dict(headers)
                )
        except TimeoutError:
            return f"no answer within {self._timeout:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # The class alone: some texts repeat the address, which is a secret.
            return type(error).__name__

    async def aclose(self) -> None:
        """Give back connections."""
        await self._http.aclose()

    def _opened(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=self._timeout)
