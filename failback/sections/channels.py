"""Where people are told, and who is told of what."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from failback.models.messages import Audience, MessageKind
from failback.sections.base import Section

_A = Audience
_STAKEHOLDERS = tuple(audience for audience in Audience if not audience.public)

DEFAULT_AUDIENCES: dict[MessageKind, tuple[Audience, ...]] = {
    MessageKind.AUTOMATIC_ROLLBACK_INITIATED: (
        _A.ON_CALL_ENGINEER,
        _A.ENGINEERING_LEAD,
        _A.EXECUTIVES,
    ),
    MessageKind.APPROVAL_NEEDED: (_A.ON_CALL_ENGINEER, _A.ENGINEERING_LEAD),
    MessageKind.INVESTIGATION_OPENED: (_A.ON_CALL_ENGINEER, _A.ENGINEERING_TEAM, _A.DATA_TEAM),
    MessageKind.RECOMMENDATION: (_A.ON_CALL_ENGINEER, _A.ENGINEERING_LEAD),
    MessageKind.ROLLBACK_STARTED: (*_STAKEHOLDERS, _A.CUSTOMERS, _A.STATUS_PAGE),
    MessageKind.TRAFFIC_RESTORED: (*_STAKEHOLDERS, _A.CUSTOMERS, _A.STATUS_PAGE),
    MessageKind.ROLLBACK_SUCCEEDED: (*_STAKEHOLDERS, _A.CUSTOMERS, _A.STATUS_PAGE),
    MessageKind.ROLLBACK_FAILED: (*_STAKEHOLDERS, _A.STATUS_PAGE),
    MessageKind.ROLLBACK_WITHDRAWN: (_A.ON_CALL_ENGINEER, _A.ENGINEERING_LEAD),
    MessageKind.POST_MORTEM_DUE: (_A.ON_CALL_ENGINEER, _A.ENGINEERING_LEAD),
    MessageKind.POST_MORTEM_COMPLETED: (_A.ON_CALL_ENGINEER, _A.ENGINEERING_LEAD),
    MessageKind.ARCHIVE_BEHIND: (_A.ON_CALL_ENGINEER, _A.DATA_TEAM),
    MessageKind.BACKUP_FAILED: (_A.ON_CALL_ENGINEER, _A.DATA_TEAM),
    MessageKind.TEST: tuple(Audience),
}
"""Who is told of what, where neither the alert nor the configuration says otherwise."""

DEFAULT_ALERTS: dict[str, tuple[Audience, ...]] = {
    "CriticalErrorRateHigh": (_A.ON_CALL_ENGINEER, _A.ENGINEERING_LEAD, _A.EXECUTIVES),
    "ResponseTimeCritical": (_A.ON_CALL_ENGINEER, _A.ENGINEERING_LEAD),
    "DataSyncFailure": (_A.ENGINEERING_TEAM, _A.DATA_TEAM),
    "AuthenticationFailure": (_A.ON_CALL_ENGINEER, _A.PRODUCT_TEAM, _A.EXECUTIVES),
}
"""Who is told of what an alert led to, by the specification."""


class SlackConfig(Section):
    """A Slack channel: an incoming webhook, or a bot with the scope `chat:write`."""

    webhook_url: SecretStr | None = None
    token: SecretStr | None = None
    channel: str = ""
    """The bot's channel, by its id."""
    api_url: str = "https://slack.com/api"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.webhook_url is None) == (self.token is None):
            raise ValueError("name either webhook_url, or token and channel")
        if self.token is not None and not self.channel:
            raise ValueError("a token needs the channel that it posts to")
        _web_address(self.webhook_url, "webhook_url")
        _web_address(self.api_url, "api_url")
        return self


class PagerDutyConfig(Section):
    """An integration of a PagerDuty service, of the kind Events API v2."""

    routing_key: SecretStr
    url: str = "https://events.pagerduty.com/v2/enqueue"

    @model_validator(mode="after")
    def _on_the_web(self) -> Self:
        _web_address(self.url, "url")
        return self


class EmailConfig(Section):
    """A mail server, and who gets mail from it."""

    host: str
    port: int | None = Field(default=None, gt=0, lt=65536)
    """Left out: 465 with `tls: implicit`, 587 with `starttls`, 25 with `none`."""
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_file: Path | None = None
    """Certificates that the server's is checked against; the system's own where left out."""
    user: str = ""
    password: SecretStr | None = None
    sender: str
    recipients: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _password_stays_secret(self) -> Self:
        if self.password is not None and not self.user:
            raise ValueError("a password needs its user")
        if self.password is not None and self.tls == "none":
            raise ValueError("a password is not sent without TLS: use starttls or implicit")
        for address in (self.sender, *self.recipients):
            if "@" not in address or any(mark in address for mark in "\r\n"):
                raise ValueError(f"{address!r} is no mail address")
        return self


