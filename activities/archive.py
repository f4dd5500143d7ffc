"""Keeps the change archive up to date, and says how far behind the target it is."""

import time
from datetime import UTC, datetime

from temporalio import activity

from activities.failures import maps_errors_sync
from activities.heartbeating import heartbeat
from failback.errors import FailbackError
from failback.models.archive import KeepArchivedReport, KeepArchivedRequest
from failback.models.recovery import ArchiveState
from failback.recovery_ports import ChangeArchive

_FIRST_PAUSE_SECONDS = 1.0
_MOST_PAUSE_SECONDS = 30.0
_BEAT_SECONDS = 1.0


class ArchiveActivities:
    """Archives. Its methods block, and run in the worker's threads.

    Args:
        archive: the estate's.
    """

    def __init__(self, archive: ChangeArchive) -> None:
        self._archive = archive
        self._held_at: dict[str, datetime] = {}

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def keep_archived(self, request: KeepArchivedRequest) -> KeepArchivedReport:
        """Archive about every interval, for a stretch of time.

        A store or a target that is away is tried again, at longer and longer intervals; where it
        stays away, the stretch ends and says so.
        """
        report, began = KeepArchivedReport(), time.monotonic()
        pause, well_at = _FIRST_PAUSE_SECONDS, began
        while time.monotonic() - began < request.run_seconds:
            started = time.monotonic()
            try:
                state = self._archive.archive_once(heartbeat)
            except FailbackError as error:
                report = _failed(report, error)
                activity.logger.warning("changes were not archived: %s", error.cause)
                self._publish(request.estate, None)
                if time.monotonic() - well_at >= request.alert_seconds:
                    return report
                self._wait(min(pause, _MOST_PAUSE_SECONDS), error.cause)
                pause *= 2
                continue
            report = _done(report, state)
            self._publish(request.estate, state)
            pause, well_at = _FIRST_PAUSE_SECONDS, time.monotonic()
            left = request.interval_seconds - (time.monotonic() - started)
            self._wait(left, state.last_position)
        return report

    @staticmethod
    def _wait(seconds: float, told: str) -> None:
        """Wait, and go on telling that the work goes on; a cancel ends it."""
        until = time.monotonic() + seconds
        heartbeat(told)
        while (left := until - time.monotonic()) > 0:
            activity.wait_for_cancelled_sync(min(left, _BEAT_SECONDS))
            heartbeat(told)

    def _publish(self, estate: str, state: ArchiveState | None) -> None:
        """The archive's figures as metrics of the worker."""
        meter = activity.metric_meter().with_additional_attributes({"estate": estate})
        if state is None:
            meter.create_counter(
                "failback_archive_failures_total", "Attempts to archive changes that failed."
            ).add(1)
        elif state.last_commit_at is not None:
            self._held_at[estate] = state.last_commit_at
        held_at = self._held_at.get(estate)
        if held_at is not None:
            meter.create_gauge_float(
                "failback_archive_lag_seconds",
                "Since when the archive has not held everything that the target had committed.",
            ).set(max(0.0, (datetime.now(UTC) - held_at).total_seconds()))
        if state is not None:
            meter.create_gauge("failback_archive_segments", "Segments of the newest chain.").set(
                state.segments
            )


def _failed(report: KeepArchivedReport, error: FailbackError) -> KeepArchivedReport:
    return report.model_copy(
        update={"failed": report.failed + 1, "problem": error.cause, "cure": error.cure}
    )


def _done(report: KeepArchivedReport, state: ArchiveState) -> KeepArchivedReport:
    return report.model_copy(
        update={
            "rounds": report.rounds + 1,
            "segments": state.segments,
            "keys": state.keys,
            "last_position": state.last_position,
            "problem": "",
            "cure": "",
            "gap": state.gap,
        }
    )
