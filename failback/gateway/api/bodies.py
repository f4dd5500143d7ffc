"""What the operator API is asked and answers, besides the payloads that workflows use."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from failback.models.audit import AuditEntry
from failback.models.recovery import GateVerb, RecoveryGate
from failback.models.rollback import RecordedDecision, RollbackStatus


class Asked(BaseModel):
    """Base of what clients send: a key that nobody reads is an error, not a wish dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Answered(BaseModel):
    """Base of what clients are answered."""

    model_config = ConfigDict(frozen=True)


Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]


class StartRollback(Asked):
    """Starts a rollback of a level; who asks is the token's holder."""

    level: Literal[1, 2, 3, 4]
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Decide(Asked):
    """A decision of the token's holder about a rollback."""

    role: Annotated[str, StringConstraints(max_length=100)] = ""
    """The role that decides; may be left out where the holder has just one."""
    comment: Text = ""
    plan_hash: Annotated[str, StringConstraints(pattern="^([0-9a-f]{64})?$")] = ""
    """The plan that was looked at, as the rollback's status tells it."""


class Approve(Decide):
    """An approval, which is always of one plan."""

    plan_hash: Annotated[str, StringConstraints(pattern="^[0-9a-f]{12,64}$")]


class RaiseLevel(Asked):
    """Lets a higher level take a rollback over; who wants it is the token's holder."""

    level: Literal[3, 4]
    role: Annotated[str, StringConstraints(max_length=100)] = ""
    """The role that decides; may be left out where the holder has just one."""
    comment: Text = ""
    """Why; the higher level's reason, which is the rollback's own where it is left out."""


class AnswerGate(Asked):
    """The answer of the token's holder at a gate of a recovery."""

    verb: GateVerb
    role: Annotated[str, StringConstraints(max_length=100)] = ""
    """The role that answers; may be left out where the holder has just one."""
    reason: Text = ""
    """Why; to skip and to abort need one."""


class EventType(StrEnum):
    """What happened that no metric tells."""

    CUSTOMER_COMPLAINT = "customer_complaint"
    DATA_CORRUPTION = "data_corruption"


class ReportEvent(Asked):
    """One event that the decision counts."""

    type: EventType
    occurred_at: AwareDatetime | None = None
    """The present where it is left out."""
    detail: Text = ""
    reference: Annotated[str, StringConstraints(max_length=200)] = ""
    """The ticket, or whatever it can be found by."""


class RollbackList(Answered):
    """Rollbacks, the newest first."""

    rollbacks: tuple[RollbackStatus, ...]


class DecisionTaken(Answered):
    """A decision as it was recorded."""

    rollback_id: str
    decision: RecordedDecision


class Cancelled(Answered):
    """A rollback that was cancelled; what it did is being undone."""

    rollback_id: str


class WaitingGate(Answered):
    """A gate that waits for an answer."""

    rollback_id: str
    gate: RecoveryGate


class GateList(Answered):
    """Gates that wait for people."""

    gates: tuple[WaitingGate, ...]


class EntryList(Answered):
    """Entries of the audit log, in its order."""

    entries: tuple[AuditEntry, ...]


class EventKept(Answered):
    """An event that stands in the audit log."""

    sequence: int
    hash: str
    at: datetime


class Finding(Answered):
    """One question about one part, its answer, and the cure where the answer is no."""

    part: str
    question: str
    answer: Literal["yes", "no", "unknown"]
    detail: str = ""
    cure: str = ""


class Readiness(Answered):
    """What `failback check` says."""

    estate: str
    answer: Literal["yes", "no", "unknown"]
    looked_at: datetime
    findings: tuple[Finding, ...]


class Problem(Answered):
    """Why a request was refused, as RFC 9457 writes it."""

    type: str
    title: str
    status: int
    detail: str
    cure: str
    request_id: str
