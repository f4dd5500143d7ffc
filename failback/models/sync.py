"""Payloads of the reverse sync: capture, fence, drain, verification. Counts, never rows."""

from datetime import datetime

from pydantic import Field

from failback.models.catch_up import CatchUpProgress
from failback.models.common import Outcome, Payload, Side

CAPTURE_WAYS = ("slot", "changelog", "diff")
"""How changes can be captured, the best first."""


class SyncPolicy(Payload):
    """What a rollback may do about the tail."""

    drain_deadline_seconds: float = 2.0
    """Level 1 flips after so long even if the tail is not empty."""
    fence_grace_seconds: float = 1.0
    """Writers that outlast this are terminated while the fence is raised."""
    flip_with_tail: bool = True
    """Level 1 may unfence the source before the tail is empty (conflicts are parked)."""
    unarmed: str = "proceed"
    """`proceed` or `refuse`: what level 1 does when nothing was armed."""


class Position(Payload):
    """How far one direction has been applied, as the receiving side holds it."""

    lsn: str
    """A position in the sending side's write-ahead log, such as `0/16B3748`."""
    batch: int = 0
    at: datetime | None = None


class CanaryReport(Payload):
    """A row that was written, updated and deleted on one side and seen on the other."""

    outcome: Outcome
    milliseconds: float = 0.0
    detail: str = ""


class TableProblem(Payload):
    """Something about one table that stops it, with what to run."""

    table: str
    problem: str
    cure: str = ""


class ArmReport(Payload):
    """What arming found, installed and proved."""

    outcome: Outcome
    capture: str = "slot"
    why: str = ""
    """Why this way of capture was picked."""
    tables: tuple[str, ...] = ()
    slot: str = ""
    position: str = ""
    canary: CanaryReport | None = None
    problems: tuple[TableProblem, ...] = ()
    """Tables that were asked for and are not carried over, with what to run."""
    warnings: tuple[str, ...] = ()


class ReprotectReport(ArmReport):
    """The stream turned round after a rollback: the source's changes are carried to the target."""

    direction: str = "source-to-target"
    planned: bool = False
    """Nothing was changed: this is what would be done."""
    uncaptured: tuple[str, ...] = ()
    """Tables of which no change can be captured on the source: they are compared by checksum."""
    sequences: int = 0
    """Sequences of the target that were moved beyond both sides'."""


class DisarmReport(Payload):
    """What disarming removed, by name."""

    removed: tuple[str, ...] = ()


class SyncStatus(Payload):
    """Readiness of the reverse path: what a rollback would cost if it started now."""

    armed: bool
    capture: str = ""
    position: Position | None = None
    lag_seconds: float | None = None
    """Age of the oldest change that the source does not have; None where unknown."""
    lag_bytes: int | None = None
    retained_wal_bytes: int | None = None
    captured_bytes: int | None = None
    """What capture keeps on the sender's disk: log for a slot, or the changelog."""
    over_limit: bool = False
    """Capture keeps more on a side's disk than `data.max_retained_wal_mb` allows."""
    capture_lost: bool = False
    """Changes may be missing: a rollback would have to compare everything."""
    slot_status: str = ""
    source_fenced: bool | None = None
    target_fenced: bool | None = None
    tables: tuple[str, ...] = ()
    problems: tuple[TableProblem, ...] = ()
    open_conflicts: int = 0
    canary: CanaryReport | None = None
    warnings: tuple[str, ...] = ()
    direction: str = "target-to-source"
    """Which way changes are carried; `source-to-target` after `failback reprotect`."""
    uncaptured: tuple[str, ...] = ()
    """Tables of which no change can be captured: they are compared by checksum."""
    catch_up: CatchUpProgress | None = None
    """A large backlog that several workers are carrying now."""


class BatchReport(Payload):
    """One batch: captured, netted, copied and committed together with its position."""

    position: str
    changes: int = 0
    """Captured changes."""
    keys: int = 0
    """Distinct changed keys."""
    rows: int = 0
    """Rows inserted on the receiving side."""
    deleted: int = 0
    """Rows deleted there; a changed row is deleted and inserted."""
    by_table: dict[str, int] = Field(default_factory=dict)
    """Changed keys by table."""
    caught_up: bool = False
    """The receiving side equals a committed snapshot of the sending side."""
    seconds: float = 0.0
    lag_seconds: float = 0.0
    skipped: str = ""
    """Why nothing was done, when another consumer holds the stream."""
    conflicts: int = 0
    """Rows newly parked, because the receiving side changed them as well."""
    parked: int = 0
    """Changed keys that were not applied: newly parked or parked already."""
    stopped: tuple[TableProblem, ...] = ()
    """Tables that were left out, with why; their changes are looked for when they go on."""
    compared: tuple[str, ...] = ()
    """Tables that were compared by checksum, because changes of them were not captured."""
    backlog_bytes: int = 0
    """Of the sender's log, beyond what this batch reached, where a catch-up could carry it."""


