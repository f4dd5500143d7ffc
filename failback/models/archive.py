"""What the change archive says about itself, in the objects that it consists of.

Changes when a chain or a segment has to say something else. They outlive the failback that wrote
them: a field is only ever added, and `VERSION` rises when an older failback would misread.
"""

from datetime import datetime

from pydantic import Field

from failback.models.common import Payload

VERSION = 1
"""Of chains and segments."""
CHAIN_KIND = "failback archive chain"
SEGMENT_KIND = "failback archive segment"


class ChainStart(Payload):
    """Where an unbroken run of segments begins; another one begins after every gap."""

    kind: str = CHAIN_KIND
    version: int = VERSION
    id: str
    estate: str
    slot: str
    system_identifier: str
    """Of the target's cluster: positions of another one mean something else."""
    timeline: int
    """Of the target; a failover or a restore begins another history."""
    begins: str
    """Of the target's log: what commits from here on is in the chain."""
    begun_at: datetime
    """By the target's clock."""
    software: str
    """`failback` with its version."""
    reason: str = ""
    """Why the chain before this one broke off; empty where it was ended, or there was none."""
    covered: dict[str, int] = Field(default_factory=dict)
    """The tables, each with its oid."""


class ArchivedTable(Payload):
    """One table's part of a segment: two members of the data object, keys and then rows."""

    table: str
    """`schema.table`."""
    key: tuple[str, ...]
    """The columns of the keys, in their order."""
    columns: tuple[str, ...]
    """The columns of the rows, in their order."""
    whole_row: bool = False
    """The table has no key: a row is known by the text of all its values."""
    whole: bool = False
    """All of the table, because it was truncated, or is in the archive for the first time."""
    keys: int = 0
    rows: int = 0
    key_bytes: int = 0
    """Of the member with the keys, as it is in the data object."""
    row_bytes: int = 0


class ArchivedSequence(Payload):
    """The last value that a sequence may have given out."""

    name: str
    """`schema.sequence`."""
    last: int
    increment: int


class SegmentManifest(Payload):
    """What changed between two positions of the target's log, as it was at one moment.

    Written after the data, so that a segment without it does not exist.
    """

    kind: str = SEGMENT_KIND
    version: int = VERSION
    estate: str
    chain: str
    begins: str
    """Everything that committed from here on, and before `ends`, is in it."""
    ends: str
    at: datetime
    """When its snapshot was taken, by the target's clock."""
    snapshot: str
    """`pg_current_snapshot()` of the rows: it sees every commit before `ends`."""
    previous: str = ""
    """Name of the segment that it follows; empty for a chain's first one."""
    previous_sha256: str = ""
    """Of that one's manifest."""
    oldest: datetime | None = None
    """Commit time of the oldest change in it."""
    tables: tuple[ArchivedTable, ...] = ()
    covered: dict[str, int] = Field(default_factory=dict)
    """The tables whose changes were captured, each with its oid, changed or not."""
    sequences: tuple[ArchivedSequence, ...] = ()
    data_bytes: int = 0
    """0 where nothing has changed, and there is no data object."""
    data_sha256: str = ""

    @property
    def keys(self) -> int:
        """Over all tables; the rows of those that are there as a whole."""
        return sum(each.rows if each.whole else each.keys for each in self.tables)


class KeepArchivedRequest(Payload):
    """Keep the archive up to date for a stretch of time."""

    estate: str
    interval_seconds: float = 10.0
    run_seconds: float = 300.0
    alert_seconds: float = 60.0
    """After so long without success the stretch ends, so that somebody is told."""


class KeepArchivedReport(Payload):
    """What became of a stretch."""

    rounds: int = 0
    failed: int = 0
    segments: int = 0
    keys: int = 0
    last_position: str = ""
    problem: str = ""
    """Why the last round failed, where it did."""
    cure: str = ""
    gap: str = ""
    """What is missing before the newest chain, as `ArchiveState.gap` has it."""


class PruneArchiveReport(Payload):
    """What pruning the archive deleted."""

    keep_from: str
    deleted: int


class ArchivingRequest(Payload):
    """Starts the archiving of an estate's changes, or carries it over a continue-as-new."""

    estate: str
    interval_seconds: float = 10.0
    alert_seconds: float = 60.0
    rounds: int = 0
    problem: str = ""
    """Why changes are not archived now, where people were told of it."""
    problem_at: datetime | None = None
    gap: str | None = None
    """The gap that is known already; None before the first round."""
    last_position: str = ""
