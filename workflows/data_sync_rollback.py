"""Level 2: the source gets every write that the target acknowledged, then the traffic."""

import asyncio
import contextlib
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.database import DatabaseActivities
    from activities.verification import VerificationActivities
    from failback.models.common import Level, Outcome
    from failback.models.requests import DrainRequest, SourceLiveRequest, VerifyDataRequest
    from failback.models.rollback import DataLoss, EmergencyAction, RollbackRequest, RollbackResult
    from failback.models.sync import DrainReport, VerifyReport
from workflows import options
from workflows.timeline import StepFailedError
from workflows.traffic_rollback import TrafficRollback
from workflows.write_gap import WriteGapWorkflow

_SHORT_DRAIN_SECONDS = 2.0
"""The drain inside the fence is tried as a local activity for so long."""


@workflow.defn(name="DataSyncRollback")
class DataSyncRollback(WriteGapWorkflow):
    """Fence the target, sync back, verify, then level 1 as a child, then resume."""

    @workflow.init
    def __init__(self, request: RollbackRequest) -> None:
        self.prepare(request)
        self.prepare_sync()

    @workflow.run
    async def run(self, request: RollbackRequest) -> RollbackResult:
        """Bring data and traffic back to the source, once people have approved."""
        return await self.carried_out()

    async def plan(self) -> RollbackResult:
        """See `RollbackWorkflow.plan`."""
        if not await self.began():
            return await self.closed(success=False)
        async with self.measuring_availability():
            try:
                if await self.caught_up():
                    await self.hold_requests()
                    await self.fence_target()
                    await self.sync_back()
                    await self.verify_integrity()
                    await self.roll_traffic_back()
                else:
                    await self.roll_traffic_back_at_once()
                await self.resume_operations()
            except StepFailedError as failure:
                await self._roll_traffic_back_without_sync(failure)
            self.service_restored()
        await self.go_higher(self.so_far())
        if self.data_loss.tail == "pending":
            await self.drain_tail()
        return await self.closed(success=self.error is None)

    def may_escalate(self) -> bool:
        """Until the target is held and fenced; from there on this level is as quick as level 1."""
        return super().may_escalate() or self._catching_up

    def prepare_sync(self) -> None:
        """Make this level's own state, before any message can arrive."""
        self._fenced = False
        self._catching_up = False

    async def caught_up(self) -> bool:
        """Drain while customers still write; False where nobody may wait for that any more."""
        if self.escalated:
            return False
        self._catching_up = True
        try:
            return await self._catch_up()
        finally:
            self._catching_up = False

    async def _catch_up(self) -> bool:
        """What is drained before the gap makes the drain inside it short."""
        budget = self.timeline.budget("catch_up", 120.0)
        async with self.timeline.step("catch_up", budget) as step:
            draining = workflow.start_activity_method(
                DatabaseActivities.catch_up,
                DrainRequest(
                    rollback_id=self.request.rollback_id,
                    step="catch_up",
                    deadline_seconds=budget,
                ),
                **options.long(budget + 5.0),
            )
            try:
                await workflow.wait_condition(lambda: draining.done() or bool(self.escalated))
            except asyncio.CancelledError:
                await _ended(draining)
                raise
            if draining.done():
                self.note_drain(step, await draining)
            else:
                await _ended(draining)
                step.observed(Outcome.INCONCLUSIVE, f"cut short: escalated by {self.escalated}")
        return not self.escalated

    async def roll_traffic_back_at_once(self) -> None:
        """Escalated: level 1 as a child does all that it does alone; its tail is drained after."""
        await self._run_traffic_rollback(already_fenced=False, tail_accepted="")

    async def fence_target(self) -> None:
        """No write can be acknowledged on the target any more, and that is proved."""
        budget = self.timeline.budget("fence", 10.0)
        self.data_loss = DataLoss(lost_rows=None, tail="pending", detail="not drained yet")
        async with self.timeline.step("fence", budget) as step:
            report = await self.raise_target_fence(step, budget)
            self._fenced = report.outcome is Outcome.SUCCEEDED
            if not self._fenced:
                raise StepFailedError("fence", report.detail)

    async def sync_back(self) -> None:
        """Drain the rest; what does not fit into a moment goes on under heartbeats."""
        budget = self.timeline.budget("sync_back", 120.0)
        async with self.timeline.step("sync_back", budget) as step:
            short = min(_SHORT_DRAIN_SECONDS, budget)
            report = await self.drain_briefly(step, short)
            if report.outcome is Outcome.INCONCLUSIVE:
                report = await workflow.execute_activity_method(
                    DatabaseActivities.drain,
                    DrainRequest(
                        rollback_id=self.request.rollback_id,
                        step="sync_back",
                        deadline_seconds=budget - short,
                    ),
                    **options.long(budget - short + 5.0),
                )
                self.note_drain(step, report)
            if report.outcome is not Outcome.SUCCEEDED:
                raise StepFailedError("sync_back", report.detail or "the tail is not empty")
        self.data_loss = DataLoss(lost_rows=None, detail="the two sides were not compared")

    async def verify_integrity(self) -> None:
        """Both sides hold the same rows, and what the estate demands of them."""
        budget = self.timeline.budget("verify_integrity", 60.0)
        async with self.timeline.step("verify_integrity", budget) as step:
            report = await workflow.execute_activity_method(
                DatabaseActivities.verify_data,
                VerifyDataRequest(rollback_id=self.request.rollback_id, step="verify_integrity"),
                **options.long(budget),
            )
            self.verification = report
            step.observed(report.outcome, _verdict(report), report.attempts)
            if report.exact and report.missing + report.extra + report.different:
                self.journal.corrupted(report)
            if report.outcome is not Outcome.SUCCEEDED:
                lost = report.missing + report.different
                self.data_loss = DataLoss(lost_rows=lost, detail=_verdict(report))
                raise StepFailedError("verify_integrity", _verdict(report))
        self.data_loss = DataLoss()

    async def roll_traffic_back(self) -> None:
        """Level 1 as a child; from here on the rollback only goes forward."""
        await self._run_traffic_rollback(already_fenced=True, tail_accepted="")

    async def _run_traffic_rollback(self, *, already_fenced: bool, tail_accepted: str) -> None:
        self.undo.commit()
        budget = self.timeline.budget("traffic_rollback", 30.0)
        wait = self.request.plan.resolver_wait_seconds
        held_until = (
            self.held_at + timedelta(seconds=self.request.plan.hold_seconds)
            if self.held_at
            else workflow.now()
        )
        async with self.timeline.step("traffic_rollback", budget) as step:
            try:
                child = await workflow.execute_child_workflow(
                    TrafficRollback.run,
                    self.request.model_copy(
                        update={
                            "level": Level.TRAFFIC,
                            "is_child": True,
                            "already_fenced": already_fenced,
                            "tail_accepted": tail_accepted,
                            "held_until": held_until,
                        }
                    ),
                    id=f"{workflow.info().workflow_id}/traffic",
                    execution_timeout=timedelta(seconds=10 * budget + wait),
                    task_timeout=workflow.info().task_timeout,
                )
            except ChildWorkflowError:
                self.data_loss = self.data_loss.model_copy(update={"tail": "pending"})
                raise
            self._take_over(child)
            step.observed(
                Outcome.SUCCEEDED if child.success else Outcome.FAILED,
                child.error or f"on the source in {child.execution_seconds:.2f} s",
            )

    def _take_over(self, child: RollbackResult) -> None:
        """What the child did is part of this level's result."""
        self.children = (*self.children, child)
        self.synced_records += child.synced_records
        self.held_at = self.held_at or child.held_at
        self.released_at = child.released_at or self.released_at
        if child.data_loss.tail == "pending":
            self.data_loss = child.data_loss

    async def resume_operations(self) -> None:
        """Observe that the source has everything it needs to be the live side."""
        budget = self.timeline.budget("resume", 10.0)
        async with self.timeline.step("resume", budget) as step:
            report = await workflow.execute_activity_method(
                VerificationActivities.confirm_source_live,
                SourceLiveRequest(
                    rollback_id=self.request.rollback_id,
                    step="resume",
                    routes=self.request.plan.routes,
                ),
                **options.effect(budget),
            )
            step.observed(
                Outcome.SUCCEEDED if report.ok else Outcome.FAILED,
                "; ".join(report.facts),
                report.attempts,
            )

    async def _roll_traffic_back_without_sync(self, failure: StepFailedError) -> None:
        """The plan failed: serve customers from the source now, carry the tail over later."""
        self.error = str(failure) if self.error is None else f"{self.error}; {failure}"
        if self.children:
            # Level 1 ran already and forced what it could; only the rest is left to do.
            self.emergency_action = self.children[-1].emergency_action
            return
        self.emergency_action = EmergencyAction.IMMEDIATE_TRAFFIC_ROLLBACK_WITHOUT_SYNC
        accepted = (
            f"the estate's policy for level 1, after {failure.step} failed"
            if self.request.plan.sync.flip_with_tail and self.data_loss.tail == "pending"
            else ""
        )
        try:
            await self._run_traffic_rollback(already_fenced=self._fenced, tail_accepted=accepted)
        except StepFailedError as second:
            self.error = f"{self.error}; {second}"


def _verdict(report: VerifyReport) -> str:
    """A verification in one sentence."""
    rows = sum(table.source_rows for table in report.tables)
    broken = [rule.name for rule in (*report.rules, *report.foreign_keys) if rule.violations]
    sentence = (
        f"{len(report.tables)} tables, {rows} rows: {report.missing} missing, "
        f"{report.extra} extra, {report.different} different"
    )
    if broken:
        sentence += f"; broken: {', '.join(broken)}"
    if report.detail:
        sentence += f"; {report.detail}"
    return sentence


async def _ended(draining: workflow.ActivityHandle[DrainReport]) -> None:
    """Cancel a drain, and wait until it is over: nothing is carried over behind our back."""
    draining.cancel()
    with contextlib.suppress(FailureError, asyncio.CancelledError):
        await draining
