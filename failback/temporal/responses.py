"""The estate's `AlertResponse`, as people look at it and close what it has opened."""

from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from failback.errors import ApprovalRefusedError, FailbackError, NoAlertsError, UnreachableError
from failback.models.responses import CloseInvestigation, Investigation, ResponseStatus
from failback.temporal import ids

_ANSWER_SECONDS = timedelta(seconds=10)
_CLOSE_SECONDS = timedelta(seconds=70)
"""A hook that lets the migration go on is waited for."""
_NO_WORKER = "Is a worker running? Start one with `failback worker`."


class Responses:
    """Looks at one estate's answer to alerts.

    Args:
        client: connected to the estate's namespace.
        estate: the estate's name.
    """

    def __init__(self, client: Client, estate: str) -> None:
        self._client = client
        self._estate = estate

    async def status(self) -> ResponseStatus:
        """What is known, and what was done about it.

        Raises:
            NoAlertsError: the estate has had no alert yet.
            UnreachableError: no worker answers.
        """
        try:
            status: ResponseStatus = await self._handle().query(
                "status", result_type=ResponseStatus, rpc_timeout=_ANSWER_SECONDS
            )
        except RPCError as error:
            raise self._explained(error) from error
        except WorkflowQueryFailedError as error:
            raise UnreachableError(f"AlertResponse cannot be asked: {error}.") from error
        return status

    async def close_investigation(self, closing: CloseInvestigation) -> Investigation:
        """Close the investigation that is open.

        Raises:
            ApprovalRefusedError: none is open, or nobody known closes it.
        """
        try:
            closed: Investigation = await self._handle().execute_update(
                "close_investigation",
                closing,
                result_type=Investigation,
                rpc_timeout=_CLOSE_SECONDS,
            )
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            text = cause.message if isinstance(cause, ApplicationError) else str(cause)
            raise ApprovalRefusedError(text) from error
        except RPCError as error:
            raise self._explained(error) from error
        return closed

    def _handle(self) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(ids.alert_response_workflow(self._estate))

    def _explained(self, error: RPCError) -> FailbackError:
        if error.status is RPCStatusCode.NOT_FOUND:
            return NoAlertsError(
                f"Estate {self._estate} has had no alert yet.",
                "They come by `failback gateway`.",
            )
        return UnreachableError(f"AlertResponse does not answer: {error.message}.", _NO_WORKER)
