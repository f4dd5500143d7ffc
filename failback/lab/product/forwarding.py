"""Functions that run elsewhere: requests go on to the side's runtime as they came."""

import aiohttp
from aiohttp import web
from yarl import URL

from failback.lab.product.problems import ProblemError

_TIMEOUT = aiohttp.ClientTimeout(total=30.0, connect=2.0)
_PASSED_ON = ("Authorization", "apikey", "Content-Type", "Accept")


class FunctionsRuntime:
    """A runtime as the product's gateway sees it.

    Args:
        url: its base URL.
    """

    def __init__(self, url: str) -> None:
        self._url = URL(url)
        self._http: aiohttp.ClientSession | None = None

    async def answer(self, request: web.Request) -> web.Response:
        """What the runtime answers to a request.

        Raises:
            ProblemError: 503, it does not answer.
        """
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        try:
            async with self._client().request(
                request.method,
                self._url.join(request.rel_url),
                data=await request.read(),
                headers=headers,
                allow_redirects=False,
            ) as answer:
                return web.Response(
                    status=answer.status,
                    body=await answer.read(),
                    headers={"Content-Type": answer.headers.get("Content-Type", "text/plain")},
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ProblemError(
                503, "functions_unavailable", "The functions' runtime does not answer."
            ) from error

    async def close(self) -> None:
        """Give back connections."""
        if self._http is not None:
            await self._http.close()

    def _client(self) -> aiohttp.ClientSession:
        # Made by the first request: a session belongs to the loop that runs it.
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=_TIMEOUT)
        return self._http
