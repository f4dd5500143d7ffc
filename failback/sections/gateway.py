"""Who may talk to the gateway, and how much."""

from pathlib import Path
from typing import Annotated, Literal, Self

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from failback.sections.base import Section


def _compiles(expression: str) -> str:
    try:
        jmespath.compile(expression)
    except JMESPathError as error:
        raise ValueError(f"{expression!r} is no JMESPath expression: {error}") from error
    return expression


Expression = Annotated[str, AfterValidator(_compiles)]
"""A JMESPath expression (jmespath.org)."""

Secrets = Annotated[tuple[SecretStr, ...], Field(min_length=1)]
"""Every one is accepted, so that a new one can be brought in before the old one is taken out."""


class BearerWebhookConfig(Section):
    """A sender that shows a bearer token."""

    tokens: Secrets
    """What `Authorization: Bearer …` may hold."""


class GrafanaWebhookConfig(Section):
    """Grafana signs its messages, or shows a bearer token."""

    secrets: tuple[SecretStr, ...] = ()
    """Keys of the HMAC signature; with one, every message must be signed."""
    tokens: tuple[SecretStr, ...] = ()
    """Bearer tokens; with one, every message must show one, signed or not."""
    signature_header: str = "X-Grafana-Alerting-Signature"
    timestamp_header: str = "X-Grafana-Alerting-Timestamp"
    """Where the signed time is; empty where Grafana is not told to send one."""

    @model_validator(mode="after")
    def _something_to_show(self) -> Self:
        if not self.secrets and not self.tokens:
            raise ValueError("Grafana needs a secret to sign with (secrets) or a bearer token")
        return self


class PagerDutyWebhookConfig(Section):
    """PagerDuty's generic webhooks, version 3."""

    secrets: Secrets
    """Signing secrets of the subscriptions."""


class CloudWatchWebhookConfig(Section):
    """CloudWatch alarms by SNS, which signs them with Amazon's certificate."""

    topics: Annotated[tuple[str, ...], Field(min_length=1)]
    """ARNs of the topics that are listened to."""


class GenericFieldsConfig(Section):
    """Where an alert's parts are, looked for in each item of `alerts`."""

    name: Expression = "name"
    fingerprint: Expression = "fingerprint"
    status: Expression = "status"
    severity: Expression = "severity"
    starts_at: Expression = "starts_at"
    ends_at: Expression = "ends_at"
    summary: Expression = "summary"
    labels: Expression = "labels"
    value: Expression = "value"
    url: Expression = "url"


class GenericWebhookConfig(BearerWebhookConfig):
    """Any other sender of JSON."""

    alerts: Expression = "@"
    """The list of alerts in a body, or the one alert."""
    fields: GenericFieldsConfig = GenericFieldsConfig()
    resolved: tuple[str, ...] = ("resolved", "ok", "recovered", "closed")
    """What `status` says once it is over, in any case of letters; anything else is firing."""


class WebhooksConfig(Section):
    """Whose alerts are taken. A sender that is left out finds no path."""

    alertmanager: BearerWebhookConfig | None = None
    grafana: GrafanaWebhookConfig | None = None
    pagerduty: PagerDutyWebhookConfig | None = None
    datadog: BearerWebhookConfig | None = None
    cloudwatch: CloudWatchWebhookConfig | None = None
    generic: GenericWebhookConfig | None = None
    max_age_seconds: float = Field(default=7200.0, gt=0, le=43_200)
    """A message that says when it was sent is refused after so long, as replayed.

    SNS repeats for an hour at most, and a repeat tells the time of the first attempt.
    """


class ApiTokenConfig(Section):
    """One holder of an API token."""

    name: str = Field(min_length=1, max_length=100)
    """Who decides with it: for approvals, a name of `approvals.people`."""
    role: Literal["viewer", "operator", "approver"]
    token: SecretStr | None = None
    sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    """The token's SHA-256 instead of the token, as `failback gateway --new-token` prints it."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.token is None) == (not self.sha256):
            raise ValueError(f"the API token of {self.name} needs either token or sha256")
        if self.token is not None and len(self.token.get_secret_value()) < MINIMUM_TOKEN:
            raise ValueError(
                f"the API token of {self.name} is shorter than {MINIMUM_TOKEN} characters"
            )
        return self


MINIMUM_TOKEN = 16


class LimitsConfig(Section):
    """How much one sender may ask for."""

    body_bytes: int = Field(default=1_048_576, ge=1024, le=104_857_600)
    body_seconds: float = Field(default=10.0, gt=0)
    """A body that takes longer to arrive is given up."""
    depth: int = Field(default=32, ge=4, le=256)
    """How deeply JSON may be nested."""
    alerts: int = Field(default=10_000, ge=1)
    """Alerts of one body."""
    burst: int = Field(default=2000, ge=1)
    """Requests of one sender at once."""
    per_second: float = Field(default=200.0, gt=0)
    """Requests a second of one sender that go on for long."""


class GatewayConfig(Section):
    """The HTTP door of an estate."""

    address: str = "127.0.0.1:8080"
    public_url: str = ""
    """The gateway as people's browsers reach it."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    """Addresses whose `X-Forwarded-For` says who the sender is."""
    webhooks: WebhooksConfig = WebhooksConfig()
    tokens: tuple[ApiTokenConfig, ...] = ()
    limits: LimitsConfig = LimitsConfig()
    handover_seconds: float = Field(default=3.0, gt=0, le=30)
    """Where Temporal has not accepted after so long, the sender is asked to repeat."""

    @field_validator("address")
    @classmethod
    def _has_host_and_port(cls, address: str) -> str:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f"{address!r} is not host:port")
        return address

    @field_validator("public_url")
    @classmethod
    def _is_a_base(cls, url: str) -> str:
        if url and not url.startswith(("https://", "http://")):
            raise ValueError(f"{url!r} is no http:// or https:// address")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _tokens_have_different_names(self) -> Self:
        names = [token.name for token in self.tokens]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two API tokens are called {name}")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self
