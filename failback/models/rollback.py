"""What a rollback is asked to do, what it reports, and who said yes."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from failback.models.common import Level, Outcome, Payload, Service
from failback.models.recovery import RecoveryPolicy, RecoveryResult
from failback.models.sync import SyncPolicy, VerifyReport
from failback.models.system import ItemsReport
from failback.models.traffic import DnsRecord, ServiceRoute


class EmergencyAction(StrEnum):
    """What a level does when its own plan fails."""

    FORCED_FAILOVER = "FORCED_FAILOVER"
    IMMEDIATE_TRAFFIC_ROLLBACK_WITHOUT_SYNC = "IMMEDIATE_TRAFFIC_ROLLBACK_WITHOUT_SYNC"
    DISASTER_RECOVERY_INITIATED = "DISASTER_RECOVERY_INITIATED"


class Phase(StrEnum):
    """Where a rollback stands, in the words of its status query and search attribute."""

    WAITING_FOR_APPROVAL = "waiting_for_approval"
    RUNNING = "running"
    PAUSED = "paused"
    DRAINING_TAIL = "draining_tail"
    AT_GATE = "at_gate"
    """A guided procedure waits for an operator's answer."""
    DONE = "done"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class ApprovalPolicy(Payload):
    """Who must say yes before a level may act."""

    quorum: int = 0
    """How many different people must approve; 0 acts at once."""
    roles: tuple[str, ...] = ()
    """Roles that may approve; empty accepts every known role."""
    people: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Known people and the roles that each one holds."""
    quorum_by_role: dict[str, int] = Field(default_factory=dict)
    """How many different people must approve in each role; each person counts in one of them."""
    expires_seconds: float = 3600.0
    on_expiry: str = "reject"
    """What happens without the quorum after so long: `reject` or `proceed`."""
    require_plan_hash: bool = False
    """Whether an approval must name the plan that it is for."""

    @property
    def asks(self) -> bool:
        """Whether anybody has to approve at all."""
        return bool(self.quorum or any(self.quorum_by_role.values()))


class Decision(Payload):
    """The payload of the `approve`, `reject` and `accept_tail` signals."""

    who: str
    role: str = ""
    comment: str = ""
    plan_hash: str = ""
    """The plan that is approved, or at least the first 12 characters of its hash."""
    nonce: str = ""
    """Of a one-time link: a second decision with it does not count."""
    via: str = ""
    """How it came, such as `link`; only for the record."""


class RecordedDecision(Payload):
    """A decision as the workflow received it, with whether it counted and why not."""

    verb: str
    who: str
    role: str
    comment: str
    at: datetime
    counted: bool
    why_not: str = ""
    plan_hash: str = ""
    """The plan that was waiting when the decision came."""
    via: str = ""


class RollbackPlan(Payload):
    """What a rollback will do to an estate: references and budgets, never secrets.

    Made from the configuration when a rollback is started, so that a rollback goes on with
    the plan that it was approved with.
    """

    estate: str
    routes: tuple[ServiceRoute, ...]
    records: tuple[DnsRecord, ...] = ()
    resolver_wait_seconds: float = 30.0
    budgets: dict[str, float] = Field(default_factory=dict)
    """Seconds by step name; a step that is not named has its level's default."""
    approval: ApprovalPolicy = ApprovalPolicy()
    escalation: ApprovalPolicy | None = None
    """Who may have it act at once as level 1; None where it is level 1."""
    sync: SyncPolicy = SyncPolicy()
    minimum_availability: float = 0.95
    """Share of passed service checks below which the verify step fails."""
    hold_seconds: float = 10.0
    """After so long a held request is let through whatever the rollback does."""
    stakeholders: tuple[str, ...] = ()
    """Channels that the notify step writes to."""
    recovery: RecoveryPolicy = RecoveryPolicy()
    """How level 4 is led."""

    def route(self, service: Service) -> ServiceRoute:
        """The route of one service; raises KeyError where the plan has none."""
        for route in self.routes:
            if route.service is service:
                return route
        raise KeyError(service)


