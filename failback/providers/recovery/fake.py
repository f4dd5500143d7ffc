"""A recovery in memory, for tests of everything that leads one."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from failback.errors import NoProvenBackupError, NothingRestoredError
from failback.models.common import Outcome
from failback.models.recovery import (
    ArchiveState,
    Assessment,
    BackupChoice,
    Condition,
    Part,
    PartAssessment,
    RecoveryService,
    RestoreReport,
)
from failback.models.system import Item, ItemsReport
from failback.ports import Progress
from failback.providers.faults import Call, Faults

_ROWS = 1000
_BYTES = 65_536
_LAG_SECONDS = 5.0


class FakeRecovery(Faults):
    """Implements `Recovery` in memory.

    Every method is recorded, fails as `fail` says, and hangs as `hang` says (see `Faults`). One
    that answers with a report answers with a failed one as often as `spoil` says.

    Args:
        conditions: what is damaged; the database is gone where nothing is said.
        backup: the id of the proven backup; empty for none.
        passed_over: newer backups that cannot be taken, by id with why.
        target_answers: what an assessment says of the target.
        calls: see `Faults`.
        clock: the time of every report.
    """

    def __init__(
        self,
        conditions: Mapping[Part, Condition] | None = None,
        *,
        backup: str = "20260101T000000.000000Z-00000a",
        passed_over: Mapping[str, str] | None = None,
        target_answers: bool = True,
        calls: list[Call] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__("recovery", calls)
        self.conditions = dict.fromkeys(Part, Condition.HEALTHY)
        self.conditions.update(conditions or {Part.DATABASE: Condition.GONE})
        self.backup = backup
        self.target_answers = target_answers
        self.restored: dict[str, dict[Part, str]] = {}
        """Of each rollback, the parts that were restored, with the backup's id."""
        self.replayed: dict[str, str] = {}
        """Of each rollback, the position that its database was replayed up to."""
        self.rebuilt: list[str] = []
        """Rollbacks whose restored parts took over."""
        self.shares: dict[RecoveryService, int] = {}
        """Percent of its traffic that each service was given last."""
        self._passed_over = dict(passed_over or {})
        self._clock = clock
        self._spoilt: dict[str, list[str]] = {}

    def spoil(self, method: str, times: int = 1, detail: str = "told to fail") -> None:
        """Let the next calls of a method answer that it failed.

        Args:
            method: `activate`, `restore`, `replay`, `verify`, `rebuild`, `enable` or `look`.
            times: how many calls.
            detail: what the report says.
        """
        self._known(method)
        self._spoilt.setdefault(method, []).extend([detail] * times)

    def assess(self, progress: Progress | None = None) -> Assessment:
        """See `Recovery.assess`."""
        self._called_blocking("assess")
        _tell(progress, "Looking at every part of the source.")
        return Assessment(
            at=self._clock(),
            parts=tuple(self._assessed(part) for part in Part),
            choice=self._choice(),
            archive=self._archive(),
            target_answers=self.target_answers,
            loss_seconds=(0.0 if self.target_answers else _LAG_SECONDS) if self.backup else None,
            restore_seconds=1.0 if self.backup else None,
        )

    def choose_backup(self) -> BackupChoice:
        """See `Recovery.choose_backup`."""
        self._called_blocking("choose_backup")
        return self._choice()

    def activate(self) -> ItemsReport:
        """See `Recovery.activate`."""
        self._called_blocking("activate")
        return self._report("activate", "standby")

    def restore(
        self, part: Part, rollback_id: str, backup: str, progress: Progress | None = None
    ) -> RestoreReport:
        """See `Recovery.restore`."""
        self._called_blocking("restore", part, rollback_id, backup)
        if not self.backup or backup != self.backup:
            raise NoProvenBackupError(
                f"There is no proven backup {backup!r}.", "Prove one: `failback backup prove`."
            )
        _tell(progress, f"Restoring the {part.value}.")
        detail = self._spoiling("restore")
        if not detail:
            self.restored.setdefault(rollback_id, {})[part] = backup
        return RestoreReport(
            part=part,
            outcome=Outcome.FAILED if detail else Outcome.SUCCEEDED,
            place=f"failback_{rollback_id} on the fake standby",
            backup=backup,
            tables=3 if part is Part.DATABASE else 0,
            rows=_ROWS if part is Part.DATABASE else 0,
            bytes=_BYTES if part is Part.DATABASE else 0,
            seconds=1.0,
            detail=detail,
        )

    def replay(
        self, rollback_id: str, backup: str, after: str = "", progress: Progress | None = None
    ) -> RestoreReport:
        """See `Recovery.replay`."""
        self._called_blocking("replay", rollback_id, backup, after)
        self._need(rollback_id)
        _tell(progress, "Replaying archived changes.")
        detail = self._spoiling("replay")
        archive = self._archive()
        if not detail:
            self.replayed[rollback_id] = archive.last_position
        return RestoreReport(
            part=Part.DATABASE,
            outcome=Outcome.FAILED if detail else Outcome.SUCCEEDED,
            place=f"failback_{rollback_id} on the fake standby",
            backup=backup,
            replayed_segments=archive.segments,
            replayed_keys=archive.keys,
            replayed_upto=after if detail else archive.last_position,
            replayed_commit_at=None if detail else archive.last_commit_at,
            seconds=0.5,
            detail=detail,
        )

    def verify(self, rollback_id: str, progress: Progress | None = None) -> ItemsReport:
        """See `Recovery.verify`."""
        self._called_blocking("verify", rollback_id)
        self._need(rollback_id)
        _tell(progress, "Checking what was restored.")
        return self._report("verify", "amcheck", "foreign keys", "business rules", "sequences")

    def rebuild(self, rollback_id: str) -> ItemsReport:
        """See `Recovery.rebuild`."""
        self._called_blocking("rebuild", rollback_id)
        self._need(rollback_id)
        report = self._report("rebuild", "database/source", "source_database/source")
        if report.outcome is Outcome.SUCCEEDED and rollback_id not in self.rebuilt:
            self.rebuilt.append(rollback_id)
        return report

    def enable(self, service: RecoveryService, share: int) -> ItemsReport:
        """See `Recovery.enable`."""
        self._called_blocking("enable", service, share)
        report = self._report("enable", service.value)
        if report.outcome is Outcome.SUCCEEDED:
            self.shares[service] = share
        return report

    def look(self, service: RecoveryService) -> ItemsReport:
        """See `Recovery.look`."""
        self._called_blocking("look", service)
        return self._report("look", service.value)

    def close(self) -> None:
        """See `Recovery.close`."""
        self._called_blocking("close")

    def _assessed(self, part: Part) -> PartAssessment:
        condition = self.conditions[part]
        outcome = {Condition.HEALTHY: Outcome.SUCCEEDED, Condition.UNKNOWN: Outcome.INCONCLUSIVE}
        seen = Item(
            name="can connect",
            outcome=outcome.get(condition, Outcome.FAILED),
            detail=f"the fake {part.value} is {condition.value}",
        )
        return PartAssessment(part=part, condition=condition, evidence=(seen,))

    def _choice(self) -> BackupChoice:
        passed_over = tuple(
            Item(name=name, outcome=Outcome.FAILED, detail=why)
            for name, why in self._passed_over.items()
        )
        if not self.backup:
            return BackupChoice(
                passed_over=passed_over,
                detail="No backup is proven: prove one with `failback backup prove`.",
            )
        now = self._clock()
        return BackupChoice(
            backup=self.backup,
            taken_at=now - timedelta(hours=1),
            proven_at=now - timedelta(minutes=30),
            bytes=_BYTES,
            rows=_ROWS,
            passed_over=passed_over,
        )

    def _archive(self) -> ArchiveState:
        lag = timedelta(seconds=0 if self.target_answers else _LAG_SECONDS)
        return ArchiveState(
            segments=6,
            keys=120,
            first_position="0/1000",
            last_position="0/2000",
            last_commit_at=self._clock() - lag,
            joins_backup=bool(self.backup),
        )

    def _need(self, rollback_id: str) -> None:
        if Part.DATABASE not in self.restored.get(rollback_id, {}):
            raise NothingRestoredError(
                f"No database was restored for {rollback_id}.", "Restore it first."
            )

    def _spoiling(self, method: str) -> str:
        details = self._spoilt.get(method)
        return details.pop(0) if details else ""

    def _report(self, method: str, *names: str) -> ItemsReport:
        detail = self._spoiling(method)
        outcome = Outcome.FAILED if detail else Outcome.SUCCEEDED
        return ItemsReport(
            items=tuple(Item(name=name, outcome=outcome, detail=detail) for name in names)
        )


def _tell(progress: Progress | None, text: str) -> None:
    if progress is not None:
        progress(text)
