"""Effects on the two databases: fence, drain, verify, and the continuous reverse sync."""

import time
from datetime import UTC, datetime

from temporalio import activity

from activities.failures import maps_errors_sync
from activities.heartbeating import heartbeat
from failback.errors import FailbackError, SlotBusyError, SlotLostError, UnreachableError
from failback.models.common import Outcome, Side
from failback.models.requests import (
    DrainRequest,
    FenceRequest,
    KeepSyncedReport,
    KeepSyncedRequest,
    VerifyDataRequest,
)
from failback.models.sync import BatchReport, DrainReport, FenceReport, VerifyReport
from failback.ports import Evidence, ReverseSyncEngine

_LATE_DRAIN_SECONDS = 20.0
"""One stretch of the late drain; between stretches fences are looked at again."""
_TRY_AGAIN_SECONDS = 1.0
_BEFORE_FENCE_SECONDS = 0.3
"""So long parts of tables are compared before requests are held."""
_VERIFIED_SHARE = 0.25
"""Of the time between batches, at most, in which parts of tables are compared."""


class DatabaseActivities:
    """Runs the reverse sync engine. Its methods block, and run in the worker's threads.

    A cancel arrives where progress is reported, never as an exception in the middle of a
    transaction.

    Args:
        engine: the engine of the estate.
        evidence: keeps the certificate of an exact verification; None keeps none.
    """

    def __init__(self, engine: ReverseSyncEngine, evidence: Evidence | None = None) -> None:
        self._engine = engine
        self._evidence = evidence

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def catch_up(self, request: DrainRequest) -> DrainReport:
        """Drain before the fence, so that the drain inside it is short, and so is the proof."""
        report = self._drained(request)
        try:
            self._engine.verify_some(_BEFORE_FENCE_SECONDS)
            self._engine.warm()
        except FailbackError as error:
            # Whatever it is, the steps inside the fence meet it again, with time to spare or not.
            activity.logger.warning("not warmed up: %s", error.cause)
        return report

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def raise_fence(self, request: FenceRequest) -> FenceReport:
        """Make it impossible to acknowledge a write on one side, and prove it."""
        report = self._engine.raise_fence(request.side, request.grace_seconds)
        return report.model_copy(update={"attempts": activity.info().attempt})

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def lift_fence(self, request: FenceRequest) -> FenceReport:
        """Let writes in on one side; the engine holds the safety rules."""
        report = self._engine.lift_fence(request.side, request.accepted)
        return report.model_copy(update={"attempts": activity.info().attempt})

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def drain(self, request: DrainRequest) -> DrainReport:
        """Carry over all that was committed by now, then the sequences."""
        return self._drained(request)

    def _drained(self, request: DrainRequest) -> DrainReport:
        report = self._engine.drain(request.deadline_seconds, heartbeat)
        sequences = 0
        if report.outcome is Outcome.SUCCEEDED:
            sequences = self._engine.synchronise_sequences()
        return report.model_copy(
            update={"sequences": sequences, "attempts": activity.info().attempt}
        )

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def verify_data(self, request: VerifyDataRequest) -> VerifyReport:
        """Compare rows, digests, foreign keys and business rules of both sides.

        What was exact and equal is certified. A certificate that cannot be written fails nothing.
        """
        report = self._engine.verify(heartbeat)
        certificate, detail = "", report.detail
        if self._evidence is not None and report.exact and report.outcome is Outcome.SUCCEEDED:
            attested = self._evidence.certify(report, request.rollback_id)
            certificate = attested.path
            detail = " ".join(part for part in (detail, attested.detail) if part)
        return report.model_copy(
            update={
                "attempts": activity.info().attempt,
                "certificate": certificate,
                "detail": detail,
            }
        )

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def close_tail(self, request: DrainRequest) -> DrainReport:
        """Work until the tail is empty, however long a side stays away.

        While the source is fenced nobody writes there, so the tail is carried over as it is
        and the fence lifted afterwards. Once the source takes writes, rows that changed on
        both sides are parked as conflicts.
        """
        total = DrainReport(outcome=Outcome.INCONCLUSIVE)
        while True:
            try:
                total = _added(total, self._tail_stretch(request))
            except UnreachableError as error:
                heartbeat(error.cause)
            except SlotBusyError as error:
                heartbeat(error.cause)
            if total.outcome is Outcome.SUCCEEDED:
                return total.model_copy(update={"attempts": activity.info().attempt})
            heartbeat(f"{total.keys} keys carried over, the tail is not empty yet")
            activity.wait_for_cancelled_sync(_TRY_AGAIN_SECONDS)
            heartbeat("trying again")

    def _tail_stretch(self, request: DrainRequest) -> DrainReport:
        """Fence the target, drain for a while, and let the source's writers in."""
        if not self._engine.fenced(Side.TARGET):
            fence = self._engine.raise_fence(Side.TARGET, 1.0)
            if fence.outcome is not Outcome.SUCCEEDED:
                return DrainReport(outcome=Outcome.INCONCLUSIVE, detail=fence.detail)
        source_fenced = self._engine.fenced(Side.SOURCE)
        drain = self._engine.drain if source_fenced else self._engine.drain_late
        report = drain(min(request.deadline_seconds, _LATE_DRAIN_SECONDS), heartbeat)
        if report.outcome is not Outcome.SUCCEEDED:
            return report
        sequences = self._engine.synchronise_sequences()
        if source_fenced:
            self._engine.lift_fence(Side.SOURCE)
        return report.model_copy(update={"sequences": sequences})

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def keep_synced(self, request: KeepSyncedRequest) -> KeepSyncedReport:
        """Run a batch about every interval, for a stretch of time, and publish its figures."""
        report = KeepSyncedReport()
        started = time.monotonic()
        while time.monotonic() - started < request.run_seconds:
            began = time.monotonic()
            try:
                batch = self._engine.run_batch()
            except SlotBusyError as busy:
                batch = BatchReport(position=report.position, skipped=busy.cause)
            except SlotLostError as lost:
                # Nothing mends this but arming again; until then it is said, over and over.
                self._publish_capture(request.estate)
                activity.logger.error("capture is lost: %s", lost.cause)
                raise
            self._publish(request.estate, batch)
            report = report.model_copy(
                update={
                    "batches": report.batches + (not batch.skipped),
                    "skipped": report.skipped + bool(batch.skipped),
                    "keys": report.keys + batch.keys,
                    "position": batch.position,
                }
            )
            heartbeat(batch.position)
            if 0 < request.hand_over_bytes <= batch.backlog_bytes:
                return report.model_copy(update={"backlog_bytes": batch.backlog_bytes})
            if batch.caught_up:
                self._verify_some(request)
            behind = not (batch.caught_up or batch.skipped or batch.stopped)
            pause = 0.0 if behind else request.interval_seconds - (time.monotonic() - began)
            if pause > 0:
                activity.wait_for_cancelled_sync(pause)
        return report

    def _verify_some(self, request: KeepSyncedRequest) -> None:
        """Keep what has to be compared inside a fence small; right after a batch least moves."""
        try:
            ledger = self._engine.verify_some(_VERIFIED_SHARE * request.interval_seconds)
        except FailbackError as error:
            # The sync goes on; a later verification reads what this one could not.
            activity.logger.warning("the ledger was not kept: %s", error.cause)
            return
        meter = activity.metric_meter().with_additional_attributes({"estate": request.estate})
        meter.create_gauge(
            "failback_ledger_dirty_chunks",
            "Parts of tables that are not known to be equal, and would be read inside the fence.",
        ).set(ledger.dirty)
        meter.create_gauge(
            "failback_ledger_clean_chunks",
            "Parts of tables that both sides agreed on and nothing has changed since.",
        ).set(ledger.clean)
        meter.create_gauge(
            "failback_ledger_differing_chunks",
            "Parts that the last pass read and did not find equal.",
        ).set(ledger.differing)

    def _publish(self, estate: str, batch: BatchReport) -> None:
        """The sync's figures as metrics of the worker."""
        meter = activity.metric_meter().with_additional_attributes({"estate": estate})
        if batch.skipped:
            meter.create_counter(
                "failback_sync_skipped_total",
                "Batches that stood aside because a rollback or a command held the stream.",
            ).add(1)
            return
        meter.create_counter(
            "failback_sync_batches_total",
            "Batches of the continuous sync that were committed on the source.",
        ).add(1)
        meter.create_counter("failback_sync_keys_total", "Changed keys carried over.").add(
            batch.keys
        )
        meter.create_gauge_float(
            "failback_sync_lag_seconds",
            "Age of the oldest change of the last batch when it was read.",
        ).set(batch.lag_seconds)
        meter.create_histogram_float(
            "failback_sync_batch_seconds", "How long a batch took, reading included."
        ).record(batch.seconds)
        if batch.caught_up:
            meter.create_gauge_float(
                "migration_last_sync_timestamp", "When the source last had everything."
            ).set(datetime.now(UTC).timestamp())
        self._publish_capture(estate)

    def _publish_capture(self, estate: str) -> None:
        """What capture keeps on the target's disk, and whether it is lost."""
        meter = activity.metric_meter().with_additional_attributes({"estate": estate})
        try:
            status = self._engine.status()
        except FailbackError:
            return
        meter.create_gauge(
            "failback_sync_retained_wal_bytes", "Write-ahead log that the slot keeps on the target."
        ).set(status.retained_wal_bytes or 0)
        meter.create_gauge(
            "failback_sync_captured_bytes",
            "What capture keeps on the target's disk, whichever way.",
        ).set(status.captured_bytes or 0)
        meter.create_gauge("failback_sync_capture_lost", "1 where changes may be missing.").set(
            int(status.capture_lost)
        )
        meter.create_gauge(
            "failback_sync_over_limit", "1 where capture keeps more than data.max_retained_wal_mb."
        ).set(int(status.over_limit))
        meter.create_gauge(
            "failback_sync_at_risk_bytes",
            "Write-ahead log of the target that the source does not have yet.",
        ).set(status.lag_bytes or 0)
        meter.create_gauge(
            "failback_sync_open_conflicts", "Parked conflicts that nobody has settled."
        ).set(status.open_conflicts)
        if status.over_limit:
            activity.logger.warning("capture keeps more than data.max_retained_wal_mb allows")


def _added(total: DrainReport, stretch: DrainReport) -> DrainReport:
    """The sum of what several stretches of one drain did, with the last one's outcome."""
    return stretch.model_copy(
        update={
            "batches": total.batches + stretch.batches,
            "changes": total.changes + stretch.changes,
            "keys": total.keys + stretch.keys,
            "seconds": total.seconds + stretch.seconds,
            "conflicts": total.conflicts + stretch.conflicts,
        }
    )
