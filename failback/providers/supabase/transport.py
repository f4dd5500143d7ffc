"""One request to the management API: sent again where that is safe, refused in plain words."""

import asyncio
import logging
import random
import time
from typing import Any, Final

import httpx

from failback.errors import (
    CredentialsError,
    FailbackError,
    MissingRightError,
    PlatformMissingError,
    PlatformRefusedError,
    UnreachableError,
)
from failback.providers.lazy_http import LazyHttp
from failback.providers.retrying import retry_after
from failback.sections.supabase import SupabaseConfig

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 8.0
_LONGEST_TEXT = 200
_NOT_TAKEN: Final = frozenset({429, 503})
"""Answers of a server that did nothing with the request."""
_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 544})


class ManagementTransport:
    """Sends requests with the project's token, which is in no text of ours.

    Args:
        config: the project and how patient we are with its API.
        transport: what really sends; None is the network.
        pause_seconds: before the second try; doubled before each later one.
    """

    def __init__(
        self,
        config: SupabaseConfig,
        transport: httpx.AsyncBaseTransport | None = None,
        pause_seconds: float = _FIRST_PAUSE_SECONDS,
    ) -> None:
        self._config = config
        self._transport = transport
        self._pause = pause_seconds
        self._http = LazyHttp(self._opened)

    async def send(
        self, method: str, path: str, *, repeatable: bool = True, **options: Any
    ) -> httpx.Response:
        """One request below the project; returns an answer of success.

        Args:
            method: of HTTP.
            path: after `/v1/projects/{ref}`.
            repeatable: whether a second one does no harm where the first was carried out although
                its answer was lost.
            options: as httpx takes them.

        Raises:
            UnreachableError: no answer, or none but errors of the server, for as long as the
                configuration allows.
            CredentialsError: the token is not accepted.
            MissingRightError: the token may not do this.
            PlatformMissingError: the project, or what the path names, is not there.
            PlatformRefusedError: any other refusal.
        """
        what = f"{method} {path or 'the project'}"
        deadline = time.monotonic() + self._config.patience_seconds
        for attempt in range(1, self._config.tries + 1):
            last = attempt == self._config.tries
            asked_to_wait: float | None = None
            try:
                answer = await self._sent(method, path, **options)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                problem, may_repeat = type(error).__name__, True
            except (TimeoutError, httpx.TransportError) as error:
                # Its text may repeat what was sent.
                problem, may_repeat = type(error).__name__, repeatable
            else:
                if answer.is_success:
                    return answer
                if answer.status_code not in _BUSY:
                    raise self._refusal(what, answer)
                problem = f"HTTP {answer.status_code}"
                may_repeat = repeatable or answer.status_code in _NOT_TAKEN
                asked_to_wait = retry_after(answer)
            pause = self._pause_before(attempt, asked_to_wait)
            if last or not may_repeat or time.monotonic() + pause > deadline:
                raise UnreachableError(
                    f"Supabase's management API did not carry out {what}: {problem}"
                    f" (try {attempt} of {self._config.tries}).",
                    "Look at https://status.supabase.com, and whether supabase.api_url is right.",
                )
            _LOG.warning("%s: %s; again in %.1f s", what, problem, pause)
            await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def aclose(self) -> None:
        """Give back connections."""
        await self._http.aclose()

    async def _sent(self, method: str, path: str, **options: Any) -> httpx.Response:
        # A deadline for the whole: httpx's own is for each read, and a trickle never ends.
        async with asyncio.timeout(self._config.timeout_seconds):
            return await self._http.client.request(
                method, f"/v1/projects/{self._config.ref}{path}", **options
            )

    def _pause_before(self, attempt: int, asked: float | None) -> float:
        if asked is not None:
            return asked
        longest = min(self._pause * 2.0 ** (attempt - 1), _LONGEST_PAUSE_SECONDS)
        # Several workers that were refused together must not come back together.
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it

    def _refusal(self, what: str, answer: httpx.Response) -> FailbackError:
        cause = f"Supabase's management API refused {what}: {self._said(answer)}"
        match answer.status_code:
            case httpx.codes.UNAUTHORIZED:
                return CredentialsError(
                    f"{cause}.", "Set supabase.access_token to a token that is in force."
                )
            case httpx.codes.FORBIDDEN:
                return MissingRightError(
                    f"{cause}.",
                    "Give the token's owner the right, or make the token with its scope.",
                )
            case httpx.codes.NOT_FOUND:
                return PlatformMissingError(
                    f"{cause}.", "Is supabase.ref the right project, and is what is named there?"
                )
            case _:
                return PlatformRefusedError(f"{cause}.")

    def _said(self, answer: httpx.Response) -> str:
        """The status and the answer's own message, without the token and on one line."""
        try:
            body = answer.json()
        except ValueError:
            body = None
        message = body.get("message", "") if isinstance(body, dict) else ""
        if isinstance(message, list):
            message = "; ".join(map(str, message))
        text = " ".join(str(message).split()).replace(self._token, "***").rstrip(".")
        return f"HTTP {answer.status_code}{f', {text[:_LONGEST_TEXT]}' if text else ''}"

    @property
    def _token(self) -> str:
        return self._config.access_token.get_secret_value()

    def _opened(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._config.api_url,
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=self._config.timeout_seconds,
            transport=self._transport,
            follow_redirects=False,
        )
