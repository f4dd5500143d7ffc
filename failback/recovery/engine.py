"""The recovery of one estate. Its parts have modules of their own; this puts them together."""

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from failback.beating import beating
from failback.errors import ArchiveGapError, BackupError, FailbackError, RecoveryError
from failback.models.common import Outcome
from failback.models.recovery import (
    Assessment,
    BackupChoice,
    Part,
    RecoveryService,
    RestoreReport,
)
from failback.models.system import ItemsReport
from failback.ports import Progress
from failback.recovery import activating, assessing, choosing, verifying
from failback.recovery.rebuilding import Rebuilder
from failback.recovery.restoring import Restorer
from failback.recovery.returning import Returner
from failback.recovery.settings import Hands, RecoverySettings
from failback.recovery.standby import Standby
from failback.recovery.waiting import Loop

__all__ = ["EstateRecovery"]


class EstateRecovery:
    """Implements `Recovery`. Nothing is connected to yet.

    Args:
        settings: the estate.
        hands: its ports, which are this recovery's own: no other event loop uses them.
    """

    def __init__(self, settings: RecoverySettings, hands: Hands) -> None:
        self._settings = settings
        self._hands = hands
        self._loop = Loop()
        self._standby = Standby(settings)
        parts = (settings, hands, self._standby, self._loop)
        self._restorer = Restorer(*parts)
        self._rebuilder = Rebuilder(*parts)
        self._returner = Returner(*parts)

    def assess(self, progress: Progress | None = None) -> Assessment:
        """See `Recovery.assess`."""
        return beating(
            partial(assessing.assess, self._settings, self._hands, self._loop),
            progress,
            "Looking at the source.",
        )

    def choose_backup(self) -> BackupChoice:
        """See `Recovery.choose_backup`."""
        try:
            return choosing.choose(self._hands.vault)
        except BackupError as error:
            raise RecoveryError(error.cause, error.cure) from error

    def activate(self) -> ItemsReport:
        """See `Recovery.activate`."""
        return activating.activate(self._settings, self._hands, self._standby)

    def restore(
        self, part: Part, rollback_id: str, backup: str, progress: Progress | None = None
    ) -> RestoreReport:
        """See `Recovery.restore`."""
        return beating(
            partial(self._restorer.restore, part, rollback_id, backup),
            progress,
            f"Restoring the {part.value}.",
        )

    def replay(
        self, rollback_id: str, backup: str, after: str = "", progress: Progress | None = None
    ) -> RestoreReport:
        """See `Recovery.replay`."""
        return beating(
            partial(self._replay, rollback_id, backup, after), progress, "Replaying the archive."
        )

    def _replay(
        self, rollback_id: str, backup: str, after: str, progress: Progress
    ) -> RestoreReport:
        restored = self._standby.needed(rollback_id)
        dsn = self._standby.dsn(restored.name)
        if self._hands.archive is None:
            report = self._not_replayed(
                backup or restored.backup, "no change archive is configured"
            )
        else:
            try:
                report = self._hands.archive.replay(backup or restored.backup, dsn, after, progress)
            except ArchiveGapError as error:
                # The assessment has said that they do not join, and what that costs.
                report = self._not_replayed(backup or restored.backup, error.cause.rstrip("."))
        moved = verifying.raise_sequences(
            self._standby, restored.name, self._settings.sequence_headroom
        )
        if not after:
            # A dump brings no statistics: without them the first customers would wait.
            with self._standby.session(restored.name) as session:
                session.execute("ANALYZE")
        details = [report.detail] if report.detail else []
        if moved:
            details.append(f"{moved} sequences were set beyond their columns")
        return report.model_copy(
            update={
                "part": Part.DATABASE,
                "place": f"{restored.name} on {self._standby.place}",
                "detail": "; ".join(details),
            }
        )

    def verify(self, rollback_id: str, progress: Progress | None = None) -> ItemsReport:
        """See `Recovery.verify`."""
        return beating(
            partial(verifying.verify, self._settings, self._hands, self._standby, rollback_id),
            progress,
            "Checking what was restored.",
        )

    def rebuild(self, rollback_id: str) -> ItemsReport:
        """See `Recovery.rebuild`."""
        return self._rebuilder.rebuild(rollback_id)

    def enable(self, service: RecoveryService, share: int) -> ItemsReport:
        """See `Recovery.enable`."""
        return self._returner.enable(service, share)

    def look(self, service: RecoveryService) -> ItemsReport:
        """See `Recovery.look`."""
        return self._returner.look(service)

    def close(self) -> None:
        """See `Recovery.close`."""
        hands = self._hands
        for port in (hands.balancer, hands.checks, hands.functions, hands.configuration):
            if port is not None:
                self._loop.run(port.aclose())
        for kept in (
            hands.vault,
            hands.archive,
            hands.storage,
            hands.source_objects,
            hands.target_objects,
        ):
            if kept is not None:
                kept.close()
        self._loop.close()

    def _not_replayed(self, backup: str, why: str) -> RestoreReport:
        """Everything since the backup is lost, and the report says so."""
        taken_at: datetime | None = None
        with suppress(FailbackError):
            taken_at = self._hands.vault.checked(backup)[0].taken_at
        since = (
            "" if taken_at is None else f" since {taken_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        )
        return RestoreReport(
            part=Part.DATABASE,
            outcome=Outcome.SUCCEEDED,
            backup=backup,
            replayed_commit_at=taken_at,
            detail=f"{why}: what was written{since} is not restored",
        )
