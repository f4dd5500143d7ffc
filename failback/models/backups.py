"""What a backup says about itself, and what became of it.

Changes when a manifest or a proof has to say something else. Manifests outlive the failback that
wrote them: a field is only ever added, and `VERSION` rises when an older failback would misread.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from failback.models.common import Payload, Side

VERSION = 1
"""Of the manifest and of the proof that belongs to it."""
MANIFEST_KIND = "failback backup"
PROOF_KIND = "failback backup proof"
AUTH_SCHEMA = "auth."
"""How names of Supabase Auth's tables begin."""


class PartKind(StrEnum):
    """What a part is of."""

    DATABASE = "database"
    """A file of pg_dump's directory format."""
    CONFIGURATION = "configuration"
    """failback.yaml; of secrets only the names of the variables that hold them."""
    STORAGE_INVENTORY = "storage_inventory"
    """One bucket's objects with their versions: compressed lines, an `InventoriedObject` each."""
    CONFIGURATION_KEYS = "configuration_keys"
    """Names of the values that differ between the sides, and which side's each has."""


class BackupPart(Payload):
    """One object of a backup."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$")
    """Below the backup's own folder. It becomes a file's name, so it can lead nowhere else."""
    kind: PartKind
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class BackedUpTable(Payload):
    """One table as the dump's snapshot saw it."""

    table: str
    rows: int
    digest: str
    """Of all rows in any order, as verifications of the two sides compute it."""


class InventoriedObject(Payload):
    """One object of a storage inventory. Its bytes are in the bucket, and not in the backup."""

    key: str
    size: int = Field(ge=0)
    etag: str
    modified: datetime
    version: str = ""
    """Of the bytes that were current; empty where the bucket kept no versions."""


class BackedUpBucket(Payload):
    """One bucket as it was listed while the database was dumped."""

    bucket: str
    prefix: str = ""
    """Only keys that begin so."""
    part: str
    """Its inventory's name."""
    versioned: bool
    """Whether what was overwritten or deleted since can be had back by its version."""
    objects: int = Field(ge=0)
    bytes: int = Field(ge=0)


class BackupManifest(Payload):
    """The facts that are signed; written last, so that a backup without them does not exist."""

    kind: str = MANIFEST_KIND
    version: int = VERSION
    id: str
    estate: str
    side: Side
    database: str
    taken_at: datetime
    """When the snapshot was taken."""
    completed_at: datetime
    software: str
    """`failback` with its version."""
    server_version: str
    server_major: int
    system_identifier: str = ""
    """Of the server's cluster; empty where the role may not ask for it."""
    position: str
    """Of the server's log, read before the snapshot: replay from here misses nothing."""
    snapshot: str
    """`pg_current_snapshot()`: which of the transactions around the position are in the dump."""
    applied_upto: str = ""
    """Of the target's log: a backup of the source holds what the reverse sync had applied before
    this position. Read in the dump's own snapshot. Empty where nothing is armed, where changes may
    have been lost, where capture is not by a slot (a position is then only about right), and for a
    backup of the target, whose own `position` it would be."""
    applied_except: tuple[str, ...] = ()
    """Armed tables of which that does not hold: they were stopped, or waited to be compared."""
    schema_fingerprint: str
    hash_probe: int
    """What this server hashes fixed values to; digests can be compared where it is the same."""
    roles: tuple[str, ...] = ()
    """Roles of the server by name; a dump of one database carries none."""
    excluded_schemas: tuple[str, ...] = ()
    tables: tuple[BackedUpTable, ...]
    parts: tuple[BackupPart, ...]
    buckets: tuple[BackedUpBucket, ...] = ()
    configuration_keys: tuple[str, ...] = ()
    """Names of the values that the part of that kind tells of."""
    lacking: tuple[str, ...] = ()
    """What could not be had beside the database, with why, as sentences."""

    @property
    def rows(self) -> int:
        """Over all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def bytes(self) -> int:
        """Over all parts."""
        return sum(part.bytes for part in self.parts)

    @property
    def auth(self) -> dict[str, int]:
        """Rows of Supabase Auth by table, such as `users` and `sessions`; empty without it."""
        return {
            one.table.removeprefix(AUTH_SCHEMA): one.rows
            for one in self.tables
            if one.table.startswith(AUTH_SCHEMA)
        }


class BackupProof(Payload):
    """What a trial restore said about one backup: the `proven` stamp, or why there is none."""

    kind: str = PROOF_KIND
    version: int = VERSION
    backup: str
    estate: str
    manifest_sha256: str
    """Of the manifest's bytes: a proof of another manifest is none of this one."""
    proven: bool
    problem: str = ""
    at: datetime
    by: str
    """User and machine."""
    software: str
    server_version: str = ""
    """Of the server that it was restored into."""
    tables: int = 0
    rows: int = 0
    bytes: int = 0
    rules: tuple[str, ...] = ()
    """Business rules that held."""
    amcheck: str = ""
    """What amcheck said, or why it was not asked."""
    objects: int = 0
    """Of the storage inventory, all of whose lines were read."""
    seconds: float = 0.0


