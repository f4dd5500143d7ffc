"""What activities need from the outside world, as protocols. Providers implement them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from failback.models.audit import AuditEntry, AuditVerdict, EntryKind, NewEntry
from failback.models.certificate import Attestation
from failback.models.common import Service, Side
from failback.models.decision import MetricEvidence
from failback.models.messages import Delivery, DeliveryPlan, Message
from failback.models.repair import RepairReport
from failback.models.responses import MigrationPauseReport, RollbackSurvey
from failback.models.rollback import AvailabilityReport
from failback.models.settling import ConflictChoice, SettleReport
from failback.models.sync import (
    ArmReport,
    BatchReport,
    CanaryReport,
    Conflict,
    DisarmReport,
    DrainReport,
    FenceReport,
    LedgerReport,
    ReprotectReport,
    SyncStatus,
    VerifyReport,
)
from failback.models.traffic import (
    BackendRoute,
    CheckResult,
    DnsRecord,
    NameAnswer,
    ServerAddress,
    ServerWeight,
)


class LoadBalancer(Protocol):
    """Shifts and holds traffic. Every method is idempotent.

    Raises UnreachableError when the balancer does not answer and BalancerError when it
    refuses or lacks a backend, a server or the map of doors.
    """

    async def set_weights(self, route: BackendRoute, source: int, target: int) -> None:
        """Give one backend's two servers their weights, 0..256."""
        ...

    async def read_weights(self, route: BackendRoute) -> tuple[ServerWeight, ServerWeight]:
        """The source's and the target's server as the balancer sees them now."""
        ...

    async def set_all_weights(
        self, routes: Sequence[BackendRoute], source: int, target: int
    ) -> None:
        """As `set_weights` for several backends in as few round trips as can be.

        Every backend is tried before an error of one of them is raised.
        """
        ...

    async def read_all_weights(
        self, routes: Sequence[BackendRoute]
    ) -> tuple[tuple[ServerWeight, ServerWeight], ...]:
        """As `read_weights`, a pair for each route in the order given."""
        ...

    async def close_door(self, services: Sequence[Service], seconds: float) -> bool:
        """Hold new requests of these services; after `seconds` they are let through.

        Returns False where this balancer cannot hold requests.
        """
        ...

    async def open_door(self, services: Sequence[Service]) -> None:
        """Let held and new requests through."""
        ...

    async def closed_doors(self) -> frozenset[Service]:
        """The services whose requests are being held now."""
        ...

    async def in_flight(self, route: BackendRoute, side: Side) -> int:
        """Requests that one side's server has not answered yet; sessions do not count."""
        ...

    async def shut_sessions(self, route: BackendRoute, side: Side) -> None:
        """End the established sessions of one side's server."""
        ...

    async def set_address(self, route: BackendRoute, side: Side, host: str, port: int) -> None:
        """Send what one side's server gets elsewhere; established sessions stay where they are."""
        ...

    async def address(self, route: BackendRoute, side: Side) -> ServerAddress:
        """Where the balancer sends what one side's server gets now."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class DnsProvider(Protocol):
    """Points names at hosts. Raises UnreachableError, CredentialsError, DnsRefusedError."""

    async def point(self, record: DnsRecord, side: Side) -> None:
        """Make the name a CNAME to the side's host with the record's TTL."""
        ...

    async def answers(self, record: DnsRecord) -> tuple[NameAnswer, ...]:
        """What every configured resolver answers for the name now, uncached by us."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class ServiceChecks(Protocol):
    """Looks at the running service from a customer's place."""

    async def names(self) -> tuple[str, ...]:
        """The names of the checks that `check` runs."""
        ...

    async def check(self) -> tuple[CheckResult, ...]:
        """Database connectivity, auth endpoint, API response time, critical user journey.

        A check that fails is a result, not an exception. The journey cleans up what it
        made, also when it failed half-way.
        """
        ...

    async def probe(self) -> tuple[CheckResult, ...]:
        """One cheap, read-only round of availability probes."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class Notifier(Protocol):
    """Tells stakeholders. A dead channel never delays a rollback."""

    def plan(self, message: Message) -> DeliveryPlan:
        """The channels that a message goes to, each with its deadline, in a fixed order."""
        ...

    async def deliver(self, channel: str, message: Message) -> Delivery:
        """Try once to deliver a message on one channel; failure is a result, not an exception.

        The same message again is told to the vendor as the same, where the vendor knows such a
        thing. No detail holds an address or a secret. `attempts` is left to the caller.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class Evidence(Protocol):
    """Keeps the proof of a rollback."""

    def certify(self, report: VerifyReport, rollback_id: str) -> Attestation:
        """Sign and keep what an exact verification proved. Blocking.

        A failure is a result, not an exception: nobody waits longer for the service because a
        disk is full.
        """
        ...


class MetricStore(Protocol):
    """Answers what a metric was. Failure is part of the answer: evidence is never invented."""

    async def read(
        self, metric: str, start: datetime, end: datetime, step_seconds: float = 0.0
    ) -> MetricEvidence:
        """A metric's samples over a range, both ends included.

        Args:
            metric: what is asked for.
            start: the first moment of interest.
            end: the last one; there is a sample at it if the store has one.
            step_seconds: between two samples, counted back from the end; 0 makes it a tenth of
                the range.

        Raises:
            ConfigurationError: nobody has said how this metric is asked for.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class RollbackRegistry(Protocol):
    """Knows the estate's newest rollback. Raises UnreachableError."""

    async def newest(self) -> RollbackSurvey:
        """The newest rollback, with which side is live left out."""
        ...


