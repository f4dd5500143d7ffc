"""What people are told, before a channel gives it its own form."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from failback.models.common import Payload


class Audience(StrEnum):
    """Whom a message is for; the configuration says on which channels each one reads."""

    ON_CALL_ENGINEER = "on_call_engineer"
    ENGINEERING_LEAD = "engineering_lead"
    EXECUTIVES = "executives"
    ENGINEERING_TEAM = "engineering_team"
    DATA_TEAM = "data_team"
    PRODUCT_TEAM = "product_team"
    CUSTOMERS = "customers"
    STATUS_PAGE = "status_page"

    @property
    def public(self) -> bool:
        """Whether people outside the company read it: they get no internal text."""
        return self in (Audience.CUSTOMERS, Audience.STATUS_PAGE)


class MessageKind(StrEnum):
    """What happened that somebody is told of."""

    AUTOMATIC_ROLLBACK_INITIATED = "AUTOMATIC_ROLLBACK_INITIATED"
    APPROVAL_NEEDED = "APPROVAL_NEEDED"
    INVESTIGATION_OPENED = "INVESTIGATION_OPENED"
    RECOMMENDATION = "RECOMMENDATION"
    ROLLBACK_STARTED = "ROLLBACK_STARTED"
    TRAFFIC_RESTORED = "TRAFFIC_RESTORED"
    """Customers are served by the source again; the rollback still has something to do."""
    ROLLBACK_SUCCEEDED = "ROLLBACK_SUCCEEDED"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    ROLLBACK_WITHDRAWN = "ROLLBACK_WITHDRAWN"
    """Rejected, not approved in time, or cancelled: nothing has moved."""
    POST_MORTEM_DUE = "POST_MORTEM_DUE"
    POST_MORTEM_COMPLETED = "POST_MORTEM_COMPLETED"
    ARCHIVE_BEHIND = "ARCHIVE_BEHIND"
    """Changes are not archived, or some are missing from the archive."""
    BACKUP_FAILED = "BACKUP_FAILED"
    """A scheduled backup was not taken, or does not hold."""
    TEST = "TEST"
    """A person tries a channel."""

    @property
    def closes(self) -> bool:
        """Whether what earlier messages of the same thread asked for is over."""
        return self in _CLOSING

    @property
    def stage(self) -> int:
        """Of two messages about one thing, the one with the higher stage says more."""
        if self in (MessageKind.ROLLBACK_FAILED, *_CLOSING):
            return 2
        return int(self is MessageKind.TRAFFIC_RESTORED)

    @property
    def about_review(self) -> bool:
        """Whether it is about a rollback's post-mortem, and not about the rollback."""
        return self in (MessageKind.POST_MORTEM_DUE, MessageKind.POST_MORTEM_COMPLETED)


_CLOSING = (
    MessageKind.ROLLBACK_SUCCEEDED,
    MessageKind.ROLLBACK_WITHDRAWN,
    MessageKind.POST_MORTEM_COMPLETED,
)


class Message(Payload):
    """One message, for every channel that its audiences read."""

    kind: MessageKind
    key: str
    """Unique for what happened: told twice under one key, it is delivered once."""
    estate: str
    subject: str
    text: str
    severity: str = "info"
    """`info`, `warning` or `critical`."""
    audiences: tuple[str, ...] = ()
    """Who it is for, such as `on_call_engineer`; empty means whom the configuration names for
    the alert, or else for the kind."""
    alert: str = ""
    """Name of the alert that led to it, where one did: its own recipients are told."""
    rollback_id: str = ""
    level: int = 0
    """The rollback's; 0 where it is about none."""
    plan_hash: str = ""
    """What is to be approved, for a request for approval."""
    occurred_at: datetime
    facts: dict[str, str] = Field(default_factory=dict)
    links: dict[str, str] = Field(default_factory=dict)
    """Text of a link and its address. A person's own signed approval link is no part of it: it
    is a secret, and is made where the message is delivered to that person's channel."""

    @property
    def thread(self) -> str:
        """What the message belongs to: a rollback, its post-mortem, or itself alone."""
        if not self.rollback_id:
            return self.key
        about_review = self.kind.about_review
        return f"{self.rollback_id}/post-mortem" if about_review else self.rollback_id


class Address(Payload):
    """One channel that a message goes to."""

    channel: str
    audiences: tuple[str, ...] = ()
    """For whom, of those that the message is for; empty for a channel that hears everything."""
    deadline_seconds: float
    """From what happened to its delivery, by the specification or as configured."""


class DeliveryPlan(Payload):
    """Where one message goes, and for how long that is tried."""

    addresses: tuple[Address, ...] = ()
    give_up_seconds: float = 3600.0


class Delivery(Payload):
    """What became of one message on one channel."""

    channel: str
    kind: str
    delivered: bool
    attempts: int = 1
    occurred_at: datetime
    delivered_at: datetime | None = None
    deadline_seconds: float | None = None
    in_time: bool | None = None
    detail: str = ""
    key: str = ""
    """The message's."""
    rollback_id: str = ""
    audiences: tuple[str, ...] = ()
    retryable: bool = False
    """Whether the same message may be taken later, where it was not delivered."""
    retry_after_seconds: float | None = None
    """How long the vendor asks us to wait before that."""

    @property
    def took_seconds(self) -> float | None:
        """From what happened to the delivery; None where it was not delivered."""
        if self.delivered_at is None:
            return None
        return (self.delivered_at - self.occurred_at).total_seconds()


class DeliverRequest(Payload):
    """Try one channel."""

    message: Message
    address: Address


class DeliveryReport(Payload):
    """What became of one message on all of its channels."""

    deliveries: tuple[Delivery, ...] = ()
