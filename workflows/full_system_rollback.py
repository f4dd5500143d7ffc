"""Level 3: the whole product goes back, not only its rows and its traffic."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError

with workflow.unsafe.imports_passed_through():
    from failback.models.common import Level, Outcome
    from failback.models.rollback import EmergencyAction, RollbackRequest, RollbackResult
from workflows.data_sync_rollback import DataSyncRollback
from workflows.disaster_recovery import DisasterRecovery
from workflows.system_steps import RESUME, SystemWorkflow
from workflows.timeline import StepFailedError


@workflow.defn(name="FullSystemRollback")
class FullSystemRollback(SystemWorkflow, DataSyncRollback):
    """Pause, sync back, functions, sessions, objects, configuration, traffic, validation.

    Until traffic moves, whatever fails is undone, so that customers are served by the target as
    before while people and a disaster recovery see to what is wrong.
    """

    @workflow.init
    def __init__(self, request: RollbackRequest) -> None:
        self.prepare(request)
        self.prepare_system()
        self.prepare_sync()

    @workflow.run
    async def run(self, request: RollbackRequest) -> RollbackResult:
        """Bring the product back to the source, once people have approved."""
        return await self.carried_out()

    async def plan(self) -> RollbackResult:
        """See `RollbackWorkflow.plan`."""
        if not await self.began():
            return await self.closed(success=False)
        async with self.measuring_availability():
            try:
                await self.pause_activities()
                if self.request.earlier is None:
                    await self._bring_everything_back()
                else:
                    await self._complete(self.request.earlier)
                await self.resume_operations()
                await self.validate_system()
            except StepFailedError as failure:
                await self._recover_from_disaster(failure)
            self.service_restored()
        await self.go_higher(self.so_far())
        if self.data_loss.tail == "pending":
            await self.drain_tail()
        return await self.closed(success=self.error is None)

    async def _bring_everything_back(self) -> None:
        """All of it within one write gap; an escalation to level 1 moves traffic first."""
        ahead = asyncio.create_task(self.prepare_storage())
        try:
            await self.prepare_auth()
            caught_up = await self.caught_up()
            if caught_up:
                await ahead
        finally:
            await _ended(ahead)
        if not caught_up:
            await self.roll_traffic_back_at_once()
            await self.bring_back_services()
            return
        await self.hold_requests()
        await self.fence_target()
        await self.bring_back_services(after=self._bring_rows_back())
        await self.roll_traffic_back()

    async def _bring_rows_back(self) -> None:
        await self.sync_back()
        await self.verify_integrity()

    async def _complete(self, earlier: RollbackResult) -> None:
        """A lower level has moved the traffic and carried the rows; the rest is still to do."""
        self.undo.commit()
        self.children = (*self.children, earlier)
        self.synced_records += earlier.synced_records
        self.held_at, self.released_at = earlier.held_at, earlier.released_at
        self.data_loss = earlier.data_loss
        await self.bring_back_services()

    async def _recover_from_disaster(self, failure: StepFailedError) -> None:
        """The plan failed: put customers back where they were, and lead people through level 4."""
        self.error = str(failure)
        self.emergency_action = EmergencyAction.DISASTER_RECOVERY_INITIATED
        if not self.undo.committed:
            await self.undo.unwind(keep={RESUME})
        budget = self.timeline.budget("disaster_recovery", 3600.0)
        try:
            async with self.timeline.step("disaster_recovery", budget) as step:
                child = await workflow.execute_child_workflow(
                    DisasterRecovery.run,
                    self.request.model_copy(
                        update={
                            "level": Level.DISASTER_RECOVERY,
                            "is_child": True,
                            "findings": self.error,
                            "earlier": None,
                        }
                    ),
                    id=f"{workflow.info().workflow_id}/recovery",
                    memo={
                        "rollback_id": self.request.rollback_id,
                        "level": Level.DISASTER_RECOVERY.value,
                    },
                    task_timeout=workflow.info().task_timeout,
                    execution_timeout=timedelta(days=7),
                )
                self.children = (*self.children, child)
                self.data_loss = child.data_loss
                self.recovery = child.recovery
                step.observed(
                    Outcome.SUCCEEDED if child.success else Outcome.FAILED,
                    child.error or "restored, and every service is back",
                )
        except (StepFailedError, ChildWorkflowError) as second:
            self.error = f"{self.error}; {second}"


async def _ended(ahead: asyncio.Task[None]) -> None:
    """What was begun ahead is over before anything is undone or done again."""
    if not ahead.done():
        ahead.cancel()
    await workflow.wait([ahead])
    if not ahead.cancelled():
        ahead.exception()
