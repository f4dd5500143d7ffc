"""Effects of a disaster recovery: look, restore beside, replay, swap, return to service."""

import time

from temporalio import activity

from activities.failures import maps_errors_sync
from activities.heartbeating import heartbeat
from failback.beating import beating
from failback.errors import ConfigurationError, UnreachableError
from failback.models.common import Outcome
from failback.models.recovery import ArchiveState, Assessment, RestoreReport
from failback.models.requests import StepRequest
from failback.models.system import ItemsReport
from failback.models.system_requests import (
    ReplayArchiveRequest,
    RestorePartRequest,
    ServiceShareRequest,
    StabilityReport,
    WatchServiceRequest,
)
from failback.recovery_ports import ChangeArchive, Recovery


class RecoveryActivities:
    """Level 4's hands.

    Args:
        recovery: assesses, restores, swaps and returns; None where the estate has no such section.
        archive: captured changes beside the backups; None where none are kept.
    """

    def __init__(self, recovery: Recovery | None, archive: ChangeArchive | None) -> None:
        self._recovery = recovery
        self._archive = archive

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def assess_damage(self, _request: StepRequest) -> Assessment:
        """Look at every part of the source, and at what it could be restored from."""
        return self._known().assess(heartbeat)

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def activate_standby(self, _request: StepRequest) -> ItemsReport:
        """Make sure that the standby can take what is restored."""
        recovery = self._known()
        return _counted(beating(lambda _tell: recovery.activate(), heartbeat, "activating"))

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def restore_part(self, request: RestorePartRequest) -> RestoreReport:
        """Restore one part beside what is damaged, never over it."""
        report = self._known().restore(request.part, request.rollback_id, request.backup, heartbeat)
        return report.model_copy(update={"attempts": activity.info().attempt})

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def archive_now(self, _request: StepRequest) -> ArchiveState:
        """Archive all that the target has committed by now; exact once it is fenced."""
        if self._archive is None:
            return ArchiveState(detail="no change archive is configured")
        return self._archive.archive_once(heartbeat)

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def replay_archive(self, request: ReplayArchiveRequest) -> RestoreReport:
        """Replay archived changes into the restored database."""
        report = self._known().replay(request.rollback_id, request.backup, request.after, heartbeat)
        return report.model_copy(update={"attempts": activity.info().attempt})

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def verify_restored(self, request: StepRequest) -> ItemsReport:
        """Check what was restored."""
        return _counted(self._known().verify(request.rollback_id, heartbeat))

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def rebuild_connections(self, request: StepRequest) -> ItemsReport:
        """Point pools, DSNs, routing and secrets at what was restored."""
        recovery, rollback_id = self._known(), request.rollback_id
        return _counted(beating(lambda _tell: recovery.rebuild(rollback_id), heartbeat, "swapping"))

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def enable_service(self, request: ServiceShareRequest) -> ItemsReport:
        """Give one service its share of traffic."""
        recovery = self._known()
        return _counted(
            beating(
                lambda _tell: recovery.enable(request.service, request.share), heartbeat, "enabling"
            )
        )

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def watch_service(self, request: WatchServiceRequest) -> StabilityReport:
        """Look at a service until it was right for long enough without a break.

        A look that fails holds it: its time starts over. A worker that takes over starts the
        time over as well, because it cannot know what happened meanwhile.
        """
        began = stable_since = time.monotonic()
        looks = holds = 0
        detail = ""
        while True:
            right, seen = self._looked(request)
            looks += 1
            now = time.monotonic()
            if not right:
                holds, detail, stable_since = holds + 1, seen, now
            stable = right and now - stable_since >= request.stability_seconds
            if stable or now - began >= request.patience_seconds:
                return StabilityReport(
                    stable=stable,
                    holds=holds,
                    looks=looks,
                    detail=detail,
                    attempts=activity.info().attempt,
                )
            heartbeat(f"{request.service.value}: stable for {now - stable_since:.0f} s")
            activity.wait_for_cancelled_sync(request.look_seconds)

    def _known(self) -> Recovery:
        if self._recovery is None:
            raise ConfigurationError(
                "There is nothing to recover with: the configuration has no `recovery`.",
                "Add the section (docs/recovery.md), restart the worker, and repeat the step.",
            )
        return self._recovery

    def _looked(self, request: WatchServiceRequest) -> tuple[bool, str]:
        """Whether the service is right now, and what is seen of it."""
        try:
            recovery = self._known()
            report = beating(lambda _tell: recovery.look(request.service), heartbeat, "looking")
        except UnreachableError as error:
            return False, error.cause
        return report.outcome is not Outcome.FAILED, report.detail


def _counted(report: ItemsReport) -> ItemsReport:
    return report.model_copy(update={"attempts": activity.info().attempt})
