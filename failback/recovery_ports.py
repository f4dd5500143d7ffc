"""What disaster recovery needs: an archive of changes, and hands that assess and restore."""

from typing import Protocol

from failback.models.recovery import (
    ArchiveState,
    Assessment,
    BackupChoice,
    Part,
    RecoveryService,
    RestoreReport,
)
from failback.models.system import ItemsReport
from failback.ports import Progress


class ChangeArchive(Protocol):
    """Keeps captured changes with their rows beside the backups. Blocking; thread-safe.

    It reads the target alone, so that it goes on while the source is away. All methods raise
    UnreachableError, CredentialsError, MissingRightError and ArchiveError.
    """

    def arm(self) -> ArchiveState:
        """Begin to capture; idempotent. Everything committed from here on will be archived."""
        ...

    def disarm(self) -> None:
        """Stop capturing, and leave nothing on the target."""
        ...

    def archive_once(self, progress: Progress | None = None) -> ArchiveState:
        """Archive all that the target has committed by now; exact once it is fenced."""
        ...

    def state(self, backup: str = "") -> ArchiveState:
        """What is in the archive; with a backup's id, what of it lies beyond that backup."""
        ...

    def replay(
        self, backup: str, dsn: str, after: str = "", progress: Progress | None = None
    ) -> RestoreReport:
        """Replay what lies beyond a backup into a database that was restored from it.

        Repeatable: the database ends in the same state however often it is begun.

        Args:
            backup: its id.
            dsn: the restored database, by a role that may disable triggers there.
            after: `replayed_upto` of an earlier replay of the same database; empty for all.
            progress: told of long work; may raise to stop it.

        Raises:
            ArchiveError: the archive does not reach back to the backup, a segment is missing,
                or its bytes are not those that were written.
        """
        ...

    def prune(self, keep_from: str) -> int:
        """Delete segments that no backup from this one (an id) on needs; returns how many."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class Recovery(Protocol):
    """Assesses damage, restores beside it, and takes services into use again. Blocking.

    Every method may be repeated after a crash at any point. All raise UnreachableError and
    errors of the RecoveryError family.
    """

    def assess(self, progress: Progress | None = None) -> Assessment:
        """Look at every part of the source, and at what it could be restored from."""
        ...

    def choose_backup(self) -> BackupChoice:
        """The newest proven backup that can still be read, with those that were passed over."""
        ...

    def activate(self) -> ItemsReport:
        """Make sure that the standby answers, takes writes, and has roles and room."""
        ...

    def restore(
        self, part: Part, rollback_id: str, backup: str, progress: Progress | None = None
    ) -> RestoreReport:
        """Restore one part beside what is damaged, never over it."""
        ...

    def replay(
        self, rollback_id: str, backup: str, after: str = "", progress: Progress | None = None
    ) -> RestoreReport:
        """Replay archived changes into what `restore` made of the database."""
        ...

    def verify(self, rollback_id: str, progress: Progress | None = None) -> ItemsReport:
        """Check what was restored: amcheck, foreign keys, business rules, sequences, objects."""
        ...

    def rebuild(self, rollback_id: str) -> ItemsReport:
        """Point pools, DSNs, routing and secrets at what was restored; keep the damaged one."""
        ...

    def enable(self, service: RecoveryService, share: int) -> ItemsReport:
        """Give one service of the gradual return its share of traffic, in percent."""
        ...

    def look(self, service: RecoveryService) -> ItemsReport:
        """Validate one service that was enabled: one quick round."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
