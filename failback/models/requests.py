"""What workflows ask of activities. Each carries the key that makes its effect idempotent."""

from failback.models.common import Payload, Service, Side
from failback.models.rollback import AvailabilityReport
from failback.models.traffic import DnsRecord, ServiceRoute


class StepRequest(Payload):
    """Base of every request: which step of which rollback asks."""

    rollback_id: str
    step: str

    @property
    def key(self) -> str:
        """The idempotency key: rollback and step, never an attempt."""
        return f"{self.rollback_id}/{self.step}"


class HoldRequestsRequest(StepRequest):
    """Hold customers' requests, and wait until the side that is left has answered its own."""

    routes: tuple[ServiceRoute, ...]
    leaving: Side
    hold_seconds: float
    quiet_seconds: float = 0.5
    """How long requests in flight are waited for; then the fence takes over."""

    @property
    def services(self) -> tuple[Service, ...]:
        """The services whose doors are meant."""
        return tuple(route.service for route in self.routes)


class OpenDoorRequest(StepRequest):
    """Let held and new requests through."""

    services: tuple[Service, ...]


class ShiftWeightsRequest(StepRequest):
    """Give all traffic of these routes to one side."""

    routes: tuple[ServiceRoute, ...]
    live: Side


class PointNamesRequest(StepRequest):
    """Point names at one side's hosts, and wait until every resolver says so."""

    records: tuple[DnsRecord, ...]
    live: Side
    wait_seconds: float


class ForceTrafficRequest(StepRequest):
    """Send everything to one side by every path that still answers."""

    routes: tuple[ServiceRoute, ...]
    records: tuple[DnsRecord, ...]
    live: Side


class ForceTrafficReport(Payload):
    """Which paths were moved, and which did not answer."""

    moved: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    attempts: int = 1


class FenceRequest(StepRequest):
    """Raise or lift one side's fence."""

    side: Side
    grace_seconds: float = 1.0
    accepted: str = ""
    """For lifting the source's with a tail left: the person or policy that accepted it."""


class DrainRequest(StepRequest):
    """Drain the tail, at most for so long."""

    deadline_seconds: float


class VerifyDataRequest(StepRequest):
    """Compare both sides' data."""


class SourceLiveRequest(StepRequest):
    """Prove that the source takes traffic and writes."""

    routes: tuple[ServiceRoute, ...]


class EvidenceReport(Payload):
    """Facts that were observed, as sentences, and whether they are what was wanted."""

    ok: bool
    facts: tuple[str, ...] = ()
    attempts: int = 1


class CheckServiceRequest(StepRequest):
    """Run the service checks, the user journey among them."""

    minimum_availability: float = 0.95
    patience_seconds: float = 0.0
    """For how long checks are repeated while too few pass."""


class MeasureAvailabilityRequest(StepRequest):
    """Probe until cancelled; a retry goes on from the last heartbeat."""

    before: AvailabilityReport = AvailabilityReport()


class StorageRequest(StepRequest):
    """Carry the target's objects to the source."""

    deletes_accepted_by: str = ""
    """Who looked at a large number of deletes and wants them."""


class NotifyRequest(StepRequest):
    """One message to one channel."""

    channel: str
    subject: str
    text: str


class KeepSyncedRequest(Payload):
    """Run batches for a while under one activity."""

    estate: str
    interval_seconds: float = 1.0
    run_seconds: float = 300.0
    hand_over_bytes: int = 0
    """Stop where a backlog is larger than this and can be shared out; 0 never does."""


class KeepSyncedReport(Payload):
    """What one stretch of continuous sync did."""

    batches: int = 0
    keys: int = 0
    skipped: int = 0
    position: str = ""
    backlog_bytes: int = 0
    """Why the stretch stopped early: so much of the sender's log is left to be shared out."""
