"""How an estate's alerts are answered: what `AlertResponse` is asked, knows, does and tells."""

from datetime import datetime
from enum import StrEnum

from pydantic import ConfigDict, Field

from failback.models.alerts import Alert
from failback.models.common import Level, Payload, Side
from failback.models.decision import Assessment, DecisionKind, Mode
from failback.models.rollback import Phase, RollbackPlan

AUTOMATION = "failback"
"""Who asks for a rollback that no person asked for."""

ALERTS_PER_SIGNAL = 100
"""How many alerts one `alerts_received` should carry at most."""


class ResponsePolicy(Payload):
    """How far failback acts by itself: the worker's configuration at the time of a decision."""

    mode: Mode = Mode.OBSERVE
    evaluate_seconds: float = 15.0
    """How often is decided again while alerts fire, evidence is missing or a rollback runs."""
    cool_down_seconds: float = 1800.0
    """After a rollback people are asked for so long, whatever the decision."""
    automatic_at_most: int = 2
    """Automatic rollbacks within `automatic_within_seconds`; then people are asked."""
    automatic_within_seconds: float = 86_400.0
    level_1_asks: bool = False
    """Whether level 1 has a quorum, so that nothing acts without people."""
    label: str = "action"
    """The label of alerts that is kept while they fire; others are only recorded."""
    people: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Who may close investigations; empty lets anybody."""
    pauses: bool = False
    """Whether there is a hook that pauses migration activities."""


class RollbackSurvey(Payload):
    """The estate's newest rollback, and which side is live, as far as can be seen at once."""

    rollback_id: str = ""
    """Empty where the estate has had none, or it is not known."""
    level: Level | None = None
    running: bool = False
    phase: Phase | None = None
    """How it ended; None while it runs."""
    ended_at: datetime | None = None
    live: Side | None = None
    """Where the balancer sends everything; None where that is mixed or not known."""
    settled: bool = False
    """Whether it has answered everything that alerts: see `acting.is_settled`."""

    @property
    def acted(self) -> bool:
        """Whether it did anything: one that was rejected or cancelled did not."""
        return self.phase in (Phase.DONE, Phase.FAILED)


class AssessRequest(Payload):
    """Asks what is to be done about the alerts that fire."""

    estate: str
    alerts: tuple[Alert, ...] = ()
    """Those that fire, gravest words included; asked where the metric store does not answer."""


class Situation(Payload):
    """Everything that one decision is taken from."""

    assessment: Assessment
    policy: ResponsePolicy
    survey: RollbackSurvey = RollbackSurvey()
    plan: RollbackPlan | None = None
    """Of the assessment's level; None where it starts no rollback."""
    search_attributes: bool = False
    due_at: datetime | None = None
    """When the first threshold that is passed now will have been passed for long enough."""


class ActionKind(StrEnum):
    """What is done about a decision."""

    NOTHING = "nothing"
    OBSERVE = "observe"
    """Recorded, as the mode wants it."""
    RECOMMEND = "recommend"
    """People are told what to do."""
    ROLL_BACK = "roll_back"
    """A rollback starts at once."""
    ASK = "ask"
    """A rollback starts, and waits for its approval."""
    JOIN = "join"
    """A rollback runs already; the alerts are recorded with it."""
    ESCALATE = "escalate"
    """A rollback that waits for people acts at once."""
    INVESTIGATE = "investigate"
    """Migration activities are paused, and a person looks into it."""


class Action(Payload):
    """What is done about a decision, and why that."""

    kind: ActionKind
    why: str


class Escalation(Payload):
    """Asks a rollback that waits for its approval to act at once, as level 1."""

    who: str
    role: str = ""
    comment: str = ""
    evidence: str = ""
    """Digest of the decision that asks for it; empty where a person does."""


class Replan(Payload):
    """Tells a rollback that waits for its approval that what it is approved for has changed."""

    reason: str
    evidence: str = ""
    plan: RollbackPlan | None = None
    """The new plan; None where only the reason and its evidence changed."""


class CloseInvestigation(Payload):
    """A person ends an investigation."""

    who: str
    role: str = ""
    comment: str = ""
    resume: bool = True
    """Whether migration activities go on, where a hook can say so."""


class Investigation(Payload):
    """Something that a person looks into."""

    investigation_id: str
    opened_at: datetime
    reason: str
    rules: tuple[str, ...] = ()
    paused: str = ""
    """What came of pausing migration activities; empty where nothing pauses them."""
    closed_at: datetime | None = None
    closed_by: str = ""
    comment: str = ""
    resumed: str = ""
    """What came of letting migration activities go on."""


class MigrationPauseRequest(Payload):
    """Pause migration activities, or let them go on."""

    estate: str
    investigation_id: str
    reason: str
    resume: bool = False


class MigrationPauseReport(Payload):
    """What came of it; a hook that does not answer is a result."""

    done: bool
    detail: str = ""


class Decided(Payload):
    """The last decision, and what was done about it."""

    at: datetime
    decision: DecisionKind
    level: int = 0
    conclusive: bool = True
    basis: str = "metrics"
    explanation: str = ""
    rules: tuple[str, ...] = ()
    """Those that fired."""
    digest: str = ""
    """The same for decisions that stand on the same rules."""
    action: Action


class Handling(Payload):
    """The rollback that the alerts led to or joined."""

    rollback_id: str
    level: int = 0
    decision: DecisionKind | None = None
    """What people are asked to approve it for; None where somebody else started it."""
    digests: tuple[str, ...] = ()
    """Of the decisions that people were asked about."""
    escalated: bool = False
    alerts: int = 0
    """How many alerts are recorded with it."""


class Seen(Payload):
    """When an alert was last told of, and whether it is over."""

    at: int
    """Unix seconds."""
    resolved: bool = False


class ResponseState(Payload):
    """All that `AlertResponse` knows; continue-as-new carries it whole."""

    model_config = ConfigDict(frozen=False, extra="ignore")

    received: int = 0
    """Alerts recorded since the workflow began, repeats not counted."""
    repeats: int = 0
    seen: dict[str, Seen] = Field(default_factory=dict)
    """By alert key, oldest first."""
    standing: dict[str, Alert] = Field(default_factory=dict)
    """Alerts that fire, by key, without what only their record needs."""
    fresh: list[Alert] = Field(default_factory=list)
    """New alerts that are not recorded yet, where a fresh history began between."""
    unattributed: list[str] = Field(default_factory=list)
    """Keys of alerts that no rollback is recorded with."""
    policy: ResponsePolicy | None = None
    decided: Decided | None = None
    handling: Handling | None = None
    automatic: list[datetime] = Field(default_factory=list)
    """When rollbacks were started or escalated by nobody."""
    asked: DecisionKind | None = None
    """What people were last asked to approve a rollback for."""
    acknowledged: DecisionKind | None = None
    """What a person looked into and closed; it opens no second investigation while it stands."""
    investigation: Investigation | None = None


class AlertResponseRequest(Payload):
    """Starts the one workflow that answers an estate's alerts."""

    estate: str
    state: ResponseState | None = None
    """Carried over a continue-as-new; None begins with nothing known."""


class ResponseStatus(Payload):
    """The answer of the `status` query."""

    estate: str
    mode: Mode | None = None
    """None before the first decision."""
    received: int = 0
    repeats: int = 0
    firing: int = 0
    alerts: tuple[Alert, ...] = ()
    """Those that fire, newest first, at most 100."""
    decided: Decided | None = None
    handling: Handling | None = None
    automatic: tuple[datetime, ...] = ()
    investigation: Investigation | None = None
