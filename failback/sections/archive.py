"""How captured changes are archived beside the backups."""

from pydantic import Field

from failback.sections.base import Section


class ArchiveConfig(Section):
    """The change archive; it lies where `backup` says that backups are kept."""

    interval_seconds: float = Field(default=10.0, gt=0, le=600)
    """About so often what the target has committed since is stored."""
    prefix: str = "archive"
    """Folders before the estate's own, beside the backups."""
    max_retained_wal_mb: int = Field(default=10_240, gt=0)
    """Beyond so much log the archive's slot is given up: the target's disk goes before it."""
    idle_seconds: float = Field(default=60.0, gt=0)
    """While nothing changes, an empty segment says so this often."""
    alert_seconds: float = Field(default=60.0, gt=0)
    """After so long without success somebody is told."""
