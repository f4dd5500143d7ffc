"""The decision matrix, the evidence that it is asked about, and its answer with every number."""

from datetime import datetime
from enum import StrEnum

from failback.models.common import Payload


class DecisionKind(StrEnum):
    """What is to be done, in the words of the specification."""

    IMMEDIATE_ROLLBACK = "IMMEDIATE_ROLLBACK"
    ROLLBACK_WITH_APPROVAL = "ROLLBACK_WITH_APPROVAL"
    PAUSE_AND_INVESTIGATE = "PAUSE_AND_INVESTIGATE"
    CONTINUE_MIGRATION = "CONTINUE_MIGRATION"


class RuleClass(StrEnum):
    """How grave it is when a rule fires; the highest class that fires wins."""

    CRITICAL = "critical"
    WARNING = "warning"
    INVESTIGATE = "investigate"

    @property
    def rank(self) -> int:
        """Higher is graver."""
        return {"critical": 3, "warning": 2, "investigate": 1}[self.value]


class Mode(StrEnum):
    """How far an estate lets failback act by itself."""

    OBSERVE = "observe"
    """Decide and record."""
    RECOMMEND = "recommend"
    """Decide, record, and tell people what to do."""
    APPROVE = "approve"
    """Start what was decided; every rollback waits for its approval."""
    AUTOMATIC = "automatic"
    """Immediate rollbacks act at once."""


class RuleVerdict(StrEnum):
    """What is known about one rule. Missing data is never health."""

    FIRED = "fired"
    CLEAR = "clear"
    INCONCLUSIVE = "inconclusive"


class Rule(Payload):
    """One row of the decision matrix."""

    name: str
    """Unique, such as `error_rate_critical`."""
    rule_class: RuleClass
    metric: str
    """Key of the evidence, such as `error_rate`."""
    comparison: str = ">"
    """`>`, `>=`, `<` or `<=`, value against threshold."""
    threshold: float
    unit: str = ""
    sustained_seconds: float = 0.0
    """For so long without a break; 0 asks only about the newest value."""
    within_seconds: float = 0.0
    """For events: counted over so long. 0 where the rule is not about events."""
    decision: DecisionKind
    level: int = 0
    """The rollback level that its decision starts; 0 for none."""


class MetricEvidence(Payload):
    """What one metric was over a stretch of time, as its store answered. Times are UTC."""

    metric: str
    start: datetime
    end: datetime
    step_seconds: float
    samples: tuple[tuple[float, float], ...] = ()
    """(Unix seconds, value), ascending; both ends of the range included.

    A time is one at which the value was true: what a store only repeats of an older sample is
    left out, and so is what is no number.
    """
    error: str = ""
    """Why the store did not answer; empty where it did."""
    note: str = ""
    """What whoever computed it has to say about the newest sample."""


class EventEvidence(Payload):
    """How often something happened, by failback's own durable record."""

    metric: str
    times: tuple[datetime, ...] = ()
    error: str = ""


class AssessmentEvidence(Payload):
    """Everything that one decision is taken from."""

    at: datetime
    metrics: tuple[MetricEvidence, ...] = ()
    events: tuple[EventEvidence, ...] = ()
    rules: tuple[Rule, ...] = ()
    """The matrix that it was gathered for, so that the same matrix judges it."""


class GatherEvidenceRequest(Payload):
    """Asks for everything that a matrix needs to know."""

    at: datetime | None = None
    """The moment that is asked about; the present of the activity where it is None."""
    rules: tuple[Rule, ...] = ()
    """The matrix; empty takes the one that the worker is configured with."""


class RuleReading(Payload):
    """One rule's answer, with its numbers."""

    rule: Rule
    verdict: RuleVerdict
    value: float | None = None
    since: datetime | None = None
    """Since when the threshold has been passed without a break, as far as samples are there."""
    explanation: str = ""


class Assessment(Payload):
    """What the matrix says, with every rule's numbers."""

    at: datetime
    decision: DecisionKind
    level: int = 0
    rule_class: RuleClass | None = None
    readings: tuple[RuleReading, ...] = ()
    conclusive: bool = True
    """False where a rule that could have decided higher had no evidence."""
    basis: str = "metrics"
    """`metrics`, or `alert` where the store did not answer and the alert's own word was taken."""
    explanation: str = ""
