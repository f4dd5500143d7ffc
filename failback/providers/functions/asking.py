"""Asks one function on one side, as a customer would but past the balancer."""

import asyncio
import time

import httpx

from failback.models.common import Outcome, Side
from failback.models.system import Item
from failback.providers.lazy_http import LazyHttp
from failback.sections.functions import FunctionConfig, FunctionsConfig

_LONGEST_TEXT = 160


class FunctionAsker:
    """Sends each function's probe and judges what it answers.

    Args:
        config: where each side is called.
        transport: what really sends; None is the network.
    """

    def __init__(
        self, config: FunctionsConfig, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._config = config
        self._transport = transport
        self._http = LazyHttp(self._opened)

    async def ask(self, function: FunctionConfig, side: Side) -> Item:
        """The answer's verdict; whatever goes wrong is a failed item."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(function.budget_seconds):
                problem = await self._problem(function, side)
        except TimeoutError:
            problem = f"no answer within {function.budget_seconds:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = f"no answer: {type(error).__name__}"
        return Item(
            name=function.name,
            outcome=Outcome.FAILED if problem else Outcome.SUCCEEDED,
            detail=f"on the {side.value}: {problem}" if problem else "",
            milliseconds=round((time.perf_counter() - began) * 1000, 1),
        )

    async def aclose(self) -> None:
        """Give back connections."""
        await self._http.aclose()

    async def _problem(self, function: FunctionConfig, side: Side) -> str:
        """What is wrong with the answer; empty where it is as expected."""
        asked, probe = self._config.side(side), function.probe
        key = asked.api_key.get_secret_value() if asked.api_key else ""
        answer = await self._http.client.request(
            probe.method,
            f"{asked.url}/{function.name}{probe.path}",
            json=probe.body,
            headers={"apikey": key, "Authorization": f"Bearer {key}"} if key else {},
        )
        text = answer.text.replace(key, "***") if key else answer.text
        if answer.status_code != probe.status:
            said = " ".join(text.split())[:_LONGEST_TEXT]
            return f"HTTP {answer.status_code} where {probe.status} is expected: {said}"
        if probe.contains and probe.contains not in answer.text:
            return f"HTTP {answer.status_code}, and {probe.contains!r} is not in the answer"
        return ""

    def _opened(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            # Each function has a deadline for the whole, which is what its caller waits.
            timeout=None,  # noqa: S113 -- see above
            transport=self._transport,
            # A proxy that the environment names is no customer's way.
            trust_env=False,
        )