class DrainReport(Payload):
    """A drain: batches until a position, with how long it took."""

    outcome: Outcome
    position: str = ""
    wanted: str = ""
    batches: int = 0
    changes: int = 0
    keys: int = 0
    seconds: float = 0.0
    lag_before_seconds: float | None = None
    sequences: int = 0
    """Sequences that were moved above the maximum of both sides."""
    conflicts: int = 0
    """Conflicts that were parked by this drain."""
    detail: str = ""
    attempts: int = 1


class FenceReport(Payload):
    """A fence raised or lifted on one side, with its proof."""

    outcome: Outcome
    side: Side
    raised: bool
    changed: bool = True
    """False when the side was in this state already."""
    at: datetime
    seconds: float = 0.0
    position: str = ""
    """The side's log position when nothing was in flight any more."""
    terminated: tuple[str, ...] = ()
    """Writers that outlasted the grace period, as `pid user application`."""
    prepared: tuple[str, ...] = ()
    """Prepared transactions that hold the fence, by gid."""
    proofs: tuple[str, ...] = ()
    detail: str = ""
    attempts: int = 1


class TableDigest(Payload):
    """One table as verification found it on both sides."""

    table: str
    source_rows: int
    target_rows: int
    source_digest: str
    target_digest: str
    missing: int = 0
    """Rows of the target that the source lacks."""
    extra: int = 0
    """Rows of the source that the target lacks."""
    different: int = 0
    """Rows with the same key and other values."""
    keys: tuple[str, ...] = ()
    """Keys of the first differing rows, bounded."""
    seconds: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same rows."""
        return self.source_rows == self.target_rows and self.source_digest == self.target_digest


class RuleResult(Payload):
    """A business rule or a foreign key: SQL that must return no row."""

    name: str
    violations: int
    examples: tuple[str, ...] = ()
    detail: str = ""


class VerifyReport(Payload):
    """Both sides compared. Exact only while both are fenced."""

    outcome: Outcome
    exact: bool
    """Both sides were fenced from before to after."""
    started_at: datetime
    seconds: float
    tables: tuple[TableDigest, ...] = ()
    rules: tuple[RuleResult, ...] = ()
    foreign_keys: tuple[RuleResult, ...] = ()
    problems: tuple[TableProblem, ...] = ()
    detail: str = ""
    attempts: int = 1
    ended_at: datetime | None = None
    """When both fences were seen for the second time, if they were up."""
    position: str = ""
    """The stream's position as the receiver held it; empty where nothing is armed."""
    chunks_verified: int = 0
    """Parts of tables whose rows were read on both sides by this comparison."""
    chunks_by_ledger: int = 0
    """Parts that both sides agreed on earlier and that nothing has changed since."""
    ledger_oldest_at: datetime | None = None
    """When the part that was read longest ago was; None where all were read now."""
    certificate: str = ""
    """Where the certificate of this comparison is; empty where there is none."""

    @property
    def missing(self) -> int:
        """Rows of the target that the source lacks, over all tables."""
        return sum(table.missing for table in self.tables)

    @property
    def extra(self) -> int:
        """Rows of the source that the target lacks, over all tables."""
        return sum(table.extra for table in self.tables)

    @property
    def different(self) -> int:
        """Rows with other values, over all tables."""
        return sum(table.different for table in self.tables)


class LedgerReport(Payload):
    """A pass over the ledger while the migration is live. A chunk is a range of a table's keys."""

    verified: int = 0
    """Chunks that both sides agreed on in this pass."""
    differing: int = 0
    """Chunks that were looked at and were not equal: changes on their way, or worse."""
    dirty: int = 0
    """Chunks that are not known to be equal now, and would be read inside the fence."""
    clean: int = 0
    """Chunks that are known to be equal."""
    oldest_at: datetime | None = None
    """When the clean chunk that was read longest ago was."""
    seconds: float = 0.0
    detail: str = ""


class Conflict(Payload):
    """A row changed on both sides after the flip. The source's version stays in place."""

    id: int
    table: str
    key: str
    source_image: dict[str, str | None] | None
    target_image: dict[str, str | None] | None
    parked_at: datetime
    settled_at: datetime | None = None
    settled_by: str = ""
    resolution: str = ""
    kept: Side | None = None
    """Whose version was kept when it was settled by a person."""
    key_image: dict[str, str | None] | None = None
    """The key's values by column."""
    stored_on: Side = Side.SOURCE
    """The side that received the change, and keeps the conflict."""

    @property
    def differing(self) -> tuple[str, ...]:
        """The columns that the two versions do not share, in the order of their names."""
        source, target = self.source_image or {}, self.target_image or {}
        return tuple(
            name
            for name in sorted(source.keys() | target.keys())
            if name not in source or name not in target or source[name] != target[name]
        )
