"""What the engine has to know about an estate; its one reason to change is the configuration."""

from dataclasses import dataclass, field

from failback.config import Estate
from failback.models.common import Side
from failback.reverse_sync.connections import Servers
from failback.reverse_sync.direction import Direction
from failback.sections.checks import BusinessRule


@dataclass(frozen=True)
class SyncSettings:
    """Plain settings of a reverse sync; connection strings are kept out of its repr."""

    estate: str
    source_dsn: str = field(repr=False)
    target_dsn: str = field(repr=False)
    include: tuple[str, ...] = ("public.*",)
    exclude: tuple[str, ...] = ()
    batch_changes: int = 500_000
    """Captured changes per batch; a larger transaction still goes as one."""
    parallel: int = 4
    max_retained_wal_mb: int = 10_240
    on_wal_limit: str = "warn"
    """`warn`, or `drop_slot`: give capture up before the sender's disk is full."""
    sequence_headroom: int = 1000
    source_writer_roles: tuple[str, ...] = ()
    target_writer_roles: tuple[str, ...] = ()
    rules: tuple[BusinessRule, ...] = ()
    direction: Direction = field(default_factory=Direction)
    connect_timeout_seconds: float = 5.0
    archived: bool = False
    """Whether the target's changes are archived as well, by a slot of their own."""
    recheck_seconds: float = 5.0
    """So long a verification looks again at rows that differ while a side takes writes."""

    @classmethod
    def of(cls, estate: Estate) -> "SyncSettings":
        """The settings that a configuration file gives."""
        return cls(
            estate=estate.estate,
            source_dsn=estate.source.dsn.get_secret_value(),
            target_dsn=estate.target.dsn.get_secret_value(),
            include=estate.data.tables.include,
            exclude=estate.data.tables.exclude,
            batch_changes=estate.data.batch_changes,
            parallel=estate.data.parallel,
            max_retained_wal_mb=estate.data.max_retained_wal_mb,
            on_wal_limit=estate.data.on_wal_limit,
            sequence_headroom=estate.data.sequence_headroom,
            source_writer_roles=estate.source.writer_roles,
            target_writer_roles=estate.target.writer_roles,
            rules=estate.business_rules,
            archived=estate.archive is not None,
            connect_timeout_seconds=max(
                estate.source.connect_timeout_seconds, estate.target.connect_timeout_seconds
            ),
        )

    @property
    def servers(self) -> Servers:
        """How to reach both sides."""
        return Servers(self.source_dsn, self.target_dsn, self.connect_timeout_seconds)

    @property
    def object_name(self) -> str:
        """Name of the slot and the publication on either side."""
        return f"failback_{self.estate.replace('-', '_')}"

    @property
    def archive_name(self) -> str:
        """Name of the change archive's slot and publication on the target."""
        return archive_name(self.estate)

    @property
    def other_slots(self) -> tuple[str, ...]:
        """Slots of failback's that are in use besides the stream's."""
        return (self.archive_name,) if self.archived else ()

    def writer_roles(self, side: Side) -> tuple[str, ...]:
        """Roles that the product writes as on one side."""
        return self.source_writer_roles if side is Side.SOURCE else self.target_writer_roles


def archive_name(estate: str) -> str:
    """Name of the slot and of the publication of an estate's change archive."""
    return f"failback_archive_{estate.replace('-', '_')}"
