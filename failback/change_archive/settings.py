"""What the archive has to know about an estate; its one reason to change is the configuration."""

from dataclasses import dataclass, field

from failback.models.common import Side
from failback.reverse_sync.connections import Connection, Servers
from failback.reverse_sync.settings import archive_name


@dataclass(frozen=True)
class ArchiveSettings:
    """Plain settings of a change archive; the connection string is kept out of its repr."""

    estate: str
    target_dsn: str = field(repr=False)
    include: tuple[str, ...] = ("public.*",)
    exclude: tuple[str, ...] = ()
    prefix: str = "archive"
    """Folders in the store, before the estate's own."""
    max_retained_wal_mb: int = 10_240
    """Beyond so much log the slot is given up: the target's disk goes before the archive."""
    idle_seconds: float = 60.0
    """While nothing changes, an empty segment says so this often."""
    sequence_headroom: int = 1000
    connect_timeout_seconds: float = 5.0

    @property
    def slot(self) -> str:
        """Name of the slot and of the publication on the target."""
        return archive_name(self.estate)

    @property
    def servers(self) -> Servers:
        """The target by both names: nobody else is ever asked."""
        return Servers(self.target_dsn, self.target_dsn, self.connect_timeout_seconds)

    def connect(self) -> Connection:
        """A session on the target, outside of a transaction."""
        return self.servers.connect(Side.TARGET, autocommit=True)
