"""Reads disaster recoveries of an estate, and answers at their gates."""

from datetime import datetime, timedelta
from typing import Any

from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from failback.errors import GateRefusedError, RollbackNotFoundError, UnreachableError
from failback.models.recovery import GateAnswer, RecoveryGate, RecoveryResult
from failback.temporal import ids

_ANSWER_SECONDS = timedelta(seconds=10)


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

        Raises:
            RollbackNotFoundError: there is none.
            UnreachableError: Temporal or the worker does not answer.
        """
        return await self._ask(await self._newest(rollback_id))

    async def answer(self, rollback_id: str | None, answer: GateAnswer) -> RecoveryGate:
        """Answer the gate that waits; returns it as it was passed.

        Raises:
            GateRefusedError: the answer does not count; nothing has changed.
        """
        handle = await self._newest(rollback_id)
        try:
            passed: RecoveryGate = await handle.execute_update(
                "decide_gate", answer, result_type=RecoveryGate, rpc_timeout=_ANSWER_SECONDS
            )
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            text = cause.message if isinstance(cause, ApplicationError) else str(cause)
            raise GateRefusedError(text, "`failback recovery status` shows the gate.") from error
        except RPCError as error:
            raise _failed(error) from error
        return passed

    async def _newest(self, rollback_id: str | None) -> WorkflowHandle[Any, Any]:
        """The run that leads the recovery, a child's or the rollback's own; a running one first."""
        runs: list[tuple[bool, datetime, WorkflowHandle[Any, Any]]] = []
        for workflow_id in self._ids:
            handle = self._client.get_workflow_handle(workflow_id)
            try:
                found = await handle.describe(rpc_timeout=_ANSWER_SECONDS)
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    continue
                raise _failed(error) from error
            ours = rollback_id in (None, str((await found.memo()).get("rollback_id", "")))
            if ours and found.workflow_type == "DisasterRecovery":
                running = found.status is WorkflowExecutionStatus.RUNNING
                runs.append((running, found.start_time, handle))
        if runs:
            return max(runs, key=lambda run: run[:2])[2]
        raise RollbackNotFoundError(
            "This estate has no recovery"
            + (f" of rollback {rollback_id}." if rollback_id else "."),
            "Start one with `failback rollback start --level 4 --reason …`.",
        )

    async def _ask(self, handle: WorkflowHandle[Any, Any]) -> RecoveryResult:
        try:
            found: RecoveryResult = await handle.query(
                "recovery", result_type=RecoveryResult, rpc_timeout=_ANSWER_SECONDS
            )
        except RPCError as error:
            raise _failed(error) from error
        except WorkflowQueryFailedError as error:
            raise UnreachableError(f"The recovery cannot be queried: {error}") from error
        return found


def _failed(error: RPCError) -> UnreachableError:
    return UnreachableError(
        f"The recovery does not answer: {error.message}.",
        "Is a worker running? Start one with `failback worker`.",
    )
