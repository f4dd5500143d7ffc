"""What a post-mortem is made from, who completes it, and by when."""

from datetime import datetime

from pydantic import Field

from failback.models.common import Payload
from failback.models.decision import AssessmentEvidence
from failback.models.messages import Delivery
from failback.models.rollback import RollbackResult


class AlertFact(Payload):
    """One alert that led to a rollback or came while it ran."""

    name: str
    source: str = ""
    severity: str = ""
    status: str = ""
    starts_at: datetime | None = None
    received_at: datetime
    summary: str = ""
    value: float | None = None


class ReadingFact(Payload):
    """What one rule said."""

    rule: str
    verdict: str
    value: float | None = None
    threshold: float | None = None
    since: datetime | None = None
    explanation: str = ""


class DecisionFact(Payload):
    """One decision as the audit log has it."""

    at: datetime
    decision: str
    level: int = 0
    action: str = ""
    why: str = ""
    mode: str = ""
    basis: str = ""
    conclusive: bool = True
    explanation: str = ""
    readings: tuple[ReadingFact, ...] = ()


class Completion(Payload):
    """Who marked a post-mortem complete."""

    who: str
    role: str = ""
    comment: str = ""
    at: datetime


class PostMortemFacts(Payload):
    """Everything that the document says, but for what people write into it."""

    result: RollbackResult
    alerts: tuple[AlertFact, ...] = ()
    """At most some dozen; `alerts_total` counts all of them."""
    alerts_total: int = 0
    decisions: tuple[DecisionFact, ...] = ()
    evidence: AssessmentEvidence | None = None
    """The metrics before and during the rollback, as the metric store still has them."""
    deliveries: tuple[Delivery, ...] = ()
    unknown: tuple[str, ...] = ()
    """What could not be read, and why: a gap in the record is not a quiet night."""
    written_at: datetime
    due_at: datetime
    completion: Completion | None = None


class PostMortemRequest(Payload):
    """Starts the workflow that sees one post-mortem through."""

    result: RollbackResult


class WritePostMortemRequest(Payload):
    """Write a document, or write it anew with what is known since."""

    result: RollbackResult
    completion: Completion | None = None


class WrittenPostMortem(Payload):
    """Where a document is, and when people are to be reminded of it."""

    markdown: str
    html: str
    due_at: datetime
    remind_after_seconds: tuple[float, ...] = ()
    remind_every_seconds: float = 86_400.0
    findings: int = 0
    """How many things there are to look into."""


class PostMortemStatus(Payload):
    """Where one post-mortem stands."""

    rollback_id: str
    estate: str
    ended_at: datetime
    due_at: datetime | None = None
    markdown: str = ""
    html: str = ""
    findings: int = 0
    reminded: int = 0
    completion: Completion | None = None
    in_time: bool | None = None
    """Whether it was completed by its time; None while it is open and still may be."""


class PostMortemList(Payload):
    """The post-mortems of an estate, the newest first."""

    post_mortems: tuple[PostMortemStatus, ...] = Field(default_factory=tuple)
