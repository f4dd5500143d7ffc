"""The audit log's entries: append-only, chained by hash, read by people and by the post-mortem."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field, JsonValue

from failback.models.common import Payload


class EntryKind(StrEnum):
    """What an entry tells of."""

    ALERT = "alert"
    DECISION = "decision"
    APPROVAL = "approval"
    ROLLBACK = "rollback"
    NOTIFICATION = "notification"
    EVENT = "event"
    """A customer's complaint, a corruption: what is counted and has no metric."""
    INVESTIGATION = "investigation"
    POST_MORTEM = "post_mortem"
    PAUSE = "pause"
    """An activity of the migration that is paused, kept so or resumed."""


class NewEntry(Payload):
    """What is to be written."""

    kind: EntryKind
    key: str
    """Unique within its kind: the same entry, written twice, stands once."""
    at: datetime
    who: str = ""
    subject: str = ""
    """What it is about: a rollback id, an alert's key, an event's type."""
    body: dict[str, JsonValue] = Field(default_factory=dict)
    """Facts without secrets, at most some kilobytes."""


class AuditEntry(NewEntry):
    """An entry as it stands in the log."""

    sequence: int
    previous_hash: str
    hash: str
    """SHA-256 over the previous hash and this entry's canonical JSON, hexadecimal."""


class AuditVerdict(Payload):
    """Whether the log is whole."""

    entries: int
    intact: bool
    broken_at: int | None = None
    """The sequence of the first entry that does not fit its chain."""
    head: str = ""
    """`SEQUENCE:HASH` of the newest entry; noted elsewhere, it shows that nothing was cut off."""
    explanation: str = ""


class RecordRequest(Payload):
    """Entries to be written, in this order."""

    entries: tuple[NewEntry, ...]


class RecordReport(Payload):
    """How many entries stand in the log now that were asked for."""

    entries: int = 0
    last_sequence: int = 0
