"""The steps that take back what is neither rows nor traffic, for levels 3 and 4."""

import asyncio
from collections.abc import Awaitable, Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.storage import StorageActivities
    from activities.system import (
        AuthActivities,
        ConfigurationActivities,
        FunctionActivities,
        PauseActivities,
        ValidationActivities,
    )
    from activities.traffic import TrafficActivities
    from failback.models.common import Outcome, Service, Side
    from failback.models.requests import ShiftWeightsRequest, StepRequest, StorageRequest
    from failback.models.storage import StorageSyncReport
    from failback.models.system import Item, ItemsReport, SessionProbe
    from failback.models.system_requests import (
        FunctionRequest,
        PauseActivitiesRequest,
        ResumeActivitiesRequest,
        SessionRequest,
        SwitchConfigurationRequest,
        ValidateSystemRequest,
    )
    from failback.models.traffic import WeightsReport
from workflows import options
from workflows.timeline import StepFailedError
from workflows.undo import Undo
from workflows.write_gap import WriteGapWorkflow

RESUME = "resume what was paused"
"""The undoing that a disaster recovery leaves out: the migration stays paused meanwhile."""


class SystemWorkflow(WriteGapWorkflow):
    """A level that takes back functions, sessions, objects and configuration.

    Each step may be repeated, and registers its undoing before it changes anything.
    """

    routes = True
    """Whether a service that was brought back gets its traffic in the same step."""

    def prepare_system(self) -> None:
        """Make its state, before any message can arrive."""
        self.session: SessionProbe | None = None

    # Before the write gap.

    async def pause_activities(self) -> None:
        """Stop everything that migrates. Without it rows would go on arriving on the target."""
        budget = self.timeline.budget("pause_activities", 30.0)
        self.undo.register(RESUME, self._resume_activities)
        async with self.timeline.step("pause_activities", budget) as step:
            report = await workflow.execute_activity_method(
                PauseActivities.pause_activities,
                PauseActivitiesRequest(
                    rollback_id=self.request.rollback_id,
                    step="pause_activities",
                    reason=self.request.reason,
                ),
                **options.long(budget),
            )
            self.paused = tuple(item.name for item in report.items if _right(item))
            step.observed(report.outcome, report.detail, report.attempts)

    async def _resume_activities(self) -> None:
        await workflow.execute_activity_method(
            PauseActivities.resume_activities,
            ResumeActivitiesRequest(rollback_id=self.request.rollback_id, step="resume_activities"),
            **options.long(30.0),
        )
        self.paused = ()

    async def prepare_auth(self) -> None:
        """See that the source takes the target's tokens, and open a session to prove it with."""
        budget = self.timeline.budget("prepare_auth", 20.0)
        async with self.timeline.step("prepare_auth", budget) as step:
            ready = await workflow.execute_activity_method(
                AuthActivities.prepare_auth, self._asks("prepare_auth"), **options.long(budget)
            )
            step.observed(ready.outcome, ready.detail, ready.attempts)
            if ready.outcome is Outcome.FAILED:
                return
            self.session = await workflow.execute_activity_method(
                AuthActivities.open_session, self._asks("open_session"), **options.long(budget)
            )

    async def prepare_storage(self) -> None:
        """Copy objects while customers still write, so that little is left for the gap.

        What a rule forbids, such as deleting most of a bucket, ends the plan here: in the gap it
        would be no other. Whatever else fails is left to the storage step.
        """
        budget = self.timeline.budget("prepare_storage", 240.0)
        try:
            async with self.timeline.step("prepare_storage", budget) as step:
                report = await workflow.execute_activity_method(
                    StorageActivities.pre_sync_storage,
                    self._objects("prepare_storage"),
                    **options.long(budget),
                )
                step.observed(report.outcome, _synced(report))
        except StepFailedError as failure:
            if failure.cause_type == "SafetyRuleError":
                raise
            workflow.logger.warning("objects are not copied ahead; the storage step does it all")

    def _objects(self, step: str) -> StorageRequest:
        return StorageRequest(
            rollback_id=self.request.rollback_id,
            step=step,
            deletes_accepted_by=self.request.deletes_accepted_by,
        )

    # In the gap: side by side, because none of them waits for another.

    async def bring_back_services(self, after: Awaitable[None] | None = None) -> None:
        """Functions, sessions, objects and configuration at the same time.

        Args:
            after: brings the rows back; sessions wait for it.

        Raises:
            StepFailedError: of the first that failed, once all of them have ended.
        """
        await together(
            self._bring_auth_back(after),
            self.bring_functions_back(),
            self.bring_storage_back(),
            self.switch_configuration(),
        )

    async def _bring_auth_back(self, after: Awaitable[None] | None) -> None:
        if after is not None:
            await after
        await self.bring_auth_back()

    async def bring_functions_back(self) -> None:
        """One by one: off on the target, on on the source, asked there; then their route."""
        budget = self.timeline.budget("functions", 60.0)
        async with self.timeline.step("functions", budget) as step:
            listed = await workflow.execute_activity_method(
                FunctionActivities.list_functions, self._asks("functions"), **options.long(budget)
            )
            items: list[Item] = []
            for name in listed.names:
                asked = FunctionRequest(
                    rollback_id=self.request.rollback_id, step="functions", name=name
                )
                self.undo.register(f"put function {name} back", self._putter_back(asked))
                report = await workflow.execute_activity_method(
                    FunctionActivities.bring_function_back, asked, **options.long(budget)
                )
                items.append(report.item)
            found = ItemsReport(items=tuple(items), note="" if items else "no functions")
            if found.outcome is not Outcome.FAILED:
                await self._route(Service.FUNCTIONS, budget)
            step.observed(found.outcome, found.detail)

    def _putter_back(self, asked: FunctionRequest) -> Undo:
        async def put_back() -> None:
            await workflow.execute_activity_method(
                FunctionActivities.put_function_back, asked, **options.long(30.0)
            )

        return put_back

    async def bring_auth_back(self) -> None:
        """Route to the source, whose rows came with the sync, and show that sessions go on."""
        budget = self.timeline.budget("auth", 30.0)
        async with self.timeline.step("auth", budget) as step:
            await self._route(Service.AUTH, budget)
            if self.session is None:
                step.observed(Outcome.INCONCLUSIVE, "auth: not configured")
                return
            report = await workflow.execute_activity_method(
                AuthActivities.confirm_session,
                SessionRequest(
                    rollback_id=self.request.rollback_id, step="auth", probe=self.session
                ),
                **options.long(budget),
            )
            step.observed(report.item.outcome, report.item.detail, report.attempts)

    async def bring_storage_back(self) -> None:
        """Objects written, replaced or deleted since, then their route."""
        budget = self.timeline.budget("storage", 240.0)
        async with self.timeline.step("storage", budget) as step:
            report = await workflow.execute_activity_method(
                StorageActivities.sync_storage,
                self._objects("storage"),
                **options.long(budget),
            )
            if report.outcome is not Outcome.FAILED:
                await self._route(Service.STORAGE, budget)
            step.observed(report.outcome, _synced(report))

    async def switch_configuration(self) -> None:
        """Every configured key gets its source value, read back."""
        budget = self.timeline.budget("configuration", 60.0)
        self.undo.register("switch the configuration back", self._switch_back)
        async with self.timeline.step("configuration", budget) as step:
            report = await self._switched(Side.SOURCE, budget)
            step.observed(report.outcome, report.detail, report.attempts)

    async def _switch_back(self) -> None:
        await self._switched(Side.TARGET, 60.0)

    async def _switched(self, side: Side, budget: float) -> ItemsReport:
        return await workflow.execute_activity_method(
            ConfigurationActivities.switch_configuration,
            SwitchConfigurationRequest(
                rollback_id=self.request.rollback_id, step="configuration", side=side
            ),
            **options.long(budget),
        )

    async def _route(self, service: Service, budget: float) -> None:
        """Send one service's traffic to the source."""
        if not self.routes or not any(
            route.service is service for route in self.request.plan.routes
        ):
            return
        self.undo.register(f"route {service.value} back", self._router_back(service))
        report = await self._shifted(service, Side.SOURCE, budget)
        if report.outcome is Outcome.FAILED:
            raise StepFailedError(service.value, report.detail)

    def _router_back(self, service: Service) -> Undo:
        async def route_back() -> None:
            await self._shifted(service, Side.TARGET, 10.0)

        return route_back

    async def _shifted(self, service: Service, live: Side, budget: float) -> WeightsReport:
        return await workflow.execute_local_activity_method(
            TrafficActivities.shift_weights,
            ShiftWeightsRequest(
                rollback_id=self.request.rollback_id,
                step=service.value,
                routes=(self.request.plan.route(service),),
                live=live,
            ),
            **options.switch(min(budget, 5.0)),
        )

    # Once the source is live.

    async def validate_system(self) -> None:
        """Look at the whole product, and finish the session that was opened before."""
        budget = self.timeline.budget("validate_system", 60.0)
        async with self.timeline.step("validate_system", budget) as step:
            report = await workflow.execute_activity_method(
                ValidationActivities.validate_system,
                ValidateSystemRequest(
                    rollback_id=self.request.rollback_id,
                    step="validate_system",
                    patience_seconds=0.5 * budget,
                ),
                **options.long(2 * budget),
            )
            session = await self._session_finished(budget)
            self.validation = report.model_copy(update={"items": (*report.items, *session)})
            step.observed(self.validation.outcome, self.validation.detail, report.attempts)

    async def _session_finished(self, budget: float) -> Sequence[Item]:
        """Whether the session of the target is refreshed on the source; then our user goes."""
        if self.session is None:
            return ()
        asked = SessionRequest(
            rollback_id=self.request.rollback_id, step="validate_system", probe=self.session
        )
        refreshed = await workflow.execute_activity_method(
            AuthActivities.confirm_refresh, asked, **options.long(budget)
        )
        closed = await workflow.execute_activity_method(
            AuthActivities.close_session, asked, **options.long(budget)
        )
        return refreshed.item, closed.item

    def _asks(self, step: str) -> StepRequest:
        return StepRequest(rollback_id=self.request.rollback_id, step=step)


async def together(*steps: Awaitable[None]) -> None:
    """Run steps side by side until all have ended; then raise what the first of them raised."""
    ended = await asyncio.gather(*steps, return_exceptions=True)
    for error in ended:
        if isinstance(error, BaseException):
            raise error


def _right(item: Item) -> bool:
    return item.outcome is not Outcome.FAILED


def _synced(report: StorageSyncReport) -> str:
    """A storage sync in one sentence."""
    copied = sum(bucket.copied for bucket in report.buckets)
    deleted = sum(bucket.deleted for bucket in report.buckets)
    sentence = f"{len(report.buckets)} buckets: {copied} objects copied, {deleted} deleted"
    wrong = [f"{note.bucket}/{note.key} {note.fate.value}" for note in report.notes[:5]]
    if wrong:
        sentence += f"; {', '.join(wrong)}"
    return sentence
