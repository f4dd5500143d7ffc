"""What every level shares: queries, availability, story and result."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.database import DatabaseActivities
    from activities.verification import VerificationActivities
    from failback.models.common import Outcome
    from failback.models.recovery import RecoveryResult
    from failback.models.requests import DrainRequest, MeasureAvailabilityRequest
    from failback.models.rollback import (
        AvailabilityReport,
        DataLoss,
        EmergencyAction,
        Phase,
        RollbackRequest,
        RollbackResult,
        RollbackStatus,
        StepRecord,
    )
    from failback.models.sync import DrainReport, VerifyReport
    from failback.models.system import ItemsReport
    from failback.temporal.starting import WORKFLOW_OF_LEVEL
from workflows import options
from workflows.gate import GatedWorkflow
from workflows.stakeholders import Stakeholders
from workflows.timeline import StepFailedError, Timeline
from workflows.undo import UndoStack

PHASE = SearchAttributeKey.for_keyword("FailbackPhase")
VERDICT = SearchAttributeKey.for_keyword("FailbackVerdict")
LEVEL = SearchAttributeKey.for_int("FailbackLevel")


class RollbackWorkflow(GatedWorkflow):
    """State of a rollback of any level.

    A level derives from it, calls `prepare` from its `@workflow.init`, writes down its `plan`, and
    has it `carried_out` by its `run`.
    """

    def prepare(self, request: RollbackRequest) -> None:
        """Make the whole state, before any message can arrive."""
        self.request = request
        self.undo = UndoStack()
        self.timeline = Timeline(
            request.plan.budgets, request.level, self.show, self.undo.checkpoint
        )
        self.stakeholders = Stakeholders(request)
        self.prepare_gate(request)
        self.phase = Phase.RUNNING
        self.asked_at = workflow.now()
        self.began_at = self.asked_at
        self.restored_at: datetime | None = None
        self.held_at: datetime | None = None
        self.released_at: datetime | None = None
        self.availability = AvailabilityReport()
        self.data_loss = DataLoss()
        self.synced_records = 0
        self.lag_before_fence: float | None = None
        self.verification: VerifyReport | None = None
        self.error: str | None = None
        self.emergency_action: EmergencyAction | None = None
        self.children: tuple[RollbackResult, ...] = ()
        self.validation: ItemsReport | None = None
        self.paused: tuple[str, ...] = ()
        self.recovery: RecoveryResult | None = None
        self.ended: RollbackResult | None = None

    @workflow.query
    def status(self) -> RollbackStatus:
        """Where the rollback stands."""
        running = self.timeline.running
        waiting = self.phase is Phase.WAITING_FOR_APPROVAL
        return RollbackStatus(
            rollback_id=self.request.rollback_id,
            estate=self.request.plan.estate,
            level=self.request.level,
            phase=self.phase,
            step=running.name if running else None,
            reason=self.request.reason,
            requested_by=self.request.requested_by,
            started_at=self.asked_at,
            approvals_needed=self.request.plan.approval.quorum,
            approvals_given=self.approvals.given,
            detail=self.error or "",
            steps=self.timeline.steps,
            decisions=self.approvals.decisions,
            plan_hash=self.approvals.plan_hash,
            approvals_missing=self.approvals.missing if waiting else "",
            expires_at=self.expires_at if waiting else None,
            escalated=bool(self.escalated),
            result=self.ended,
        )

    @workflow.query(name="timeline")
    def _timeline(self) -> tuple[StepRecord, ...]:
        """Every step so far, those of child levels after the step that ran them."""
        return self.timeline.steps

    async def plan(self) -> RollbackResult:
        """What the level does, from its approval to its end."""
        raise NotImplementedError

    async def carried_out(self) -> RollbackResult:
        """The plan's result; a cancel before traffic moves undoes what was begun."""
        try:
            return await self.undo.guard(self.plan())
        except asyncio.CancelledError:
            await self.cancelled()
            raise

    # Mechanics that the levels' plans are written with.

    async def began(self) -> bool:
        """Wait for people, and say that it acts; False where it may not, and is to be closed."""
        if not await self.approval_granted():
            return False
        await self.go_higher(None)
        self.stakeholders.started()
        self.journal.started()
        return True

    @contextlib.asynccontextmanager
    async def measuring_availability(self) -> AsyncIterator[None]:
        """Probe as customers do while the body runs. A child is measured by its parent."""
        if self.request.is_child or self.request.dry_run:
            yield
            return
        probing = asyncio.create_task(self._probe())
        try:
            yield
        finally:
            probing.cancel()
            with contextlib.suppress(asyncio.CancelledError, FailureError):
                self.availability = await probing

    async def _probe(self) -> AvailabilityReport:
        handle = workflow.start_activity_method(
            VerificationActivities.measure_availability,
            MeasureAvailabilityRequest(
                rollback_id=self.request.rollback_id, step="measure_availability"
            ),
            **options.persistent(),
        )
        try:
            return await asyncio.shield(handle)
        except asyncio.CancelledError:
            handle.cancel()
            return await handle

    async def notify_stakeholders(self, subject: str, text: str) -> None:
        """Tell people where the traffic is; no channel can fail or delay the rollback."""
        budget = self.timeline.budget("notify", 10.0)
        with contextlib.suppress(StepFailedError):
            async with self.timeline.step("notify", budget) as step:
                await self.stakeholders.moved(
                    step,
                    budget,
                    subject,
                    text,
                    error=self.error is not None,
                    final=not self.request.is_child and self.data_loss.tail != "pending",
                )

    async def drain_tail(self) -> None:
        """Work until the source has everything, or a named operator accepts the rest."""
        self.enter(Phase.DRAINING_TAIL)
        if self.error is not None:
            self.stakeholders.failed_early(self.error)
        with contextlib.suppress(StepFailedError):
            async with self.timeline.step(
                "drain_tail", self.timeline.budget("drain_tail", 300.0)
            ) as step:
                report = await self._drained_or_accepted()
                accepted = self.approvals.accepted_tail
                if report is not None:
                    self.synced_records += report.keys
                    self.data_loss = DataLoss(parked_conflicts=report.conflicts)
                    step.observed(
                        Outcome.SUCCEEDED,
                        f"{report.keys} keys carried over, {report.conflicts} conflicts parked",
                        report.attempts,
                    )
                elif accepted is not None:
                    self.data_loss = DataLoss(
                        lost_rows=None, tail="accepted", detail=f"accepted by {accepted.who}"
                    )
                    step.observed(Outcome.INCONCLUSIVE, f"rest accepted by {accepted.who}")
        if self.data_loss.tail == "pending":
            self.data_loss = self.data_loss.model_copy(update={"lost_rows": None})

    async def _drained_or_accepted(self) -> DrainReport | None:
        """The drain's report; None when somebody accepted the rest before it ended."""
        draining = workflow.start_activity_method(
            DatabaseActivities.close_tail,
            DrainRequest(
                rollback_id=self.request.rollback_id, step="drain_tail", deadline_seconds=20.0
            ),
            **options.persistent(),
        )
        await workflow.wait_condition(
            lambda: draining.done() or self.approvals.accepted_tail is not None
        )
        if draining.done():
            return await draining
        draining.cancel()
        with contextlib.suppress(FailureError, asyncio.CancelledError):
            return await draining
        return None

    def service_restored(self) -> None:
        """The source serves: execution time ends here, whatever is still tidied up."""
        if self.restored_at is None:
            self.restored_at = workflow.now()

    def so_far(self) -> RollbackResult:
        """What it has done until now."""
        return self._result(success=self.error is None)

    def result(self, *, success: bool) -> RollbackResult:
        """What the level reports at its end."""
        self.ended = self._result(success=success)
        return self.ended

    def _result(self, *, success: bool) -> RollbackResult:
        now = workflow.now()
        gap = (
            (self.released_at - self.held_at).total_seconds()
            if self.held_at and self.released_at
            else None
        )
        return RollbackResult(
            rollback_id=self.request.rollback_id,
            level=self.request.level,
            estate=self.request.plan.estate,
            reason=self.request.reason,
            requested_by=self.request.requested_by,
            success=success,
            started_at=self.asked_at,
            ended_at=now,
            execution_seconds=((self.restored_at or now) - self.began_at).total_seconds(),
            waited_seconds=(self.began_at - self.asked_at).total_seconds(),
            data_loss=self.data_loss,
            service_availability=self.availability.share,
            availability=self.availability,
            synced_records=self.synced_records,
            steps=self.timeline.steps,
            decisions=self.approvals.decisions,
            write_gap_seconds=gap,
            held_at=self.held_at,
            released_at=self.released_at,
            lag_before_fence_seconds=self.lag_before_fence,
            verification=self.verification,
            error=self.error,
            emergency_action=self.emergency_action,
            children=self.children,
            plan_hash=self.approvals.plan_hash,
            escalated=bool(self.escalated),
            validation=self.validation,
            paused=self.paused,
            recovery=self.recovery,
        )

    async def closed(self, *, success: bool) -> RollbackResult:
        """The rollback's end: its result, told to people."""
        result = self.result(success=success)
        phase = Phase.DONE if success else Phase.FAILED
        if self.phase is Phase.REJECTED:
            phase = Phase.REJECTED
            self.stakeholders.withdrawn((self.error or "not approved").capitalize())
        else:
            self.stakeholders.ended(result)
        self.journal.ended(result, phase.value, self.error)
        # Whoever sees the last phase may start another rollback: this one must be over then.
        await self._settled()
        if self.phase is not phase:
            self.enter(phase)
        return result

    async def go_higher(self, earlier: RollbackResult | None) -> None:
        """Let the level that somebody asked for take over, in this workflow's place.

        Args:
            earlier: what this level has done; None where it has done nothing.
        """
        higher = self.raised_to
        if higher is None:
            return
        await self._settled()
        if self.request.search_attributes:
            workflow.upsert_search_attributes([LEVEL.value_set(higher.level.value)])
        workflow.continue_as_new(
            args=[
                higher.model_copy(
                    update={"rollback_id": self.request.rollback_id, "earlier": earlier}
                )
            ],
            workflow=WORKFLOW_OF_LEVEL[higher.level],
            memo={"rollback_id": self.request.rollback_id, "level": higher.level.value},
        )

    async def cancelled(self) -> None:
        """The rollback was cancelled and undone."""
        self.error = "cancelled before traffic moved; the target serves as before"
        self.stakeholders.withdrawn("Cancelled before traffic moved")
        self.journal.ended(None, Phase.CANCELLED.value, self.error)
        await self._settled()
        self.enter(Phase.CANCELLED)

    async def _settled(self) -> None:
        """What was told and written has workflows of its own; this one may end."""
        await self.stakeholders.settled()
        await self.journal.settled()

    def enter(self, phase: Phase) -> None:
        """Go over to another phase, visible to whoever searches for it."""
        self.phase = phase
        if self.request.search_attributes:
            values = [PHASE.value_set(phase.value)]
            if self.ended is not None:
                values.append(VERDICT.value_set("succeeded" if self.ended.success else "failed"))
            workflow.upsert_search_attributes(values)
        self.show()

    def show(self) -> None:
        """Tell the story so far in Temporal's own UI."""
        request = self.request
        lines = [
            (
                f"**Level {request.level.value} rollback of {request.plan.estate}**: "
                f"{self.phase.value.replace('_', ' ')}"
            ),
            f"Reason: {request.reason} (asked by {request.requested_by})",
        ]
        if self.phase is Phase.WAITING_FOR_APPROVAL:
            lines.append(
                f"Approvals: {self.approvals.given} of {request.plan.approval.quorum}, "
                f"missing {self.approvals.missing}. Plan: {self.approvals.plan_hash}. "
                'Signal `approve` with `{"who": …, "role": …, "plan_hash": …}`.'
            )
        lines.extend(
            f"- {step.name}: {step.outcome.value if step.outcome else 'running'}"
            f"{f' in {step.seconds:.2f} s' if step.seconds is not None else ''}"
            f"{f' ({step.detail})' if step.detail else ''}"
            for step in self.timeline.steps
        )
        workflow.set_current_details("\n".join(lines))