class StatuspageConfig(Section):
    """A page of Atlassian Statuspage."""

    page: str = Field(pattern=r"^[A-Za-z0-9]+$")
    """The page's id."""
    api_key: SecretStr
    components: tuple[str, ...] = ()
    """Ids of the components that are shown as affected while an incident is open."""
    api_url: str = "https://api.statuspage.io/v1"

    @model_validator(mode="after")
    def _on_the_web(self) -> Self:
        _web_address(self.api_url, "api_url")
        return self


ChannelKind = Literal["log", "webhook", "slack", "pagerduty", "email", "statuspage"]


class ChannelConfig(Section):
    """One channel: what it is, who reads it."""

    kind: ChannelKind = "log"
    audiences: tuple[Audience, ...] = ()
    """Who reads it; left out, it hears every message."""
    person: str = ""
    """The one person whose channel it is: requests for approval bring that person's own link."""
    deadline_seconds: float | None = Field(default=None, gt=0)
    """Left out: that of its audiences (`messages.deadlines`)."""
    timeout_seconds: float = Field(default=5.0, gt=0)
    """For one try."""
    url: SecretStr | None = None
    """Where a webhook posts to."""
    secret: SecretStr | None = None
    """Key of a webhook's signature; unsigned where left out."""
    slack: SlackConfig | None = None
    pagerduty: PagerDutyConfig | None = None
    email: EmailConfig | None = None
    statuspage: StatuspageConfig | None = None

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> Self:
        sections = {
            "slack": self.slack,
            "pagerduty": self.pagerduty,
            "email": self.email,
            "statuspage": self.statuspage,
        }
        for name, section in sections.items():
            if name == self.kind and section is None:
                raise ValueError(f"a channel of kind {name} needs its section {name}")
            if name != self.kind and section is not None:
                raise ValueError(f"a channel of kind {self.kind} has no section {name}")
        if self.kind != "webhook" and (self.url is not None or self.secret is not None):
            raise ValueError(f"url and secret are for kind webhook; this channel is {self.kind}")
        if self.kind == "webhook":
            _web_address(self.url, "url")
        if self.person and any(audience.public for audience in self.audiences):
            raise ValueError("a person's channel is not for the public")
        return self


class DeadlinesConfig(Section):
    """Within what time people must have been told, measured from what happened."""

    stakeholders_seconds: float = Field(default=30.0, gt=0)
    status_page_seconds: float = Field(default=60.0, gt=0)
    customers_seconds: float = Field(default=300.0, gt=0)

    def of(self, audience: Audience) -> float:
        """The deadline of one audience, in seconds."""
        if audience is Audience.CUSTOMERS:
            return self.customers_seconds
        if audience is Audience.STATUS_PAGE:
            return self.status_page_seconds
        return self.stakeholders_seconds


class PublicTextConfig(Section):
    """What people outside the company read of one kind of message."""

    subject: str = Field(min_length=1, max_length=120)
    text: str = Field(min_length=1)


class MessagesConfig(Section):
    """Who is told of what, by when, and in which words."""

    audiences: dict[MessageKind, tuple[Audience, ...]] = Field(default_factory=dict)
    """By kind of message; a kind that is not named keeps its own."""
    alerts: dict[str, tuple[Audience, ...]] = Field(default_factory=dict)
    """By the name of the alert that led to a message; wins over its kind."""
    public: dict[MessageKind, PublicTextConfig] = Field(default_factory=dict)
    """Other words for customers and the status page."""
    deadlines: DeadlinesConfig = DeadlinesConfig()
    give_up_seconds: float = Field(default=3600.0, gt=0)
    """A channel that does not answer is tried again for so long."""

    @field_validator("public")
    @classmethod
    def _public_kinds_only(
        cls, public: dict[MessageKind, PublicTextConfig]
    ) -> dict[MessageKind, PublicTextConfig]:
        for kind in public:
            if not any(audience.public for audience in DEFAULT_AUDIENCES[kind]):
                raise ValueError(f"{kind.value} is never told to the public")
        return public

    def audiences_of(self, kind: MessageKind, alert: str = "") -> tuple[Audience, ...]:
        """Who is told of a kind of message, or of what an alert led to."""
        by_alert = {**DEFAULT_ALERTS, **self.alerts}
        if alert in by_alert:
            return by_alert[alert]
        return self.audiences.get(kind, DEFAULT_AUDIENCES[kind])


def _web_address(address: SecretStr | str | None, key: str) -> None:
    """Refuse what nothing can be posted to; the text holds no address, which may be a secret."""
    text = address.get_secret_value() if isinstance(address, SecretStr) else address
    if text is None and key == "url":
        raise ValueError("a webhook needs its url")
    if text is not None and not text.startswith(("http://", "https://")):
        raise ValueError(f"{key} is no http or https address")
