"""Reads disaster recoveries of an estate, and answers at their gates."""

from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from failback.errors import GateRefusedError, RollbackNotFoundError, UnreachableError
from failback.models.recovery import GateAnswer, RecoveryGate, RecoveryResult
from failback.models.rollback import RollbackResult
from failback.temporal import ids

_ANSWER_SECONDS = timedelta(seconds=10)
_WORKFLOW = "DisasterRecovery"
_LOOK = "`failback recovery status` shows the gate that waits, if one does."


class Recoveries:
    """The recoveries of one estate: a level 4, or what a level 3 began when it could not go on.

    Args:
        client: connected to the estate's namespace.
        estate: its name.
    """

    def __init__(self, client: Client, estate: str) -> None:
        self._client = client
        self._ids = (
            f"{ids.rollback_workflow(estate)}/recovery",
            ids.rollback_workflow(estate),
        )

    async def recovery(self, rollback_id: str | None = None) -> RecoveryResult:
        """What a recovery found and did so far, with every gate; of the newest without an id.

        One that has ended is read from what Temporal keeps, and needs no worker.

        Raises:
            RollbackNotFoundError: there is none.
            UnreachableError: Temporal or the worker does not answer.
        """
        return await self._read(await self._find(rollback_id))

    async def waiting(self) -> tuple[tuple[str, RecoveryGate], ...]:
        """Gates that wait for people now, each with the id of its rollback."""
        found = [await self._newest(workflow_id) for workflow_id in self._ids]
        waiting: list[tuple[str, RecoveryGate]] = []
        for run in found:
            if run is None or run.status is not WorkflowExecutionStatus.RUNNING:
                continue
            gates = (await self._read(run)).gates
            if gates and gates[-1].answer is None:
                waiting.append((await _id_of(run), gates[-1]))
        return tuple(waiting)

    async def answer(self, rollback_id: str | None, answer: GateAnswer) -> RecoveryGate:
        """Answer the gate that waits; returns it as it was passed.

        Raises:
            RollbackNotFoundError: there is no recovery.
            GateRefusedError: the answer does not count; nothing has changed.
            UnreachableError: Temporal or the worker does not answer.
        """
        handle = self._handle(await self._find(rollback_id))
        try:
            passed: RecoveryGate = await handle.execute_update(
                "decide_gate", answer, result_type=RecoveryGate, rpc_timeout=_ANSWER_SECONDS
            )
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            text = cause.message if isinstance(cause, ApplicationError) else str(cause)
            raise GateRefusedError(text, _LOOK) from error
        except WorkflowUpdateRPCTimeoutOrCancelledError as error:
            raise UnreachableError(
                "No worker took the answer in time; it may still count once one runs.",
                f"Start one with `failback worker`. {_LOOK}",
            ) from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise GateRefusedError(
                    "The recovery has ended: none of its gates waits for an answer.", _LOOK
                ) from error
            raise _failed(error) from error
        return passed

    async def _find(self, rollback_id: str | None) -> WorkflowExecution:
        """The run that leads a recovery, a child or the rollback itself; a running one first."""
        newest = [await self._newest(workflow_id) for workflow_id in self._ids]
        ours = [
            run for run in newest if run and rollback_id in (None, await _id_of(run))
        ] or await self._earlier(rollback_id)
        if ours:
            running = WorkflowExecutionStatus.RUNNING
            return max(ours, key=lambda run: (run.status is running, run.start_time))
        raise RollbackNotFoundError(
            "This estate has no recovery"
            + (f" of rollback {rollback_id}." if rollback_id else "."),
            "Start one with `failback rollback start --level 4 --reason …`.",
        )

    async def _newest(self, workflow_id: str) -> WorkflowExecution | None:
        """The newest run of a workflow id where it is a recovery; needs no visibility store."""
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            found = await handle.describe(rpc_timeout=_ANSWER_SECONDS)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise _failed(error) from error
        return found if found.workflow_type == _WORKFLOW else None

    async def _earlier(self, rollback_id: str | None) -> list[WorkflowExecution]:
        """Earlier recoveries: of this rollback, or the newest that is known."""
        named = ", ".join(f'"{workflow_id}"' for workflow_id in self._ids)
        runs = self._client.list_workflows(
            f'WorkflowType = "{_WORKFLOW}" AND WorkflowId IN ({named})'
        )
        try:
            async for run in runs:
                if rollback_id in (None, await _id_of(run)):
                    return [run]
        except RPCError as error:
            raise _failed(error) from error
        return []

    async def _read(self, run: WorkflowExecution) -> RecoveryResult:
        handle = self._handle(run)
        try:
            if run.status is WorkflowExecutionStatus.COMPLETED:
                result: RollbackResult = await handle.result()
                return result.recovery or RecoveryResult()
            found: RecoveryResult = await handle.query(
                "recovery", result_type=RecoveryResult, rpc_timeout=_ANSWER_SECONDS
            )
        except RPCError as error:
            raise _failed(error) from error
        except WorkflowQueryFailedError as error:
            raise UnreachableError(f"The recovery cannot be queried: {error}") from error
        return found

    def _handle(self, run: WorkflowExecution) -> WorkflowHandle[Any, RollbackResult]:
        return self._client.get_workflow_handle(
            run.id, run_id=run.run_id, result_type=RollbackResult
        )


async def _id_of(run: WorkflowExecution) -> str:
    """The rollback id in a run's memo."""
    return str((await run.memo()).get("rollback_id", ""))


def _failed(error: RPCError) -> UnreachableError:
    return UnreachableError(
        f"The recovery does not answer: {error.message}.",
        "Is a worker running? Start one with `failback worker`.",
    )