class RollbackRequest(Payload):
    """Starts a rollback workflow of any level."""

    rollback_id: str
    level: Level
    reason: str
    requested_by: str
    plan: RollbackPlan
    already_fenced: bool = False
    """A parent has held the door, fenced the target and drained the tail."""
    tail_accepted: str = ""
    """Why the source may be unfenced with a tail left: a named operator or a policy."""
    is_child: bool = False
    held_until: datetime | None = None
    """When the door that a parent closed opens by itself."""
    search_attributes: bool = False
    """Whether the namespace knows failback's search attributes."""
    evidence: str = ""
    """Digest of the decision that asks for it; part of what an approval is bound to."""
    dry_run: bool = False
    """The worker's ports only say what they would do; nobody is asked."""
    earlier: "RollbackResult | None" = None
    """What a lower level did before it was escalated to this one; none of it is done again."""
    deletes_accepted_by: str = ""
    """Who wants objects deleted on the source even where they are most of a bucket."""
    findings: str = ""
    """Why a parent could not go on, for the people at a child's gates."""


class StepRecord(Payload):
    """One step of a rollback as it happened. Times are UTC."""

    name: str
    started_at: datetime
    ended_at: datetime | None = None
    attempts: int = 0
    budget_seconds: float
    outcome: Outcome | None = None
    """None while the step runs."""
    detail: str = ""

    @property
    def seconds(self) -> float | None:
        """How long the step took; None while it runs."""
        return None if self.ended_at is None else (self.ended_at - self.started_at).total_seconds()


class DataLoss(Payload):
    """What is known about lost writes when a rollback reports."""

    lost_rows: int | None = 0
    """Rows that the target had and the source has not; None where it is not known."""
    tail: str = "empty"
    """`empty`, `pending`, `accepted` or `unknown`."""
    parked_conflicts: int = 0
    detail: str = ""


class AvailabilityReport(Payload):
    """Customer-side probes from the start of a rollback to its end."""

    probes: int = 0
    passed: int = 0
    longest_gap_seconds: float = 0.0
    """Longest time between two passed probes."""
    by_check: dict[str, tuple[int, int]] = Field(default_factory=dict)
    """(passed, probes) by check."""

    @property
    def share(self) -> float | None:
        """Passed over probes; None when nothing was probed."""
        return self.passed / self.probes if self.probes else None


class RollbackResult(Payload):
    """What a level reports when it has ended."""

    rollback_id: str
    level: Level
    estate: str
    reason: str
    requested_by: str
    success: bool
    started_at: datetime
    ended_at: datetime
    execution_seconds: float
    """From the moment the rollback may act (approval given) to service on the source."""
    waited_seconds: float = 0.0
    """Waiting for people, not part of the execution."""
    data_loss: DataLoss
    service_availability: float | None
    """Measured share of passed probes, 0..1; None when nothing could be probed."""
    availability: AvailabilityReport = AvailabilityReport()
    synced_records: int = 0
    steps: tuple[StepRecord, ...] = ()
    decisions: tuple[RecordedDecision, ...] = ()
    write_gap_seconds: float | None = None
    """From the door's closing to its opening on the source, as failback measured it."""
    held_at: datetime | None = None
    """When the door closed, by the balancer's side of the clock."""
    released_at: datetime | None = None
    """When the door opened on the source."""
    lag_before_fence_seconds: float | None = None
    verification: VerifyReport | None = None
    error: str | None = None
    emergency_action: EmergencyAction | None = None
    children: tuple["RollbackResult", ...] = ()
    plan_hash: str = ""
    escalated: bool = False
    """Whether it was told to act at once, as level 1."""
    validation: ItemsReport | None = None
    """What level 3 saw of the whole product at its end."""
    paused: tuple[str, ...] = ()
    """Migration activities that stay paused until somebody resumes them."""
    recovery: RecoveryResult | None = None
    """What a disaster recovery found, restored and returned."""


class RollbackStatus(Payload):
    """The answer of the `status` query."""

    rollback_id: str
    estate: str
    level: Level
    phase: Phase
    step: str | None = None
    reason: str = ""
    requested_by: str = ""
    started_at: datetime
    approvals_needed: int = 0
    approvals_given: int = 0
    detail: str = ""
    steps: tuple[StepRecord, ...] = ()
    decisions: tuple[RecordedDecision, ...] = ()
    plan_hash: str = ""
    """What an approval is bound to."""
    approvals_missing: str = ""
    """Who still has to approve, in words; empty where nobody has to."""
    expires_at: datetime | None = None
    """Until when approvals are waited for."""
    escalated: bool = False
    result: RollbackResult | None = None
