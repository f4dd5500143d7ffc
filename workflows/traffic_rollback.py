"""Level 1: customers are served by the source again, within seconds."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.database import DatabaseActivities
    from activities.dns import DnsActivities
    from activities.traffic import TrafficActivities
    from activities.verification import VerificationActivities
    from failback.models.common import Outcome, Side
    from failback.models.requests import (
        CheckServiceRequest,
        FenceRequest,
        ForceTrafficRequest,
        PointNamesRequest,
        ShiftWeightsRequest,
    )
    from failback.models.rollback import DataLoss, EmergencyAction, RollbackRequest, RollbackResult
from workflows import options
from workflows.timeline import StepFailedError
from workflows.write_gap import WriteGapWorkflow


@workflow.defn(name="TrafficRollback")
class TrafficRollback(WriteGapWorkflow):
    """Hold, fence, drain, flip, open; then names, checks, and whatever tail is left."""

    @workflow.init
    def __init__(self, request: RollbackRequest) -> None:
        self.prepare(request)
        self._armed = True
        self._fenced = request.already_fenced
        self._drained = request.already_fenced and not request.tail_accepted

    @workflow.run
    async def run(self, request: RollbackRequest) -> RollbackResult:
        """Send the traffic back to the source, and leave no write behind."""
        return await self.carried_out()

    async def plan(self) -> RollbackResult:
        """See `RollbackWorkflow.plan`."""
        if not await self.began():
            return await self.closed(success=False)
        async with self.measuring_availability():
            try:
                await self._close_write_path()
                await self._shift_load_balancer()
                await self._open_source()
                await self._shift_dns()
                await self._verify_service()
            except StepFailedError as failure:
                await self._force_failover(failure)
            self.service_restored()
            await self.notify_stakeholders(*self._message())
        await self.go_higher(self.so_far())
        if not self.request.is_child and self.data_loss.tail == "pending":
            await self.drain_tail()
        return await self.closed(success=self.error is None)

    # The write gap: hold, fence, drain, flip, open. Each is one small local activity.

    async def _close_write_path(self) -> None:
        """Hold requests, fence the target, drain for a moment. A parent may have done it."""
        if self.request.already_fenced:
            self.undo.commit()
            self.data_loss = DataLoss(
                tail="empty" if self._drained else "pending",
                lost_rows=0 if self._drained else None,
            )
            await self._hold_again()
            return
        await self.hold_requests()
        await self._fence_target()
        await self._drain_briefly()
        self.undo.commit()

    async def _hold_again(self) -> None:
        """The parent's hold may have run out while it verified; a second one costs nothing."""
        until = self.request.held_until
        if until is not None and (until - workflow.now()).total_seconds() < 1.0:
            await self.hold_requests()

    async def _fence_target(self) -> None:
        """Fence the side that is left. Without a fence the tail cannot be known."""
        budget = self.timeline.budget("fence", 5.0)
        policy = self.request.plan.sync
        try:
            async with self.timeline.step("fence", budget) as step:
                report = await self.raise_target_fence(step, budget)
                self._fenced = report.outcome is Outcome.SUCCEEDED
                if not self._fenced:
                    self.data_loss = DataLoss(
                        lost_rows=None,
                        tail="pending",
                        detail=f"the fence is not proved: {report.detail}",
                    )
        except StepFailedError as failure:
            self._armed = failure.cause_type != "NotArmedError"
            self.data_loss = DataLoss(
                lost_rows=None,
                tail="pending" if self._armed else "unknown",
                detail=f"the target could not be fenced: {failure.detail}",
            )
            if not self._armed and policy.unarmed == "refuse":
                raise

    async def _drain_briefly(self) -> None:
        """Carry the tail over if it is short; else flip, and carry it over afterwards."""
        if not self._fenced:
            return
        deadline = self.request.plan.sync.drain_deadline_seconds
        try:
            async with self.timeline.step("drain", deadline) as step:
                report = await self.drain_briefly(step, deadline)
                self._drained = report.outcome is Outcome.SUCCEEDED
        except StepFailedError as failure:
            self.data_loss = DataLoss(lost_rows=None, tail="pending", detail=failure.detail)
            return
        if not self._drained:
            self.data_loss = DataLoss(
                lost_rows=None, tail="pending", detail="the drain's deadline passed"
            )

    async def _shift_load_balancer(self) -> None:
        budget = self.timeline.budget("load_balancer", 5.0)
        async with self.timeline.step("load_balancer", budget) as step:
            report = await workflow.execute_local_activity_method(
                TrafficActivities.shift_weights,
                ShiftWeightsRequest(
                    rollback_id=self.request.rollback_id,
                    step="load_balancer",
                    routes=self.request.plan.routes,
                    live=Side.SOURCE,
                ),
                **options.switch(budget),
            )
            step.observed(report.outcome, report.detail, report.attempts)

    async def _open_source(self) -> None:
        """Let writers in on the source, then let held requests through."""
        budget = self.timeline.budget("open_source", 5.0)
        async with self.timeline.step("open_source", budget) as step:
            try:
                detail, attempts = await self._lift_source(budget)
            finally:
                await self.open_door()
            step.observed(Outcome.SUCCEEDED, detail, attempts)

    async def _lift_source(self, budget: float) -> tuple[str, int]:
        """Lift the source's fence where a rule or a person lets it be lifted."""
        if not self._armed:
            return "nothing was armed, so failback never fenced the source", 1
        accepted = self._tail_accepted()
        if not self._drained and not accepted:
            return "the source stays fenced until the tail is empty", 1
        report = await workflow.execute_local_activity_method(
            DatabaseActivities.lift_fence,
            FenceRequest(
                rollback_id=self.request.rollback_id,
                step="open_source",
                side=Side.SOURCE,
                accepted=accepted,
            ),
            **options.switch(budget),
        )
        return report.detail or "the source takes writes", report.attempts

    def _tail_accepted(self) -> str:
        """Who or what accepts that the source is opened before the tail is empty."""
        if self._drained:
            return ""
        if self.request.tail_accepted:
            return self.request.tail_accepted
        if self.request.plan.sync.flip_with_tail:
            return "the estate's policy for level 1 (sync.flip_with_tail)"
        return ""

    # Outside the write gap.

    async def _shift_dns(self) -> None:
        budget = self.timeline.budget("dns", 10.0)
        wait = self.request.plan.resolver_wait_seconds
        async with self.timeline.step("dns", budget) as step:
            report = await workflow.execute_activity_method(
                DnsActivities.point_names,
                PointNamesRequest(
                    rollback_id=self.request.rollback_id,
                    step="dns",
                    records=self.request.plan.records,
                    live=Side.SOURCE,
                    wait_seconds=wait,
                ),
                **options.long(budget + wait),
            )
            step.observed(report.outcome, report.detail, report.attempts)

    async def _verify_service(self) -> None:
        budget = self.timeline.budget("verify", 10.0)
        minimum = self.request.plan.minimum_availability
        async with self.timeline.step("verify", budget) as step:
            report = await workflow.execute_activity_method(
                VerificationActivities.check_service,
                CheckServiceRequest(
                    rollback_id=self.request.rollback_id,
                    step="verify",
                    minimum_availability=minimum,
                    patience_seconds=0.6 * budget,
                ),
                **options.effect(2 * budget),
            )
            if not report.checks:
                step.observed(Outcome.INCONCLUSIVE, "no checks are configured", report.attempts)
                return
            failed = [check for check in report.checks if check.outcome is not Outcome.SUCCEEDED]
            outcome = Outcome.SUCCEEDED if report.availability >= minimum else Outcome.FAILED
            step.observed(
                outcome,
                f"{len(report.checks) - len(failed)} of {len(report.checks)} checks passed"
                + "".join(f"; {check.name}: {check.detail}" for check in failed),
                report.attempts,
            )

    async def _force_failover(self, failure: StepFailedError) -> None:
        """The plan failed: every path that still answers goes to the source."""
        self.error = str(failure)
        self.emergency_action = EmergencyAction.FORCED_FAILOVER
        if not self.undo.committed:
            # Refused before anything moved: the estate chose not to go on unarmed.
            self.emergency_action = None
            await self.open_door()
            return
        budget = self.timeline.budget("forced_failover", 10.0)
        try:
            async with self.timeline.step("forced_failover", budget) as step:
                report = await workflow.execute_activity_method(
                    TrafficActivities.force_traffic,
                    ForceTrafficRequest(
                        rollback_id=self.request.rollback_id,
                        step="forced_failover",
                        routes=self.request.plan.routes,
                        records=self.request.plan.records,
                        live=Side.SOURCE,
                    ),
                    # Each path has its time to answer, also after a worker has died with it.
                    **options.effect(2 * budget),
                )
                step.observed(
                    Outcome.INCONCLUSIVE if report.failed else Outcome.SUCCEEDED,
                    f"moved {', '.join(report.moved) or 'nothing'}"
                    + (f"; no answer from {', '.join(report.failed)}" if report.failed else ""),
                    report.attempts,
                )
        except StepFailedError as second:
            self.error = f"{self.error}; {second}"
        if failure.step in ("load_balancer", "open_source"):
            self.data_loss = self.data_loss.model_copy(update={"tail": "pending"})

    def _message(self) -> tuple[str, str]:
        plan = self.request.plan
        verdict = "is back on the source"
        if self.error:
            verdict = "failed over by force" if self.emergency_action else "was not moved"
        return (
            f"{plan.estate}: traffic {verdict}",
            (
                f"Rollback {self.request.rollback_id}, level {self.request.level.value}. "
                f"Reason: {self.request.reason}. Tail: {self.data_loss.tail}. {self.error or ''}"
            ),
        )
