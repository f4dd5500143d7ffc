"""One door for each sender of alerts: who it is, proved, and then what it says."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Protocol

from pydantic import SecretStr
from starlette.datastructures import Headers

from failback.errors import WebhookError
from failback.gateway import sns
from failback.gateway.bodies import JSON_TYPES, parsed
from failback.gateway.parsers import (
    GenericParser,
    Parser,
    Reading,
    read_alertmanager,
    read_cloudwatch,
    read_datadog,
    read_grafana,
    read_pagerduty,
)
from failback.gateway.parsers.reading import shaped
from failback.gateway.refusals import RefusedError
from failback.gateway.signatures import (
    demand_bearer,
    demand_hmac,
    demand_recent,
    seconds_since_1970,
)
from failback.gateway.sns import AmazonVisits, SnsMessage, SnsSignatures
from failback.models.alerts import AlertSource
from failback.sections.gateway import GatewayConfig, GrafanaWebhookConfig, LimitsConfig

logger = logging.getLogger("failback.gateway")

PAGERDUTY_HEADER = "X-PagerDuty-Signature"
_PAGERDUTY_SCHEME = "v1="

Clock = Callable[[], datetime]


class Sender(Protocol):
    """One sender of alerts."""

    media_types: frozenset[str]
    """What it sends, besides what is called JSON by its name."""

    def admit(self, headers: Headers) -> None:
        """Refuse, before its body is read, who cannot be the sender."""
        ...

    async def read(self, headers: Headers, body: bytes) -> Reading:
        """Prove who sent a body, and read it.

        Raises:
            RefusedError: somebody else, or long ago, or no JSON.
            WebhookError: it is not what this sender sends.
            UnreachableError: what the proof needs cannot be reached.
        """
        ...


class BearerSender:
    """Shows a bearer token.

    Args:
        tokens: any of them lets in.
        parse: reads its JSON.
        config: limits and the age of messages that say when they were sent.
        clock: the time in UTC.
    """

    media_types = JSON_TYPES

    def __init__(
        self, tokens: tuple[SecretStr, ...], parse: Parser, config: GatewayConfig, clock: Clock
    ) -> None:
        self._tokens = tokens
        self._parse = parse
        self._limits = config.limits
        self._max_age = config.webhooks.max_age_seconds
        self._clock = clock

    def admit(self, headers: Headers) -> None:
        """See `Sender.admit`."""
        demand_bearer(headers, self._tokens)

    async def read(self, headers: Headers, body: bytes) -> Reading:  # noqa: ARG002 - the protocol's
        """See `Sender.read`."""
        now = self._clock()
        return _recent(self._parse(parsed(body, self._limits), now), now, self._max_age)


class GrafanaSender:
    """Signs the body, or the time and the body, or shows a bearer token.

    Source: grafana.com/docs, "Configure webhook notifications", HMAC signature.

    Args:
        grafana: secrets, tokens and names of headers.
        config: limits and the age of messages.
        clock: the time in UTC.
    """

    media_types = JSON_TYPES

    def __init__(self, grafana: GrafanaWebhookConfig, config: GatewayConfig, clock: Clock) -> None:
        self._grafana = grafana
        self._limits = config.limits
        self._max_age = config.webhooks.max_age_seconds
        self._clock = clock

    def admit(self, headers: Headers) -> None:
        """See `Sender.admit`."""
        if self._grafana.tokens:
            demand_bearer(headers, self._grafana.tokens)
        if self._grafana.secrets:
            self._signed_at(headers)

    async def read(self, headers: Headers, body: bytes) -> Reading:
        """See `Sender.read`."""
        now = self._clock()
        if self._grafana.secrets:
            header = self._grafana.signature_header
            at = self._signed_at(headers)
            told = headers.get(self._grafana.timestamp_header, "") if at else ""
            message = told.encode() + b":" + body if at else body
            demand_hmac([headers.get(header, "")], self._grafana.secrets, message, header)
            if at is not None:
                demand_recent(at, now, self._max_age)
        return read_grafana(parsed(body, self._limits), now)

    def _signed_at(self, headers: Headers) -> datetime | None:
        """The signed time; None where this Grafana sends none."""
        name = self._grafana.timestamp_header
        if not name:
            return None
        at = seconds_since_1970(headers.get(name, ""))
        if at is None:
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                f"There is no signed time in {name}.",
                "Set the contact point's timestamp header to this name, or empty gateway.webhooks."
                "grafana.timestamp_header and accept that messages can be replayed.",
                {"WWW-Authenticate": "Signature"},
            )
        return at


class PagerDutySender:
    """Signs the body, with several keys while they are being changed.

    Args:
        secrets: signing secrets of the subscriptions.
        config: limits and the age of messages.
        clock: the time in UTC.
    """

    media_types = JSON_TYPES

    def __init__(self, secrets: tuple[SecretStr, ...], config: GatewayConfig, clock: Clock) -> None:
        self._secrets = secrets
        self._limits = config.limits
        self._max_age = config.webhooks.max_age_seconds
        self._clock = clock

    def admit(self, headers: Headers) -> None:
        """See `Sender.admit`."""
        if not _pagerduty_signatures(headers):
            demand_hmac([], (), b"", PAGERDUTY_HEADER)

    async def read(self, headers: Headers, body: bytes) -> Reading:
        """See `Sender.read`."""
        demand_hmac(_pagerduty_signatures(headers), self._secrets, body, PAGERDUTY_HEADER)
        now = self._clock()
        return _recent(read_pagerduty(parsed(body, self._limits), now), now, self._max_age)


def _pagerduty_signatures(headers: Headers) -> list[str]:
    """Signatures of the version that we know; those of others are passed over."""
    told = (one.strip() for one in headers.get(PAGERDUTY_HEADER, "").split(","))
    return [
        one.removeprefix(_PAGERDUTY_SCHEME) for one in told if one.startswith(_PAGERDUTY_SCHEME)
    ]


class CloudWatchSender:
    """Amazon SNS, which signs with a certificate.

    Args:
        topics: ARNs that are listened to.
        visits: fetches certificates, and confirms subscriptions.
        config: limits and the age of messages.
        clock: the time in UTC.
    """

    media_types = frozenset({"application/json", "text/plain"})

    def __init__(
        self, topics: tuple[str, ...], visits: AmazonVisits, config: GatewayConfig, clock: Clock
    ) -> None:
        self._topics = topics
        self._visits = visits
        self._signatures = SnsSignatures(visits)
        self._limits: LimitsConfig = config.limits
        self._max_age = config.webhooks.max_age_seconds
        self._clock = clock

    def admit(self, headers: Headers) -> None:
        """See `Sender.admit`."""
        if headers.get("x-amz-sns-rawdelivery", "").lower() == "true":
            raise WebhookError(
                "The subscription delivers raw messages, which nobody signs.",
                "Turn raw message delivery of the SNS subscription off.",
            )

    async def read(self, headers: Headers, body: bytes) -> Reading:  # noqa: ARG002 - the protocol's
        """See `Sender.read`."""
        now = self._clock()
        message = shaped(SnsMessage, parsed(body, self._limits), "Amazon SNS")
        if message.topic not in self._topics:
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "The message is of a topic that is not listened to.",
                "Add its ARN to gateway.webhooks.cloudwatch.topics.",
            )
        demand_recent(message.sent_at, now, self._max_age)
        await self._signatures.demand(message, now)
        if message.kind == "SubscriptionConfirmation":
            await sns.confirm_subscription(message, self._visits)
            logger.info("subscribed to %s", message.topic)
            return Reading(note="the subscription is confirmed")
        if message.kind == "UnsubscribeConfirmation":
            logger.warning(
                "the subscription to %s has ended: no alarm of it arrives", message.topic
            )
            return Reading(note="the subscription has ended")
        return read_cloudwatch(_inner(message.message, self._limits), now)


def _inner(message: str, limits: LimitsConfig) -> object:
    """The JSON inside a notification's text."""
    try:
        return parsed(message.encode(), limits)
    except RefusedError as error:
        raise WebhookError(
            "The notification's message is no alarm of CloudWatch.",
            "Send alarms alone to this topic.",
        ) from error


