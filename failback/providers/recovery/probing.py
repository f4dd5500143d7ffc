"""Asks an endpoint of the source by HTTP."""

import time

import httpx

from failback.models.common import Outcome
from failback.models.system import Item


class HttpProbe:
    """Implements `Probe`: a GET that is answered with anything but a failure.

    Args:
        name: what the item is called.
        url: what is asked.
        timeout_seconds: after so long it does not answer.
    """

    def __init__(self, name: str, url: str, timeout_seconds: float = 5.0) -> None:
        self._name = name
        self._url = url
        self._timeout = timeout_seconds

    def ask(self) -> Item:
        """See `Probe.ask`."""
        began = time.perf_counter()
        try:
            # A proxy that the environment names is no customer's way.
            answer = httpx.get(self._url, timeout=self._timeout, trust_env=False)
        except httpx.HTTPError as error:
            detail = f"GET {self._url} was not answered: {error or type(error).__name__}"
            return Item(name=self._name, outcome=Outcome.FAILED, detail=detail)
        # Without a key many endpoints answer 401: they answer.
        right = answer.status_code < httpx.codes.BAD_REQUEST or answer.status_code in (
            httpx.codes.UNAUTHORIZED,
            httpx.codes.FORBIDDEN,
        )
        return Item(
            name=self._name,
            outcome=Outcome.SUCCEEDED if right else Outcome.FAILED,
            detail=f"GET {self._url} answered HTTP {answer.status_code}",
            milliseconds=(time.perf_counter() - began) * 1000,
        )
