"""The post-mortems of one estate, as Temporal keeps them."""

from datetime import UTC, datetime, timedelta

from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from failback.errors import FailbackError, PostMortemError, UnreachableError
from failback.models.post_mortem import PostMortemStatus
from failback.models.rollback import Decision
from failback.temporal import ids

_ANSWER = timedelta(seconds=10)
_NO_WORKER = "Is a worker running? Start one with `failback worker`."

Run = WorkflowHandle[object, PostMortemStatus]


class PostMortems:
    """Lists and completes post-mortems.

    Args:
        client: connected to the estate's namespace.
        estate: the estate's name.
    """

    def __init__(self, client: Client, estate: str) -> None:
        self._client = client
        self._estate = estate

    async def list(self, limit: int = 20) -> list[PostMortemStatus]:
        """The newest first."""
        found = []
        try:
            async for run in self._client.list_workflows('WorkflowType = "PostMortem"'):
                memo = await run.memo()
                if memo.get("estate") != self._estate:
                    continue
                found.append(await self._status(self._run(run.id), run.status))
                if len(found) == limit:
                    break
        except RPCError as error:
            raise _failure(error, "The post-mortems cannot be listed") from error
        return found

    async def status(self, rollback_id: str) -> PostMortemStatus:
        """One post-mortem.

        Raises:
            PostMortemError: the rollback has none.
        """
        run = self._run(ids.post_mortem_workflow(rollback_id))
        try:
            return await self._status(run, (await run.describe(rpc_timeout=_ANSWER)).status)
        except RPCError as error:
            raise _failure(error, f"Rollback {rollback_id} has no post-mortem") from error

    async def complete(self, rollback_id: str, decision: Decision) -> PostMortemStatus:
        """Mark one complete.

        Raises:
            PostMortemError: there is none, or it is complete already.
        """
        run = self._run(ids.post_mortem_workflow(rollback_id))
        try:
            status: PostMortemStatus = await run.execute_update(
                "mark_complete", decision, result_type=PostMortemStatus, rpc_timeout=_ANSWER
            )
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            text = cause.message if isinstance(cause, ApplicationError) else str(cause)
            raise PostMortemError(text) from error
        except RPCError as error:
            raise _failure(error, f"Rollback {rollback_id} has no open post-mortem") from error
        return status

    def _run(self, workflow_id: str) -> Run:
        return self._client.get_workflow_handle(workflow_id, result_type=PostMortemStatus)

    async def _status(self, run: Run, state: WorkflowExecutionStatus | None) -> PostMortemStatus:
        """From its result where it has ended, so that no worker is needed."""
        if state is WorkflowExecutionStatus.COMPLETED:
            return await run.result()
        try:
            status: PostMortemStatus = await run.query(
                "status", result_type=PostMortemStatus, rpc_timeout=_ANSWER
            )
        except WorkflowQueryFailedError as error:
            raise UnreachableError("The post-mortem does not answer.", _NO_WORKER) from error
        # A workflow's clock stands still while it waits: whether it is overdue is seen here.
        if status.due_at is not None and datetime.now(UTC) > status.due_at:
            return status.model_copy(update={"in_time": False})
        return status


def _failure(error: RPCError, what: str) -> FailbackError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return PostMortemError(f"{what}.", "`failback post-mortem list` shows those there are.")
    return UnreachableError(f"{what}: {error.message}.", _NO_WORKER)
