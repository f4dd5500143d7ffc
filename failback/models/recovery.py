"""What a disaster recovery finds, plans, restores and returns to service.

Changes when the guided procedure of level 4 has to show or remember something else.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from failback.models.common import Outcome, Payload
from failback.models.system import Item


class Part(StrEnum):
    """What is assessed and restored, in the order of restoring."""

    DATABASE = "database"
    AUTH = "auth"
    STORAGE = "storage"
    FUNCTIONS = "functions"


class Condition(StrEnum):
    """What is left of a part."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """It answers, and something about it is wrong that needs no restore."""
    CORRUPTED = "corrupted"
    """It answers, and what it holds is not to be trusted."""
    GONE = "gone"
    UNKNOWN = "unknown"
    """It could not be told; a person decides."""


class PartAssessment(Payload):
    """One part with the evidence for its condition."""

    part: Part
    condition: Condition
    evidence: tuple[Item, ...] = ()
    """One for each thing that was looked at: what was asked, what was seen."""

    @property
    def needs_restore(self) -> bool:
        """Whether it has to be restored rather than switched on."""
        return self.condition in (Condition.CORRUPTED, Condition.GONE)


class BackupChoice(Payload):
    """The backup that a recovery takes, and those that it passed over."""

    backup: str = ""
    """Its id; empty where there is none to take."""
    taken_at: datetime | None = None
    proven_at: datetime | None = None
    bytes: int = 0
    rows: int = 0
    passed_over: tuple[Item, ...] = ()
    """Newer ones that are not taken, each with why."""
    detail: str = ""


class ArchiveState(Payload):
    """What the change archive holds beyond a backup."""

    segments: int = 0
    keys: int = 0
    first_position: str = ""
    last_position: str = ""
    """Of the target's log: everything committed before it is in the archive."""
    last_commit_at: datetime | None = None
    """When the archive last held everything that the target had committed."""
    joins_backup: bool = False
    """Whether it reaches back to the backup without a gap."""
    gap: str = ""
    """Where the newest run of segments begins, and why the one before it broke off; empty where
    none did."""
    detail: str = ""


class Assessment(Payload):
    """What is damaged, what it can be restored from, and what that costs."""

    at: datetime
    parts: tuple[PartAssessment, ...] = ()
    choice: BackupChoice = BackupChoice()
    archive: ArchiveState = ArchiveState()
    target_answers: bool = False
    """Whether the target can still be fenced, so that nothing acknowledged is lost."""
    loss_seconds: float | None = None
    """Estimated; None where nothing can be restored."""
    restore_seconds: float | None = None
    """Estimated from the backup's size and earlier proofs."""

    def condition(self, part: Part) -> Condition:
        """The condition of one part; unknown where it was not looked at."""
        for found in self.parts:
            if found.part is part:
                return found.condition
        return Condition.UNKNOWN


class RestoreReport(Payload):
    """One part restored beside what is damaged."""

    part: Part
    outcome: Outcome
    place: str = ""
    """Where it was restored, for people; never a secret."""
    backup: str = ""
    tables: int = 0
    rows: int = 0
    bytes: int = 0
    replayed_segments: int = 0
    replayed_keys: int = 0
    replayed_upto: str = ""
    replayed_commit_at: datetime | None = None
    """Everything that the target committed before this is restored."""
    seconds: float = 0.0
    detail: str = ""
    attempts: int = 1


class RecoveryService(StrEnum):
    """The services of the gradual return, in their order."""

    AUTHENTICATION = "authentication"
    DATABASE_READ = "database_read"
    CORE_API = "core_api"
    AI_SERVICES = "ai_services"
    STORAGE_SERVICES = "storage_services"
    ADVANCED_FEATURES = "advanced_features"


class GateVerb(StrEnum):
    """What an operator answers at a gate of the guided procedure."""

    GO_ON = "go_on"
    REPEAT = "repeat"
    """Do the step before the gate once more."""
    SKIP = "skip"
    """Leave the step after the gate out; needs a reason."""
    ABORT = "abort"


class GateAnswer(Payload):
    """The payload of the `answer_gate` update and signal."""

    gate: str
    """Its number and name as the status shows them, so that no answer meets another gate."""
    verb: GateVerb
    who: str
    role: str = ""
    reason: str = ""


class RecoveryGate(Payload):
    """A gate: what will be done next, why, on which evidence, and at what cost."""

    gate: str
    step: str
    plan: str
    evidence: tuple[str, ...] = ()
    loss_seconds: float | None = None
    seconds: float | None = None
    """How long the step is expected to take."""
    opened_at: datetime
    last_outcome: Outcome | None = None
    """Of the step that was done before; None at the first gate."""
    last_detail: str = ""
    answer: GateAnswer | None = None
    answered_at: datetime | None = None


class ReturnedService(Payload):
    """One service of the gradual return."""

    service: RecoveryService
    outcome: Outcome
    enabled_at: datetime
    stable_at: datetime | None = None
    """When it had been stable for as long as the estate asks."""
    traffic_share: int = Field(default=100, ge=0, le=100)
    """Percent of its traffic that it last had."""
    holds: int = 0
    """How often it had to start its stability over."""
    detail: str = ""


class RecoveryPolicy(Payload):
    """How a disaster recovery is led, from the configuration; never a secret."""

    stability_seconds: float = 30.0
    look_seconds: float = 1.0
    """Between two looks at a service while it must stay stable."""
    patience_seconds: float = 600.0
    """After so long without its stability a service is held for a person."""
    traffic_shares: tuple[int, ...] = (100,)
    """Percent of a service's traffic, step by step; the last one is 100."""
    gates: str = "manual"
    """`manual` asks a person at every step; `automatic` goes on while steps succeed (drills)."""
    roles: tuple[str, ...] = ()
    """Who may answer a gate; empty accepts every known person."""
    services: dict[RecoveryService, tuple[str, ...]] = Field(default_factory=dict)
    """Which services of the traffic's routes each one stands for."""


class RecoveryResult(Payload):
    """What level 4 adds to a rollback's result."""

    assessment: Assessment | None = None
    restores: tuple[RestoreReport, ...] = ()
    gates: tuple[RecoveryGate, ...] = ()
    services: tuple[ReturnedService, ...] = ()
    left: tuple[Item, ...] = ()
    """What was not done, by whose word and why."""
    loss_seconds: float | None = None
    """Measured: from the last change that was restored to the last that was acknowledged, at
    most. None where it is not known."""
    manual_intervention_required: bool = False
    runbook: str = ""
    """Markdown: what was done, what is left, in order; where people have to take over."""
