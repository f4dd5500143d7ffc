"""Delivers messages to the channels of the configuration."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx

from failback.errors import ConfigurationError
from failback.models.common import Outcome
from failback.models.traffic import CheckResult
from failback.sections.people import ChannelConfig

_LOG = logging.getLogger(__name__)
_TRIES = 3


class ChannelNotifier:
    """Implements `Notifier`: a channel is a log, or a webhook that takes JSON by POST.

    A webhook gets `{"text", "subject", "body", "estate", "channel", "sent_at"}`; `text` holds
    both parts, as chat services expect it.

    Args:
        estate: the estate's name, part of every message.
        channels: the channels by name.
        timeout_seconds: of one try; there are three, each after a longer pause.
        pause_seconds: before the second try; doubled before the third.

    Raises:
        ConfigurationError: a webhook has no address.
    """

    def __init__(
        self,
        estate: str,
        channels: Mapping[str, ChannelConfig],
        *,
        timeout_seconds: float = 2.0,
        pause_seconds: float = 0.2,
    ) -> None:
        for name, channel in channels.items():
            url = channel.url.get_secret_value() if channel.url else ""
            if channel.kind == "webhook" and not url.startswith(("http://", "https://")):
                raise ConfigurationError(
                    f"The webhook of channel {name} has no http or https address.",
                    f"Set notifications.{name}.url.",
                )
        self._estate = estate
        self._channels = dict(channels)
        self._timeout = timeout_seconds
        self._pause = pause_seconds
        self._http: httpx.AsyncClient | None = None

    async def notify(self, channel: str, subject: str, text: str) -> CheckResult:
        """See `Notifier.notify`. No detail holds the channel's address: it is a secret."""
        config = self._channels.get(channel)
        if config is None:
            known = ", ".join(sorted(self._channels)) or "none"
            return _failed(channel, f"there is no channel {channel}; known: {known}")
        if config.kind == "log" or config.url is None:
            _LOG.warning(
                "%s: %s",
                subject,
                text,
                extra={"estate": self._estate, "channel": channel, "subject": subject},
            )
            return CheckResult(name=channel, outcome=Outcome.SUCCEEDED, detail="written to the log")
        message = {
            "text": f"{subject}\n{text}",
            "subject": subject,
            "body": text,
            "estate": self._estate,
            "channel": channel,
            "sent_at": datetime.now(UTC).isoformat(),
        }
        return await self._post(channel, config.url.get_secret_value(), message)

    async def aclose(self) -> None:
        """See `Notifier.aclose`."""
        client, self._http = self._http, None
        if client is not None:
            await client.aclose()

    async def _post(self, channel: str, url: str, message: Mapping[str, str]) -> CheckResult:
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(self._pause * 2 ** (attempt - 1))
            try:
                async with asyncio.timeout(self._timeout):
                    answer = await self._client().post(url, json=message)
            except TimeoutError:
                problem = f"no answer within {self._timeout:g} s"
            except Exception as error:  # noqa: BLE001 -- a dead channel must not stop a rollback
                # The class alone: some texts repeat the address.
                problem = type(error).__name__
            else:
                problem = f"HTTP {answer.status_code}"
                if answer.is_success:
                    return CheckResult(name=channel, outcome=Outcome.SUCCEEDED, detail=problem)
                if not _may_pass(answer.status_code):
                    break
        _LOG.warning("channel %s was not told: %s", channel, problem)
        return _failed(channel, f"not delivered: {problem}")

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=self._timeout)
        return self._http


def _may_pass(status: int) -> bool:
    """Whether the same message may be taken later."""
    return status >= httpx.codes.INTERNAL_SERVER_ERROR or status in {
        httpx.codes.REQUEST_TIMEOUT,
        httpx.codes.TOO_MANY_REQUESTS,
    }


def _failed(channel: str, detail: str) -> CheckResult:
    return CheckResult(name=channel, outcome=Outcome.FAILED, detail=detail)
