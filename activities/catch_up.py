"""The catch-up: a large backlog that any worker on the task queue helps to carry."""

from temporalio import activity

from activities.failures import maps_errors_sync
from activities.heartbeating import heartbeat
from failback.catch_up_ports import CatchUpEngine
from failback.models.catch_up import (
    CarryShareRequest,
    CatchUpPlan,
    CatchUpReport,
    CatchUpRequest,
    SettleCatchUpRequest,
    ShareOutcome,
    ShareReport,
)


class CatchUpActivities:
    """Runs the catch-up's engine. Its methods block, and run in the worker's threads.

    A cancel arrives where progress is reported, and ends the statements at work.

    Args:
        engine: the engine of the estate.
    """

    def __init__(self, engine: CatchUpEngine) -> None:
        self._engine = engine

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def plan_catch_up(self, request: CatchUpRequest) -> CatchUpPlan:
        """Cut the backlog into shares; a retry finds those that an earlier attempt has kept."""
        del request
        plan = self._engine.plan_catch_up(heartbeat)
        return plan.model_copy(update={"attempts": activity.info().attempt})

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def carry_share(self, request: CarryShareRequest) -> ShareReport:
        """Carry one share; a retry of one that was committed says so."""
        report = self._engine.carry_share(request.run, request.share, heartbeat)
        if report.outcome is ShareOutcome.CARRIED:
            self._publish(request.estate, report)
        return report.model_copy(update={"attempts": activity.info().attempt})

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def settle_catch_up(self, request: SettleCatchUpRequest) -> CatchUpReport:
        """Move the position beyond the catch-up, or leave what is left to batches.

        A retry of one that was committed finds no catch-up any more, and says that others have
        taken over, which does no harm.
        """
        report = self._engine.settle_catch_up(request.run, heartbeat)
        return report.model_copy(update={"attempts": activity.info().attempt})

    @staticmethod
    def _publish(estate: str, report: ShareReport) -> None:
        meter = activity.metric_meter().with_additional_attributes({"estate": estate})
        meter.create_counter(
            "failback_catch_up_keys_total", "Changed keys carried over by shares of a catch-up."
        ).add(report.keys)
        meter.create_counter(
            "failback_catch_up_bytes_total", "Of the rows that shares of a catch-up copied."
        ).add(report.bytes)
        meter.create_histogram_float(
            "failback_catch_up_share_seconds", "How long a share of a catch-up took."
        ).record(report.seconds)
