"""The mechanics of the write gap: hold, fence, drain, and how each of them is undone."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.database import DatabaseActivities
    from activities.traffic import TrafficActivities
    from failback.models.common import Side
    from failback.models.requests import (
        DrainRequest,
        FenceRequest,
        HoldRequestsRequest,
        OpenDoorRequest,
    )
    from failback.models.sync import DrainReport, FenceReport
from workflows import options
from workflows.rollback import RollbackWorkflow
from workflows.timeline import Step, StepFailedError


class WriteGapWorkflow(RollbackWorkflow):
    """A level that closes the write path on the target before traffic moves.

    What lies between hold and release is time in which nobody can write, so each of these
    is one small local activity.
    """

    async def hold_requests(self) -> None:
        """Keep customers waiting instead of failing. Where it fails, the level goes on."""
        budget = self.timeline.budget("hold", 2.0)
        self.undo.register("open the door", self.open_door)
        try:
            async with self.timeline.step("hold", budget) as step:
                report = await workflow.execute_local_activity_method(
                    TrafficActivities.hold_requests,
                    HoldRequestsRequest(
                        rollback_id=self.request.rollback_id,
                        step="hold",
                        routes=self.request.plan.routes,
                        leaving=Side.TARGET,
                        hold_seconds=self.request.plan.hold_seconds,
                    ),
                    **options.switch(budget),
                )
                self.held_at = report.at if report.supported else None
                step.observed(report.outcome, report.detail, report.attempts)
        except StepFailedError:
            workflow.logger.warning("requests are not held; customers may see errors")

    async def raise_target_fence(self, step: Step, budget: float) -> FenceReport:
        """Fence the target as the body of a step."""
        self.undo.register("lift the target's fence", self._lift_target)
        report = await workflow.execute_local_activity_method(
            DatabaseActivities.raise_fence,
            FenceRequest(
                rollback_id=self.request.rollback_id,
                step="fence",
                side=Side.TARGET,
                grace_seconds=self.request.plan.sync.fence_grace_seconds,
            ),
            **options.switch(budget),
        )
        step.observed(report.outcome, report.detail, report.attempts)
        return report

    async def drain_briefly(self, step: Step, deadline_seconds: float) -> DrainReport:
        """Drain inside the gap as the body of a step; inconclusive past the deadline."""
        report = await workflow.execute_local_activity_method(
            DatabaseActivities.drain,
            DrainRequest(
                rollback_id=self.request.rollback_id,
                step="drain",
                deadline_seconds=deadline_seconds,
            ),
            **options.switch(deadline_seconds + 1.0),
        )
        self.note_drain(step, report)
        return report

    def note_drain(self, step: Step, report: DrainReport) -> None:
        """Keep what a drain carried over."""
        self.synced_records += report.keys
        if self.lag_before_fence is None:
            self.lag_before_fence = report.lag_before_seconds
        step.observed(
            report.outcome,
            report.detail or f"{report.keys} keys, {report.sequences} sequences",
            report.attempts,
        )

    # Undoings, right whether or not what they undo happened.

    async def open_door(self) -> None:
        """Let held requests through, to whichever side has the traffic."""
        report = await workflow.execute_local_activity_method(
            TrafficActivities.open_door,
            OpenDoorRequest(
                rollback_id=self.request.rollback_id,
                step="open_door",
                services=tuple(route.service for route in self.request.plan.routes),
            ),
            **options.switch(5.0),
        )
        self.released_at = report.at

    async def _lift_target(self) -> None:
        await workflow.execute_local_activity_method(
            DatabaseActivities.lift_fence,
            FenceRequest(rollback_id=self.request.rollback_id, step="undo_fence", side=Side.TARGET),
            **options.switch(10.0),
        )
