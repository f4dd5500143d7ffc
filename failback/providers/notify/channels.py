"""The estate's channels together: routing, words, and each vendor's own way."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from failback.models.messages import Delivery, DeliveryPlan, Message
from failback.providers.notify.log import LogChannel
from failback.providers.notify.mail import MailChannel
from failback.providers.notify.note import Channel, UndeliveredError, noted
from failback.providers.notify.pagerduty import PagerDutyChannel
from failback.providers.notify.routing import planned, public
from failback.providers.notify.slack import SlackChannel
from failback.providers.notify.statuspage import StatuspageChannel
from failback.providers.notify.webhook import WebhookChannel
from failback.sections.channels import ChannelConfig, MessagesConfig

_LOG = logging.getLogger(__name__)
_LONGEST_DETAIL = 300

Links = Callable[[Message, str], Mapping[str, str]]
"""Links that a message gets on its way: (message, the person whose channel it is or "")."""


class ChannelNotifier:
    """Implements `Notifier` on the channels of the configuration.

    Args:
        channels: the channels by name.
        words: who is told of what, by when, in which words.
        links: makes links, a person's own approval link among them; called for each delivery, so
            that no such link is ever part of a payload.
        now: the clock.

    Raises:
        ConfigurationError: a channel's file of certificates cannot be used.
    """

    def __init__(
        self,
        channels: Mapping[str, ChannelConfig],
        words: MessagesConfig | None = None,
        *,
        links: Links | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._configs = dict(channels)
        self._words = words or MessagesConfig()
        self._links = links
        self._now = now
        self._channels = {name: made(config) for name, config in channels.items()}

    def plan(self, message: Message) -> DeliveryPlan:
        """See `Notifier.plan`."""
        return planned(message, self._configs, self._words)

    async def deliver(self, channel: str, message: Message) -> Delivery:
        """See `Notifier.deliver`."""
        try:
            detail = await self._sent(channel, message)
        except UndeliveredError as error:
            return self._delivery(channel, message, error.detail).model_copy(
                update={
                    "retryable": error.retryable,
                    "retry_after_seconds": error.retry_after_seconds,
                }
            )
        except Exception as error:  # noqa: BLE001 - a bug in one channel must not stop a rollback
            # The class alone: a text may hold a secret.
            _LOG.error("channel %s failed: unexpected %s", channel, type(error).__name__)
            return self._delivery(channel, message, f"unexpected {type(error).__name__}")
        return self._delivery(channel, message, detail, at=self._now())

    async def aclose(self) -> None:
        """See `Notifier.aclose`."""
        for channel in self._channels.values():
            await channel.aclose()

    async def _sent(self, name: str, message: Message) -> str:
        channel = self._channels.get(name)
        if channel is None:
            known = ", ".join(sorted(self._channels)) or "none"
            raise UndeliveredError(f"there is no channel {name}; known: {known}", retryable=False)
        config = self._configs[name]
        outside = public(config)
        links = self._links(message, config.person) if self._links and not outside else {}
        note = noted(message, name, public=self._words.public if outside else None, links=links)
        return await channel.send(note)

    def _delivery(
        self, channel: str, message: Message, detail: str, at: datetime | None = None
    ) -> Delivery:
        return Delivery(
            channel=channel,
            kind=message.kind.value,
            key=message.key,
            rollback_id=message.rollback_id,
            delivered=at is not None,
            occurred_at=message.occurred_at,
            delivered_at=at,
            detail=detail[:_LONGEST_DETAIL],
        )


def made(config: ChannelConfig) -> Channel:
    """The channel that a configuration describes. Nothing is connected to yet."""
    seconds = config.timeout_seconds
    if config.slack is not None:
        return SlackChannel(config.slack, timeout_seconds=seconds)
    if config.pagerduty is not None:
        return PagerDutyChannel(config.pagerduty, timeout_seconds=seconds)
    if config.email is not None:
        return MailChannel(config.email, timeout_seconds=seconds)
    if config.statuspage is not None:
        return StatuspageChannel(config.statuspage, timeout_seconds=seconds)
    if config.url is not None:
        secret = config.secret.get_secret_value() if config.secret else ""
        return WebhookChannel(config.url.get_secret_value(), secret, timeout_seconds=seconds)
    return LogChannel()