class MigrationPause(Protocol):
    """Tells whatever migrates that it should stop for a while. Failure is a result."""

    async def pause(self, investigation_id: str, reason: str) -> MigrationPauseReport:
        """Ask for a stop; told twice with one id, it is one stop."""
        ...

    async def resume(self, investigation_id: str, reason: str) -> MigrationPauseReport:
        """Ask to go on."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class AuditLog(Protocol):
    """Append-only and hash-chained. Raises UnreachableError when its store does not answer."""

    async def append(self, entry: NewEntry) -> AuditEntry:
        """Write one entry; one whose kind and key stand there already is returned as it stands."""
        ...

    async def append_all(self, entries: Sequence[NewEntry]) -> tuple[AuditEntry, ...]:
        """As `append` for several entries at once, in the order given: all of them or none."""
        ...

    async def read(
        self,
        kinds: Sequence[EntryKind] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        subject: str = "",
        limit: int = 1000,
    ) -> tuple[AuditEntry, ...]:
        """Entries in the order of their sequence; empty `kinds` means all of them.

        `since` and `until` bound `at`, both included. The newest `limit` entries are given.
        """
        ...

    async def verify(self, known: str = "") -> AuditVerdict:
        """Compute the whole chain again.

        Args:
            known: the `head` of an earlier verdict, which the log must still hold; a chain alone
                cannot show that its end was cut off.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class AvailabilityProbe(Protocol):
    """Counts what customers would have seen."""

    async def run(self) -> None:
        """Probe at the configured interval until cancelled."""
        ...

    def report(self) -> AvailabilityReport:
        """The counts so far."""
        ...


Progress = Callable[[str], None]
"""Called with one short sentence while long work goes on; may raise to stop it."""


class ReverseSyncEngine(Protocol):
    """Carries the target's changes to the source, fences, verifies. Blocking; thread-safe.

    Every method is idempotent and may be repeated after a crash at any point. All raise
    UnreachableError, CredentialsError and MissingRightError for the server's side of things.
    """

    def arm(self, capture: str | None = None) -> ArmReport:
        """Install fence and capture, fence the source, prove both with a canary."""
        ...

    def reprotect(self, accepted: str = "", *, plan: bool = False) -> ReprotectReport:
        """After a rollback: carry the source's changes to the target, without a copy.

        Raises SafetyRuleError while the rollback is not over. `arm` turns the stream back once
        the target is live again.
        """
        ...

    def disarm(self, accepted: str = "", only: Side | None = None) -> DisarmReport:
        """Remove everything that arming made on both sides, or on the one that is left."""
        ...

    def status(self, *, canary: bool = False) -> SyncStatus:
        """Readiness, with everything that would block a rollback."""
        ...

    def warm(self) -> None:
        """Open connections and read catalogues, so that the next call starts at once."""
        ...

    def run_batch(self) -> BatchReport:
        """Carry one batch over. Raises NotArmedError, SlotLostError, SlotBusyError."""
        ...

    def drain(self, deadline_seconds: float, progress: Progress | None = None) -> DrainReport:
        """Batches until the source has all that the target has committed by now.

        Inconclusive when the deadline passes first; what was carried over stays.
        """
        ...

    def drain_late(self, deadline_seconds: float, progress: Progress | None = None) -> DrainReport:
        """As `drain`, against a source that takes writes: conflicts are parked."""
        ...

    def synchronise_sequences(self) -> int:
        """Set the source's sequences above both sides' maximum; returns how many moved."""
        ...

    def raise_fence(self, side: Side, grace_seconds: float) -> FenceReport:
        """Refuse new writes, wait for those in flight, prove it. Ends stragglers."""
        ...

    def lift_fence(self, side: Side, accepted: str = "") -> FenceReport:
        """Let writes in. The source's needs an empty tail, or who accepted its rest."""
        ...

    def fenced(self, side: Side) -> bool:
        """Whether a side refuses writes now."""
        ...

    def canary(self) -> CanaryReport:
        """Write, update and delete a row on the target, and see each on the source."""
        ...

    def verify(
        self, progress: Progress | None = None, *, cold: bool = False, examples: int = 100
    ) -> VerifyReport:
        """Compare both sides: rows, digests, foreign keys, business rules.

        What is known to be equal since an earlier comparison is not read again unless `cold`.
        """
        ...

    def verify_some(self, budget_seconds: float) -> LedgerReport:
        """Compare a little of what is not known to be equal, between batches.

        Raises NotArmedError where nothing is armed.
        """
        ...

    def repair(
        self, progress: Progress | None = None, *, plan_only: bool = True, rows: int = 20
    ) -> RepairReport:
        """Find every row that the sides do not share, and make the target's the source's.

        Raises SafetyRuleError while the source takes writes, NotArmedError; a plan raises neither.
        """
        ...

    def conflicts(self, *, include_settled: bool = False) -> tuple[Conflict, ...]:
        """Parked conflicts, oldest first."""
        ...

    def settle_conflicts(self, choice: ConflictChoice) -> SettleReport:
        """Make the version that somebody decided for the right one, and write that down.

        A row that is not the one that was shown is refused with what it is now.
        """
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
