"""What Temporal itself keeps of a rollback that has ended: no worker is needed to read it."""

from typing import Any

from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowHandle,
)

from failback.approvals.plans import plan_hash
from failback.models.rollback import Phase, RollbackRequest, RollbackResult, RollbackStatus

_ENDED_WITHOUT_RESULT = {
    WorkflowExecutionStatus.CANCELED: (
        Phase.CANCELLED,
        "cancelled before traffic moved; the target serves as before",
    ),
    WorkflowExecutionStatus.FAILED: (Phase.FAILED, "its workflow failed"),
    WorkflowExecutionStatus.TERMINATED: (Phase.FAILED, "its workflow was terminated in Temporal"),
    WorkflowExecutionStatus.TIMED_OUT: (Phase.FAILED, "its workflow ran out of time"),
}

Run = WorkflowHandle[Any, RollbackResult]


async def request_of(client: Client, run: Run) -> RollbackRequest:
    """What a run was started with."""
    async for event in run.fetch_history_events(page_size=1):
        started = event.workflow_execution_started_event_attributes
        (request,) = await client.data_converter.decode(started.input.payloads, [RollbackRequest])
        return RollbackRequest.model_validate(request)
    raise LookupError(f"run {run.run_id} has no history")


async def status_of(client: Client, run: Run, found: WorkflowExecution) -> RollbackStatus:
    """The last status of a run that has ended, made from its input and its result."""
    request = await request_of(client, run)
    asked = RollbackStatus(
        rollback_id=request.rollback_id,
        estate=request.plan.estate,
        level=request.level,
        phase=Phase.FAILED,
        reason=request.reason,
        requested_by=request.requested_by,
        started_at=found.start_time,
        approvals_needed=request.plan.approval.quorum,
        plan_hash=plan_hash(request.plan, request.level, request.reason, request.evidence),
    )
    if found.status is not WorkflowExecutionStatus.COMPLETED:
        ended = found.status or WorkflowExecutionStatus.FAILED
        phase, detail = _ENDED_WITHOUT_RESULT.get(ended, (Phase.FAILED, "it has ended"))
        return asked.model_copy(update={"phase": phase, "detail": detail})
    result = await run.result()
    return asked.model_copy(
        update={
            "phase": _phase(result),
            "started_at": result.started_at,
            "approvals_given": len(
                {one.who for one in result.decisions if one.counted and one.verb == "approve"}
            ),
            "detail": result.error or "",
            # What was approved in the end: the plan may have been asked for anew.
            "plan_hash": result.plan_hash or asked.plan_hash,
            "steps": result.steps,
            "decisions": result.decisions,
            "result": result,
        }
    )


def _phase(result: RollbackResult) -> Phase:
    """A rollback that made no step was rejected, or nobody approved it in time."""
    if result.success:
        return Phase.DONE
    return Phase.FAILED if result.steps else Phase.REJECTED