def _recent(reading: Reading, now: datetime, max_age_seconds: float) -> Reading:
    if reading.sent_at is not None:
        demand_recent(reading.sent_at, now, max_age_seconds)
    return reading


def senders_of(
    config: GatewayConfig, visits: AmazonVisits, clock: Clock = lambda: datetime.now(UTC)
) -> Mapping[AlertSource, Sender]:
    """A door for each sender that is configured."""
    hooks = config.webhooks
    found: dict[AlertSource, Sender] = {}
    if hooks.alertmanager:
        found[AlertSource.ALERTMANAGER] = BearerSender(
            hooks.alertmanager.tokens, read_alertmanager, config, clock
        )
    if hooks.grafana:
        found[AlertSource.GRAFANA] = GrafanaSender(hooks.grafana, config, clock)
    if hooks.pagerduty:
        found[AlertSource.PAGERDUTY] = PagerDutySender(hooks.pagerduty.secrets, config, clock)
    if hooks.datadog:
        found[AlertSource.DATADOG] = BearerSender(hooks.datadog.tokens, read_datadog, config, clock)
    if hooks.cloudwatch:
        found[AlertSource.CLOUDWATCH] = CloudWatchSender(
            hooks.cloudwatch.topics, visits, config, clock
        )
    if hooks.generic:
        found[AlertSource.GENERIC] = BearerSender(
            hooks.generic.tokens, GenericParser(hooks.generic), config, clock
        )
    return found
