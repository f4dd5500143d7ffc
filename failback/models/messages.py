"""What people are told, before a channel gives it its own form."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from failback.models.common import Payload


class MessageKind(StrEnum):
    """What happened that somebody is told of."""

    AUTOMATIC_ROLLBACK_INITIATED = "AUTOMATIC_ROLLBACK_INITIATED"
    APPROVAL_NEEDED = "APPROVAL_NEEDED"
    INVESTIGATION_OPENED = "INVESTIGATION_OPENED"
    RECOMMENDATION = "RECOMMENDATION"
    ROLLBACK_STARTED = "ROLLBACK_STARTED"
    ROLLBACK_SUCCEEDED = "ROLLBACK_SUCCEEDED"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    POST_MORTEM_DUE = "POST_MORTEM_DUE"


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
    """Who it is for, such as `on_call_engineer`; empty means every stakeholder."""
    rollback_id: str = ""
    occurred_at: datetime
    facts: dict[str, str] = Field(default_factory=dict)
    links: dict[str, str] = Field(default_factory=dict)
    """Text of a link and its address; may hold a person's own signed approval link."""


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
