"""The steps of a disaster recovery, each of which may be repeated."""

from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.database import DatabaseActivities
    from activities.dns import DnsActivities
    from activities.recovery import RecoveryActivities
    from failback.models.common import Outcome, Side
    from failback.models.recovery import (
        Assessment,
        Condition,
        Part,
        RecoveryGate,
        RecoveryResult,
        RestoreReport,
    )
    from failback.models.requests import DrainRequest, FenceRequest, PointNamesRequest
    from failback.models.rollback import DataLoss
    from failback.models.system import Item
    from failback.models.system_requests import (
        ReplayArchiveRequest,
        RestorePartRequest,
    )
from workflows import options
from workflows.gradual_return import ReturningWorkflow
from workflows.recovery_story import assessed, evidence, restored
from workflows.timeline import StepFailedError

_EVIDENCE_LINES = 40


class RecoveryWorkflow(ReturningWorkflow):
    """What a recovery knows, and the hands it works with."""

    routes = False
    """Nobody is let at what was restored before it was validated: services return at the end."""

    def prepare_recovery(self) -> None:
        """Make its state, before any message can arrive."""
        self.prepare_system()
        self.prepare_return()
        self.assessment: Assessment | None = None
        self.restores: list[RestoreReport] = []
        self._left: list[Item] = []
        self._replayed: RestoreReport | None = None
        self._stopped_at: datetime | None = None
        """From when on the target has acknowledged nothing, as far as that is known."""
        self._exact = False
        """Whether everything that the target acknowledged is on the side that will serve."""

    # Assess.

    async def assess(self) -> None:
        """Find out what is damaged, what it can be restored from, and what that costs."""
        budget = self.timeline.budget("assess", 120.0)
        async with self.timeline.step("assess", budget) as step:
            found = await workflow.execute_activity_method(
                RecoveryActivities.assess_damage, self._asks("assess"), **options.long(budget)
            )
            self.assessment = found
            step.observed(Outcome.SUCCEEDED, assessed(found))

    def _damaged(self, part: Part) -> bool:
        assessment = self.assessment
        return assessment is not None and assessment.condition(part) in (
            Condition.CORRUPTED,
            Condition.GONE,
        )

    @property
    def restores_database(self) -> bool:
        """Whether the database is restored beside; sessions and users live in it."""
        return self._damaged(Part.DATABASE) or self._damaged(Part.AUTH)

    # Activate.

    async def activate(self) -> None:
        """See that the standby can take what is restored; nothing where nothing has to be."""
        budget = self.timeline.budget("activate", 120.0)
        async with self.timeline.step("activate", budget) as step:
            if not self.restores_database:
                step.observed(Outcome.SUCCEEDED, "the database needs no restore, so no standby")
                return
            report = await workflow.execute_activity_method(
                RecoveryActivities.activate_standby, self._asks("activate"), **options.long(budget)
            )
            step.observed(report.outcome, report.detail, report.attempts)

    # Restore.

    async def restore(self) -> None:
        """Beside what is damaged, in the order database, auth, storage; then the last changes."""
        if self.restores_database:
            await self._restore_database()
            await self._last_changes()
            await self._restore_part(
                Part.AUTH, "restore_auth", self.timeline.budget("restore_auth", 60.0)
            )
        else:
            await self._last_changes()
        if self._damaged(Part.STORAGE):
            await self._restore_part(
                Part.STORAGE, "restore_storage", self.timeline.budget("restore_storage", 1200.0)
            )
        else:
            await self.bring_storage_back()

    async def _restore_database(self) -> None:
        assert self.assessment is not None  # noqa: S101 - `restores_database` says so
        if not self.assessment.choice.backup:
            raise StepFailedError("restore_database", self.assessment.choice.detail or "no backup")
        self._replayed = None
        await self._restore_part(
            Part.DATABASE, "restore_database", self.timeline.budget("restore_database", 1800.0)
        )
        await self._replay()

    async def _restore_part(self, part: Part, step_name: str, budget: float) -> None:
        backup = self.assessment.choice.backup if self.assessment else ""
        async with self.timeline.step(step_name, budget) as step:
            report = await workflow.execute_activity_method(
                RecoveryActivities.restore_part,
                RestorePartRequest(
                    rollback_id=self.request.rollback_id, step=step_name, part=part, backup=backup
                ),
                **options.long(budget),
            )
            self.restores.append(report)
            self.synced_records += report.rows
            step.observed(report.outcome, restored(report), report.attempts)

    async def _replay(self) -> bool:
        """Archived changes on top of the backup; a second replay goes on after the first.

        Returns:
            Whether everything that was archived is restored.
        """
        budget = self.timeline.budget("replay", 900.0)
        assert self.assessment is not None  # noqa: S101 - only reached with a backup
        before = self._replayed
        async with self.timeline.step("replay", budget) as step:
            report = await workflow.execute_activity_method(
                RecoveryActivities.replay_archive,
                ReplayArchiveRequest(
                    rollback_id=self.request.rollback_id,
                    step="replay",
                    backup=self.assessment.choice.backup,
                    after=before.replayed_upto if before else "",
                ),
                **options.long(budget),
            )
            self._replayed = report if report.replayed_upto or before is None else before
            self.synced_records += report.replayed_keys
            step.observed(report.outcome, restored(report), report.attempts)
        return report.outcome is Outcome.SUCCEEDED

    async def _last_changes(self) -> None:
        """Fence the target, so that nothing is acknowledged there, and take what it has left."""
        self._exact = False
        if not await self._target_fenced():
            return
        if self.restores_database:
            archived = await self._archive_the_rest()
            self._exact = await self._replay() and archived
        else:
            await self._drain_the_rest()
        self.data_loss = (
            DataLoss(lost_rows=0, detail="the target was fenced before its last read")
            if self._exact
            else _unknown("the archive does not hold everything that the target acknowledged")
        )

    async def _target_fenced(self) -> bool:
        """Whether no write can be acknowledged on the target any more."""
        budget = self.timeline.budget("fence", 10.0)
        try:
            async with self.timeline.step("fence", budget) as step:
                report = await self.raise_target_fence(step, budget)
                step.observed(report.outcome, report.detail, report.attempts)
                fenced, why = report.outcome is Outcome.SUCCEEDED, report.detail
        except StepFailedError as failure:
            fenced, why = False, failure.detail
        self._stopped_at = workflow.now()
        if not fenced:
            self.data_loss = _unknown(
                f"the target could not be fenced ({why}): what it acknowledged after the last "
                "archived change is not restored"
            )
        return fenced

    async def _archive_the_rest(self) -> bool:
        """Whether the archive holds everything that the target has acknowledged."""
        budget = self.timeline.budget("last_changes", 120.0)
        async with self.timeline.step("last_changes", budget) as step:
            state = await workflow.execute_activity_method(
                RecoveryActivities.archive_now, self._asks("last_changes"), **options.long(budget)
            )
            known = state.last_commit_at is not None
            step.observed(
                Outcome.SUCCEEDED if known else Outcome.INCONCLUSIVE,
                state.detail or f"archived up to {state.last_position}",
            )
        return known

    async def _drain_the_rest(self) -> None:
        budget = self.timeline.budget("last_changes", 120.0)
        async with self.timeline.step("last_changes", budget) as step:
            report = await workflow.execute_activity_method(
                DatabaseActivities.drain,
                DrainRequest(
                    rollback_id=self.request.rollback_id,
                    step="last_changes",
                    deadline_seconds=budget,
                ),
                **options.long(budget + 5.0),
            )
            self.synced_records += report.keys
            self._exact = report.outcome is Outcome.SUCCEEDED
            outcome = Outcome.SUCCEEDED if self._exact else Outcome.FAILED
            step.observed(outcome, report.detail or f"{report.keys} keys", report.attempts)

    # Rebuild.

    async def rebuild(self) -> None:
        """Everything that leads somewhere leads to the side that serves from now on."""
        self.undo.commit()
        budget = self.timeline.budget("rebuild", 120.0)
        if self.restores_database:
            async with self.timeline.step("rebuild", budget) as step:
                report = await workflow.execute_activity_method(
                    RecoveryActivities.rebuild_connections,
                    self._asks("rebuild"),
                    **options.long(budget),
                )
                step.observed(report.outcome, report.detail, report.attempts)
        await self.switch_configuration()
        await self._point_names()

    async def _point_names(self) -> None:
        budget = self.timeline.budget("dns", 10.0)
        plan = self.request.plan
        if not plan.records:
            return
        async with self.timeline.step("dns", budget) as step:
            report = await workflow.execute_activity_method(
                DnsActivities.point_names,
                PointNamesRequest(
                    rollback_id=self.request.rollback_id,
                    step="dns",
                    records=plan.records,
                    live=Side.SOURCE,
                    wait_seconds=plan.resolver_wait_seconds,
                ),
                **options.long(budget + plan.resolver_wait_seconds),
            )
            step.observed(report.outcome, report.detail, report.attempts)

    # Validate.

    async def validate_restored(self) -> None:
        """What was restored is whole, before anybody is let at it."""
        budget = self.timeline.budget("validate_restored", 600.0)
        async with self.timeline.step("validate_restored", budget) as step:
            if not self.restores_database:
                step.observed(Outcome.SUCCEEDED, "the database was not restored")
                return
            report = await workflow.execute_activity_method(
                RecoveryActivities.verify_restored,
                self._asks("validate_restored"),
                **options.long(budget),
            )
            step.observed(report.outcome, report.detail, report.attempts)

    # Return.

    async def return_services(self) -> None:
        """Let writers in where it is the source itself that serves; then service by service."""
        if not self.restores_database:
            await self._open_source()
        await self.return_each_service()

    async def _open_source(self) -> None:
        budget = self.timeline.budget("open_source", 5.0)
        async with self.timeline.step("open_source", budget) as step:
            report = await workflow.execute_activity_method(
                DatabaseActivities.lift_fence,
                FenceRequest(
                    rollback_id=self.request.rollback_id, step="open_source", side=Side.SOURCE
                ),
                **options.effect(2 * budget),
            )
            step.observed(report.outcome, report.detail or "the source takes writes")

    # What people are shown.

    def recovered(self, gates: tuple[RecoveryGate, ...]) -> RecoveryResult:
        """What was found, restored and returned so far."""
        return RecoveryResult(
            assessment=self.assessment,
            restores=tuple(self.restores),
            gates=gates,
            services=tuple(self.returned.values()),
            left=tuple(self._left),
            loss_seconds=self.loss_seconds(),
        )

    def loss_seconds(self) -> float | None:
        """Seconds of acknowledged writes that are missing at most; estimated before a restore."""
        if self._exact:
            return 0.0
        if self.assessment is None:
            return None
        replayed = self._replayed.replayed_commit_at if self._replayed else None
        if replayed is None:
            return self.assessment.loss_seconds
        until = self._stopped_at or self.assessment.at
        return max((until - replayed).total_seconds(), 0.0)

    def evidence(self) -> tuple[str, ...]:
        """What speaks for the next step, a line each."""
        lines = [self.request.findings] if self.request.findings else []
        if self.assessment is not None:
            lines.extend(evidence(self.assessment))
        lines.extend(f"{item.name} was left out: {item.detail}" for item in self._left)
        return tuple(line[:500] for line in lines[:_EVIDENCE_LINES])

    def left_out(self, name: str, why: str) -> None:
        """Remember what was not done, for the result and the runbook."""
        self._left.append(Item(name=name, outcome=Outcome.INCONCLUSIVE, detail=why))
        if name == "restore":
            self.data_loss = _unknown(why)

    def last_detail(self, name: str) -> str:
        """What the newest step of a stage said."""
        said = [step.detail for step in self.timeline.steps if step.name == name]
        newest = self.timeline.steps[-1].detail if self.timeline.steps else ""
        return said[-1] if said else newest


def _unknown(why: str) -> DataLoss:
    return DataLoss(lost_rows=None, tail="unknown", detail=why)
