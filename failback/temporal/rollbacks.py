"""The rollbacks of one estate, as its operators start, decide, watch and read them."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, CancelledError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from failback.config import Estate
from failback.errors import (
    ApprovalRefusedError,
    ConfigurationError,
    FailbackError,
    RollbackNotFoundError,
    RollbackRunningError,
    UnreachableError,
)
from failback.models.common import Level
from failback.models.rollback import (
    Decision,
    Phase,
    RecordedDecision,
    RollbackRequest,
    RollbackResult,
    RollbackStatus,
)
from failback.temporal import ids, stored
from failback.temporal.client import ensure_search_attributes
from failback.temporal.starting import TASK_SECONDS, rollback_start
from failback.temporal.stored import Run

_ANSWER_SECONDS = timedelta(seconds=10)

_NO_WORKER = "Is a worker running? Start one with `failback worker`."


def level_of(number: int) -> Level:
    """The level of a number that a person typed.

    Raises:
        ConfigurationError: there is no such level.
    """
    if number not in {level.value for level in Level}:
        raise ConfigurationError(
            f"Level {number} does not exist.", "Levels are 1, 2, 3 and 4 (see the README)."
        )
    return Level(number)


class Rollbacks:
    """Starts and follows the rollbacks of one estate.

    Args:
        client: connected to the estate's namespace.
        estate: the configuration that plans are made from.
    """

    def __init__(self, client: Client, estate: Estate) -> None:
        self._client = client
        self._estate = estate

    async def start(
        self, level: int, reason: str, requested_by: str, *, deletes_accepted_by: str = ""
    ) -> RollbackStatus:
        """Start a rollback.

        Args:
            level: 1 to 4.
            reason: why.
            requested_by: who asks, and so cannot approve alone.
            deletes_accepted_by: who wants objects deleted even where they are most of a bucket.

        Raises:
            RollbackRunningError: the estate has one already; nothing was changed.
            ConfigurationError: the level does not exist.
            SafetyRuleError: the estate is reprotected; nothing was changed.
        """
        await self._may_start()
        asked = await self._request(level, reason, requested_by)
        request = asked.model_copy(update={"deletes_accepted_by": deletes_accepted_by})
        start = rollback_start(request)
        try:
            handle = await self._client.start_workflow(
                start.workflow,
                request,
                id=start.id,
                task_queue=self._estate.temporal.task_queue,
                task_timeout=start.task_timeout,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                search_attributes=start.search_attributes,
                memo=start.memo,
            )
        except WorkflowAlreadyStartedError as error:
            raise await self._running_already() from error
        try:
            return await self._ask(handle)
        except UnreachableError as error:
            raise UnreachableError(
                f"Rollback {request.rollback_id} has started, and no worker carries it out.",
                "Start one with `failback worker`; the rollback then goes on by itself.",
            ) from error

    async def _may_start(self) -> None:
        """Refuse while the stream is turned round; a side that is down refuses nothing."""
        from failback.reverse_sync.heading import may_roll_back  # noqa: PLC0415 - status is quick
        from failback.reverse_sync.settings import SyncSettings  # noqa: PLC0415 - as above

        await asyncio.to_thread(may_roll_back, SyncSettings.of(self._estate))

    async def _running_already(self) -> RollbackRunningError:
        """What stands in the way, as far as it is known without a worker."""
        _, found = await self._find(None)
        running, state = await _id_of(found), "running"
        with contextlib.suppress(UnreachableError):
            status = await self.status(running)
            state = f"{status.phase.value.replace('_', ' ')}, level {status.level.value}"
        return RollbackRunningError(
            f"{self._estate.estate} has a rollback already: {running} ({state}).",
            f"Follow it with `failback rollback watch {running}`, or cancel it.",
        )

    async def _request(self, level: int, reason: str, requested_by: str) -> RollbackRequest:
        """The request that starts a level, with the plan as the configuration has it now."""
        if not reason.strip():
            raise ConfigurationError("A rollback needs a reason.", "Give one with --reason.")
        wanted = level_of(level)
        return RollbackRequest(
            rollback_id=ids.new_rollback_id(level),
            level=wanted,
            reason=reason,
            requested_by=requested_by,
            plan=self._estate.plan(level),
            search_attributes=await ensure_search_attributes(self._client),
        )

    async def dry_run_request(self, level: int, reason: str, requested_by: str) -> RollbackRequest:
        """The same request, marked so that its workflow asks nobody and probes nothing."""
        request = await self._request(level, reason, requested_by)
        guided = request.plan.recovery.model_copy(update={"gates": "automatic"})
        return request.model_copy(
            update={
                "dry_run": True,
                "search_attributes": False,
                "plan": request.plan.model_copy(update={"recovery": guided}),
            }
        )

    async def status(self, rollback_id: str | None) -> RollbackStatus:
        """Where a rollback stands; the newest one where no id is given.

        One that has ended is read from what Temporal keeps, and needs no worker.

        Raises:
            RollbackNotFoundError: the estate has no such rollback.
            UnreachableError: it goes on, and no worker answers.
        """
        return await self._status(*await self._find(rollback_id))

    async def _status(self, handle: Run, found: WorkflowExecution) -> RollbackStatus:
        """The status of one run, from Temporal where it has ended with a result."""
        try:
            if found.status is WorkflowExecutionStatus.COMPLETED:
                return await stored.status_of(self._client, handle, found)
            if found.status is WorkflowExecutionStatus.RUNNING:
                return await self._ask(handle)
            # A worker knows the steps of a run that was stopped; Temporal only how it ended.
            try:
                return await self._ask(handle)
            except UnreachableError:
                return await stored.status_of(self._client, handle, found)
        except RPCError as error:
            raise self._rpc(error, "The rollback cannot be read") from error

    async def decide(self, rollback_id: str, verb: str, decision: Decision) -> RecordedDecision:
        """Approve, reject or accept the tail, with an answer.

        Raises:
            ApprovalRefusedError: the decision does not count, or comes too late; it was not
                recorded.
        """
        handle = await self._handle(rollback_id)
        return await self._told(handle, rollback_id, "decide", [verb, decision])

    async def _told(
        self, handle: Run, rollback_id: str, update: str, arguments: Sequence[object]
    ) -> RecordedDecision:
        try:
            entry: RecordedDecision = await handle.execute_update(
                update,
                args=arguments,
                result_type=RecordedDecision,
                rpc_timeout=_ANSWER_SECONDS,
            )
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            text = cause.message if isinstance(cause, ApplicationError) else str(cause)
            raise ApprovalRefusedError(text) from error
        except WorkflowUpdateRPCTimeoutOrCancelledError as error:
            raise UnreachableError(
                f"No worker took the decision about {rollback_id} in time; it may still count.",
                f"{_NO_WORKER} Then look at the rollback's status.",
            ) from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise ApprovalRefusedError(
                    f"Rollback {rollback_id} has ended, and takes no decisions any more.",
                    "It is too late for this one: start another rollback where one is needed.",
                ) from error
            raise self._rpc(error, f"Rollback {rollback_id} does not answer") from error
        return entry

    async def raise_level(
        self, rollback_id: str, level: int, decision: Decision
    ) -> RecordedDecision:
        """Let a higher level take a running rollback over; it keeps what is done.

        Raises:
            ApprovalRefusedError: it is too late, no higher level, or by nobody known.
        """
        reason = decision.comment or (await self.status(rollback_id)).reason
        higher = await self._request(level, reason, decision.who)
        handle = await self._handle(rollback_id)
        return await self._told(handle, rollback_id, "raise_level", [higher, decision])

    async def cancel(self, rollback_id: str, decision: Decision) -> None:
        """Cancel a rollback whose traffic has not moved; what it did is undone.

        Raises:
            ApprovalRefusedError: by nobody known, or too late.
        """
        await self.decide(rollback_id, "cancel", decision)
        await (await self._handle(rollback_id)).cancel()

    async def result(self, rollback_id: str | None) -> RollbackResult:
        """Wait for the end of a rollback, and read its result.

        Raises:
            FailbackError: the rollback was cancelled or its workflow failed.
        """
        handle = await self._handle(rollback_id)
        try:
            return await handle.result()
        except WorkflowFailureError as error:
            if isinstance(error.cause, CancelledError):
                raise FailbackError("The rollback was cancelled and undone.") from error
            raise FailbackError(f"The rollback's workflow failed: {error.cause}") from error

    async def list(self, limit: int = 20) -> list[RollbackStatus]:
        """The newest rollbacks first."""
        workflow_id = ids.rollback_workflow(self._estate.estate)
        runs = self._client.list_workflows(f'WorkflowId = "{workflow_id}"', limit=limit)
        # A run that a higher level took over has gone on in the one after it.
        return [
            await self._status(self._handle_of(found), found)
            async for found in runs
            if found.status is not WorkflowExecutionStatus.CONTINUED_AS_NEW
        ]

    def _handle_of(self, found: WorkflowExecution) -> Run:
        return self._client.get_workflow_handle(
            found.id, run_id=found.run_id, result_type=RollbackResult
        )

    async def _handle(self, rollback_id: str | None) -> Run:
        """The run of one rollback."""
        return (await self._find(rollback_id))[0]

    async def _find(self, rollback_id: str | None) -> tuple[Run, WorkflowExecution]:
        """One rollback's run and its state. The newest needs no visibility store."""
        handle: Run = self._client.get_workflow_handle(
            ids.rollback_workflow(self._estate.estate), result_type=RollbackResult
        )
        try:
            newest = await handle.describe(rpc_timeout=_ANSWER_SECONDS)
        except RPCError as error:
            raise self._rpc(error, f"Estate {self._estate.estate} has no rollback") from error
        if rollback_id is None or await _id_of(newest) == rollback_id:
            return self._handle_of(newest), newest
        async for found in self._client.list_workflows(f'WorkflowId = "{newest.id}"'):
            gone_on = found.status is WorkflowExecutionStatus.CONTINUED_AS_NEW
            if not gone_on and await _id_of(found) == rollback_id:
                return self._handle_of(found), found
        raise RollbackNotFoundError(
            f"Estate {self._estate.estate} has no rollback {rollback_id}.",
            "`failback rollback list` shows those it has.",
        )

    async def _ask(self, handle: Run) -> RollbackStatus:
        """Query a run, which needs a worker."""
        try:
            status: RollbackStatus = await handle.query(
                "status", result_type=RollbackStatus, rpc_timeout=_ANSWER_SECONDS
            )
        except RPCError as error:
            raise self._rpc(error, "The rollback does not answer") from error
        except (WorkflowQueryFailedError, WorkflowQueryRejectedError) as error:
            raise UnreachableError(f"The rollback cannot be queried: {error}") from error
        if status.result is None and status.phase not in (Phase.CANCELLED, Phase.REJECTED):
            ended = (await handle.describe()).status
            if ended in (WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.FAILED):
                return status.model_copy(update={"phase": Phase.FAILED, "detail": ended.name})
        return status

    def _rpc(self, error: RPCError, what: str) -> FailbackError:
        """An RPC failure as an error that says what to do."""
        if error.status is RPCStatusCode.NOT_FOUND:
            return RollbackNotFoundError(f"{what}.", "`failback rollback list` shows them.")
        if error.status in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
            return UnreachableError(f"{what} in time.", _NO_WORKER)
        return UnreachableError(f"{what}: {error.message}.", _NO_WORKER)

    async def start_reverse_sync(self) -> bool:
        """Start the continuous sync; False where it runs already."""
        interval = self._estate.data.interval_seconds
        return await self._start_continuous(
            "ReverseSync",
            ids.reverse_sync_workflow(self._estate.estate),
            {"estate": self._estate.estate, "interval_seconds": interval},
        )

    async def stop_reverse_sync(self) -> bool:
        """Cancel the continuous sync and wait for its end; False where none runs."""
        return await self._stop_continuous(
            ids.reverse_sync_workflow(self._estate.estate), "continuous sync"
        )

    async def start_archiving(self) -> bool:
        """Start to archive changes; False where that runs already, or the estate has no archive."""
        config = self._estate.archive
        if config is None:
            return False
        return await self._start_continuous(
            "Archiving",
            ids.archiving_workflow(self._estate.estate),
            {
                "estate": self._estate.estate,
                "interval_seconds": config.interval_seconds,
                "alert_seconds": config.alert_seconds,
            },
        )

    async def stop_archiving(self) -> bool:
        """Cancel the archiving and wait for its end; False where none runs."""
        return await self._stop_continuous(
            ids.archiving_workflow(self._estate.estate), "archiving of changes"
        )

    async def _start_continuous(self, workflow: str, workflow_id: str, request: Any) -> bool:
        try:
            await self._client.start_workflow(
                workflow,
                request,
                id=workflow_id,
                task_queue=self._estate.temporal.task_queue,
                task_timeout=TASK_SECONDS,
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    async def _stop_continuous(self, workflow_id: str, name: str) -> bool:
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            await handle.cancel()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise self._rpc(error, f"The {name} does not answer") from error
        try:
            await asyncio.wait_for(handle.result(), _ANSWER_SECONDS.total_seconds())
        except WorkflowFailureError:
            return True
        except TimeoutError as error:
            raise UnreachableError(f"The {name} did not stop.", _NO_WORKER) from error
        return True


async def _id_of(found: WorkflowExecution) -> str:
    """The rollback id in a run's memo."""
    memo = await found.memo()
    return str(memo.get("rollback_id", ""))
