"""A disaster recovery in a dry run: damage and backups are looked at, nothing is restored."""

from datetime import UTC, datetime

from failback.models.common import Outcome
from failback.models.recovery import (
    ArchiveState,
    Assessment,
    BackupChoice,
    Part,
    RecoveryService,
    RestoreReport,
)
from failback.models.system import Item, ItemsReport
from failback.ports import Progress
from failback.providers.dry_run.journal import DryRunJournal
from failback.recovery_ports import ChangeArchive, Recovery


class DryRunRecovery:
    """Implements `Recovery`: assessing is real, everything else is told."""

    def __init__(self, real: Recovery, journal: DryRunJournal) -> None:
        self._real = real
        self._journal = journal

    def assess(self, progress: Progress | None = None) -> Assessment:
        """See `Recovery.assess`."""
        found = self._real.assess(progress)
        for one in found.parts:
            self._journal.observed(f"{one.part.value} is {one.condition.value}")
        self._journal.observed(f"backup: {found.choice.backup or found.choice.detail or 'none'}")
        return found

    def choose_backup(self) -> BackupChoice:
        """See `Recovery.choose_backup`."""
        return self._real.choose_backup()

    def activate(self) -> ItemsReport:
        """See `Recovery.activate`."""
        return self._told("standby", "see that the standby can take what is restored")

    def restore(
        self, part: Part, rollback_id: str, backup: str, progress: Progress | None = None
    ) -> RestoreReport:
        """See `Recovery.restore`."""
        self._journal.would(f"restore {part.value} from backup {backup} beside what is damaged")
        return RestoreReport(part=part, outcome=Outcome.SUCCEEDED, backup=backup)

    def replay(
        self, rollback_id: str, backup: str, after: str = "", progress: Progress | None = None
    ) -> RestoreReport:
        """See `Recovery.replay`."""
        self._journal.would("replay archived changes on top of it")
        return RestoreReport(part=Part.DATABASE, outcome=Outcome.SUCCEEDED, backup=backup)

    def verify(self, rollback_id: str, progress: Progress | None = None) -> ItemsReport:
        """See `Recovery.verify`."""
        return self._told("restored", "check what was restored")

    def rebuild(self, rollback_id: str) -> ItemsReport:
        """See `Recovery.rebuild`."""
        return self._told("connections", "point pools, DSNs and routes at what was restored")

    def enable(self, service: RecoveryService, share: int) -> ItemsReport:
        """See `Recovery.enable`."""
        name = service.value.replace("_", " ")
        return self._told(name, f"give {name} {share} % of its traffic")

    def look(self, service: RecoveryService) -> ItemsReport:
        """See `Recovery.look`."""
        return ItemsReport(items=(Item(name=service.value, outcome=Outcome.SUCCEEDED),))

    def close(self) -> None:
        """See `Recovery.close`."""
        self._real.close()

    def _told(self, name: str, what: str) -> ItemsReport:
        self._journal.would(what)
        return ItemsReport(items=(Item(name=name, outcome=Outcome.SUCCEEDED, detail="dry run"),))


class DryRunArchive:
    """Implements `ChangeArchive`: nothing is archived."""

    def __init__(self, real: ChangeArchive, journal: DryRunJournal) -> None:
        self._real = real
        self._journal = journal

    def arm(self) -> ArchiveState:
        """See `ChangeArchive.arm`."""
        self._journal.would("begin to archive changes")
        return self._real.state()

    def disarm(self) -> None:
        """See `ChangeArchive.disarm`."""
        self._journal.would("stop archiving changes")

    def archive_once(self, progress: Progress | None = None) -> ArchiveState:
        """See `ChangeArchive.archive_once`."""
        self._journal.would("archive what the target has committed since the last segment")
        return self._real.state().model_copy(update={"last_commit_at": datetime.now(UTC)})

    def state(self, backup: str = "") -> ArchiveState:
        """See `ChangeArchive.state`."""
        return self._real.state(backup)

    def replay(
        self, backup: str, dsn: str, after: str = "", progress: Progress | None = None
    ) -> RestoreReport:
        """See `ChangeArchive.replay`."""
        self._journal.would(f"replay archived changes beyond backup {backup}")
        return RestoreReport(part=Part.DATABASE, outcome=Outcome.SUCCEEDED, backup=backup)

    def prune(self, keep_from: str) -> int:
        """See `ChangeArchive.prune`."""
        self._journal.would(f"delete segments before backup {keep_from}")
        return 0

    def close(self) -> None:
        """See `ChangeArchive.close`."""
        self._real.close()