class BackupState(StrEnum):
    """What is known of a backup without restoring it."""

    PROVEN = "proven"
    """It was restored, and held what its manifest says."""
    COMPLETE = "complete"
    """Every part was read back when it was taken; nobody has restored it yet."""
    BROKEN = "broken"
    """It cannot be used; `problem` says why."""


class BackupSummary(Payload):
    """One line of a list."""

    id: str
    state: BackupState
    problem: str = ""
    taken_at: datetime | None = None
    bytes: int = 0
    tables: int = 0
    rows: int = 0
    applied_upto: str = ""
    """See `BackupManifest.applied_upto`."""
    objects: int = 0
    """Over all buckets of the inventory."""
    lacking: tuple[str, ...] = ()
    """See `BackupManifest.lacking`."""
    signed_by: str = ""
    """Fingerprint of the key; empty for an unsigned one. Checked where the estate has keys."""
    proven_at: datetime | None = None
    proven_by: str = ""
    ours: bool = True
    """Whether the manifest could be read, is of this estate and is trusted."""


class BackupList(Payload):
    """Every backup of an estate, newest first."""

    estate: str
    place: str
    backups: tuple[BackupSummary, ...]
    unfinished: tuple[str, ...] = ()
    """Folders without a manifest: being written, or broken off."""

    @property
    def newest_proven(self) -> BackupSummary | None:
        """What a recovery would take."""
        return next((one for one in self.backups if one.state is BackupState.PROVEN), None)


class PruneReport(Payload):
    """What was deleted, and what was not, by id."""

    kept: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    """Neither kept nor deleted: of another estate, or of a key that is not trusted."""
    segments: int = 0
    """Of the change archive, deleted with the backups that needed them."""
    detail: str = ""
    """Why nothing was deleted."""
    dry_run: bool = False


class BackupProofRequest(Payload):
    """One run of the workflow `BackupProof`, as a schedule starts it."""

    estate: str
    take: bool = False
    """Whether to take a backup first."""
    keep: int = Field(default=0, ge=0)
    """Newest sound ones that stay when old ones are pruned afterwards; 0 prunes nothing."""
    keep_proven: int = Field(default=1, ge=1)
    budget_seconds: float = Field(default=21_600.0, gt=0)
    """For taking, and again for proving."""


class TakeBackupRequest(Payload):
    """Take a backup, once."""

    not_before: datetime
    """One that was taken since is the one that is asked for, so that a retry takes no second."""


class TakenBackup(Payload):
    """What a manifest says, in short."""

    id: str
    taken_at: datetime
    tables: int = 0
    rows: int = 0
    bytes: int = 0
    lacking: tuple[str, ...] = ()


class PruneBackupsRequest(Payload):
    """See `Backups.prune`."""

    keep: int = Field(ge=1)
    keep_proven: int = Field(default=1, ge=1)


class ProofRound(Payload):
    """What was proved next, and what a recovery would take afterwards."""

    backup: str = ""
    """The newest one that nobody had restored; empty where all newer ones are proven or broken."""
    proven: bool = False
    problem: str = ""
    """Why it does not hold."""
    rows: int = 0
    seconds: float = 0.0
    newest_proven: str = ""
    """Empty where none is."""
    newest_proven_taken_at: datetime | None = None


class BackupProofReport(Payload):
    """What one run of the workflow did."""

    taken: TakenBackup | None = None
    rounds: tuple[ProofRound, ...] = ()
    pruned: PruneReport | None = None
    problems: tuple[str, ...] = ()
    """Sentences for people; a run with one fails once they were told."""
