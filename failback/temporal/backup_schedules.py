"""The one schedule of an estate that takes and proves its backups, as Temporal keeps it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionResult,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    WorkflowExecutionStatus,
    WorkflowFailureError,
)
from temporalio.service import RPCError, RPCStatusCode

from failback.config import Estate
from failback.errors import BackupNotFoundError, ConfigurationError, UnreachableError
from failback.models.backup_schedule import BackupRun, BackupSchedule, BackupScheduleStatus
from failback.models.backups import BackupProofRequest
from failback.temporal import ids
from failback.temporal.starting import TASK_SECONDS

_ANSWER = timedelta(seconds=10)
_CATCH_UP = timedelta(hours=1)
"""What Temporal missed while it was away for no longer than this is made up for, once."""
_NEXT_SHOWN = 3


class BackupSchedules:
    """Sets, shows and removes the schedule of one estate.

    Args:
        client: connected to the estate's namespace.
        estate: whose.
    """

    def __init__(self, client: Client, estate: Estate) -> None:
        self._client = client
        self._estate = estate

    async def set(self, wanted: BackupSchedule) -> BackupScheduleStatus:
        """Make the schedule, or change it; one that was paused goes on.

        Raises:
            ConfigurationError: Temporal does not take the times.
            UnreachableError: Temporal does not answer.
        """
        made = self._schedule(wanted)
        with _explained(self._estate.estate):
            try:
                await self._client.create_schedule(
                    self._id, made, rpc_timeout=_ANSWER, memo={"estate": self._estate.estate}
                )
            except ScheduleAlreadyRunningError:
                await self._handle.update(lambda _: _updated(made), rpc_timeout=_ANSWER)
        return await self.show()

    async def show(self) -> BackupScheduleStatus:
        """The schedule, and what became of its newest run.

        Raises:
            BackupNotFoundError: there is none.
            UnreachableError: Temporal does not answer.
        """
        with _explained(self._estate.estate):
            found = await self._handle.describe(rpc_timeout=_ANSWER)
            schedule = await self._asked_for(found)
            recent = found.info.recent_actions
            last = await self._run(recent[-1]) if recent else None
        return BackupScheduleStatus(
            id=self._id,
            schedule=schedule,
            paused=found.schedule.state.paused,
            note=found.schedule.state.note or "",
            next_at=tuple(found.info.next_action_times[:_NEXT_SHOWN]),
            last=last,
            skipped=found.info.num_actions_skipped_overlap,
            missed=found.info.num_actions_missed_catchup_window,
        )

    async def remove(self) -> None:
        """Take the schedule away; a run at work goes on to its end.

        Raises:
            BackupNotFoundError: there is none.
            UnreachableError: Temporal does not answer.
        """
        with _explained(self._estate.estate):
            await self._handle.delete(rpc_timeout=_ANSWER)

    @property
    def _id(self) -> str:
        return ids.backup_proof_schedule(self._estate.estate)

    @property
    def _handle(self) -> ScheduleHandle:
        return self._client.get_schedule_handle(self._id)

    def _schedule(self, wanted: BackupSchedule) -> Schedule:
        every = timedelta(seconds=wanted.every_seconds)
        return Schedule(
            action=ScheduleActionStartWorkflow(
                "BackupProof",
                BackupProofRequest(
                    estate=self._estate.estate,
                    take=wanted.take,
                    keep=wanted.keep,
                    keep_proven=wanted.keep_proven,
                ),
                id=self._id,
                task_queue=self._estate.temporal.task_queue,
                task_timeout=TASK_SECONDS,
                memo={"estate": self._estate.estate},
            ),
            spec=ScheduleSpec(
                intervals=[ScheduleIntervalSpec(every=every)] if every else [],
                # The server keeps a calendar of it, and what follows the mark as it is.
                cron_expressions=[f"{wanted.cron} # {wanted.cron}"] if wanted.cron else [],
            ),
            policy=SchedulePolicy(
                overlap=ScheduleOverlapPolicy.SKIP,
                catchup_window=_CATCH_UP,
                # A run that fails tells people itself; the next one may find a server that is
                # back. A schedule that stopped by itself would leave backups unproven in silence.
                pause_on_failure=False,
            ),
            state=ScheduleState(note=wanted.when),
        )

    async def _asked_for(self, found: ScheduleDescription) -> BackupSchedule:
        action, spec = found.schedule.action, found.schedule.spec
        request = BackupProofRequest(estate=self._estate.estate)
        if isinstance(action, ScheduleActionStartWorkflow) and action.args:
            converter = self._client.data_converter
            request = (await converter.decode(list(action.args), [BackupProofRequest]))[0]
        every = int(spec.intervals[0].every.total_seconds()) if spec.intervals else 0
        typed = (spec.calendars[0].comment or "").strip() if spec.calendars else ""
        return BackupSchedule(
            every_seconds=every,
            cron=typed,
            take=request.take,
            keep=request.keep,
            keep_proven=request.keep_proven,
        )

    async def _run(self, result: ScheduleActionResult) -> BackupRun | None:
        action = result.action
        if not isinstance(action, ScheduleActionExecutionStartWorkflow):
            return None
        run = self._client.get_workflow_handle(
            action.workflow_id, run_id=action.first_execution_run_id
        )
        state, problem = "unknown", ""
        try:
            status = (await run.describe(rpc_timeout=_ANSWER)).status
            state = status.name.lower() if status is not None else state
            if status is WorkflowExecutionStatus.FAILED:
                await run.result(rpc_timeout=_ANSWER)
        except WorkflowFailureError as error:
            problem = str(error.cause)
        except RPCError as error:
            # Its history was kept for some days only.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return BackupRun(
            workflow_id=action.workflow_id,
            started_at=result.started_at,
            state=state,
            problem=problem,
        )


def _updated(made: Schedule) -> ScheduleUpdate:
    return ScheduleUpdate(schedule=made)


@contextmanager
def _explained(estate: str) -> Iterator[None]:
    try:
        yield
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise BackupNotFoundError(
                f"No schedule proves the backups of {estate}.",
                "Make one, such as `failback backup schedule --every 6h --take --keep 14`.",
            ) from error
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            raise ConfigurationError(
                f"Temporal does not take these times: {error.message}.",
                "Write --every 6h, or --cron '0 3 * * *' with five fields.",
            ) from error
        raise UnreachableError(
            f"Temporal does not answer about schedules: {error.message}.",
            "Repeat once it is well.",
        ) from error
