"""The estate's newest rollback as Temporal knows it: no worker is asked."""

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from failback.errors import UnreachableError
from failback.models.common import Level
from failback.models.responses import RollbackSurvey
from failback.models.rollback import RollbackResult
from failback.temporal import ids, stored


class TemporalRegistry:
    """Implements `RollbackRegistry`.

    Args:
        client: connected to the estate's namespace.
        estate: whose rollbacks are asked for.
    """

    def __init__(self, client: Client, estate: str) -> None:
        self._client = client
        self._estate = estate
        self._ended: tuple[str, RollbackSurvey] | None = None
        """The newest one that had ended when it was last read, by its run."""

    async def newest(self) -> RollbackSurvey:
        """See `RollbackRegistry.newest`."""
        handle = self._client.get_workflow_handle(
            ids.rollback_workflow(self._estate), result_type=RollbackResult
        )
        try:
            found = await handle.describe()
            memo = await found.memo()
            known = RollbackSurvey(
                rollback_id=str(memo.get("rollback_id", "")), level=_level(memo.get("level"))
            )
            if found.status is WorkflowExecutionStatus.RUNNING:
                return known.model_copy(update={"running": True})
            run = str(found.run_id)
            if self._ended is None or self._ended[0] != run:
                exact = self._client.get_workflow_handle(
                    found.id, run_id=run, result_type=RollbackResult
                )
                status = await stored.status_of(self._client, exact, found)
                ended = known.model_copy(
                    update={"phase": status.phase, "ended_at": found.close_time}
                )
                self._ended = (run, ended)
            return self._ended[1]
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return RollbackSurvey()
            raise UnreachableError(
                f"Temporal does not say which rollback there is: {error.message}."
            ) from error


def _level(number: object) -> Level | None:
    return Level(number) if number in {level.value for level in Level} else None
