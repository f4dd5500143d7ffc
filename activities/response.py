"""What `AlertResponse` needs to know and to have done: a decision, and a pause."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from temporalio import activity

from activities.failures import maps_errors
from failback.decision.acting import is_settled
from failback.decision.evaluate import assess, due_at
from failback.decision.fallback import AlertWords, with_alerts
from failback.errors import FailbackError
from failback.models.common import Level, Side
from failback.models.decision import (
    Assessment,
    AssessmentEvidence,
    DecisionKind,
    GatherEvidenceRequest,
    MetricEvidence,
    Rule,
)
from failback.models.responses import (
    AssessRequest,
    MigrationPauseReport,
    MigrationPauseRequest,
    ResponsePolicy,
    RollbackSurvey,
    Situation,
)
from failback.models.rollback import RollbackPlan
from failback.models.traffic import BackendRoute
from failback.ports import LoadBalancer, MigrationPause, RollbackRegistry

Gather = Callable[[GatherEvidenceRequest], Awaitable[AssessmentEvidence]]

_LOOK_SECONDS = 0.5
"""After so long it is not known which rollback runs and where traffic goes."""


@dataclass(frozen=True)
class ResponseSettings:
    """An estate's answer to alerts, as its configuration has it now.

    Args:
        policy: how far failback acts by itself.
        rules: the matrix.
        words: what alerts' own words stand for.
        plans: the plan of each level that can be started.
        routes: the backends that are looked at for which side is live.
    """

    policy: ResponsePolicy = field(default_factory=ResponsePolicy)
    rules: tuple[Rule, ...] = ()
    words: AlertWords = field(default_factory=AlertWords)
    plans: dict[int, RollbackPlan] = field(default_factory=dict)
    routes: tuple[BackendRoute, ...] = ()
    search_attributes: bool = False


class ResponseActivities:
    """Decides, on the worker's own configuration, so that a new one counts at once.

    Args:
        settings: of the estate.
        gather: reads the evidence; None where no store is configured.
        registry: knows the newest rollback; None where nobody does.
        balancer: says where traffic goes.
        pause: pauses migration activities; None where nothing does.
    """

    def __init__(
        self,
        settings: ResponseSettings,
        gather: Gather | None,
        registry: RollbackRegistry | None,
        balancer: LoadBalancer | None,
        pause: MigrationPause | None,
    ) -> None:
        self._settings = settings
        self._gather = gather
        self._registry = registry
        self._balancer = balancer
        self._pause = pause

    @activity.defn
    @maps_errors
    async def read_policy(self) -> ResponsePolicy:
        """How far failback acts by itself, by the configuration of this worker."""
        return self._settings.policy

    @activity.defn
    @maps_errors
    async def assess_situation(self, request: AssessRequest) -> Situation:
        """Gather evidence, ask the matrix, and look which rollback there is, all at once."""
        settings = self._settings
        evidence, newest, live = await asyncio.gather(
            self._evidence(), self._newest(), self._live()
        )
        rules = evidence.rules or settings.rules
        assessment = with_alerts(assess(rules, evidence), evidence, request.alerts, settings.words)
        survey = newest.model_copy(update={"live": live})
        settled = is_settled(survey, assessment, request.alerts, settings.policy)
        return Situation(
            assessment=_noted(assessment),
            policy=settings.policy,
            survey=survey.model_copy(update={"settled": settled}),
            plan=settings.plans.get(assessment.level) or settings.plans.get(Level.DATA_SYNC.value)
            if assessment.level
            else None,
            search_attributes=settings.search_attributes,
            due_at=due_at(assessment),
        )

    @activity.defn
    @maps_errors
    async def pause_migration(self, request: MigrationPauseRequest) -> MigrationPauseReport:
        """Have migration activities paused, or let them go on; failure is a result."""
        if self._pause is None:
            return MigrationPauseReport(done=False, detail="nothing is configured to be paused")
        tell = self._pause.resume if request.resume else self._pause.pause
        return await tell(request.investigation_id, request.reason)

    async def _evidence(self) -> AssessmentEvidence:
        """The evidence; none at all, with the reason, where it cannot be had."""
        now = datetime.now(UTC)
        if self._gather is None:
            return self._nothing_known(now, "no metric store is configured")
        try:
            return await self._gather(GatherEvidenceRequest(rules=self._settings.rules))
        except FailbackError as error:
            return self._nothing_known(now, error.cause)

    def _nothing_known(self, now: datetime, why: str) -> AssessmentEvidence:
        metrics = dict.fromkeys(rule.metric for rule in self._settings.rules)
        return AssessmentEvidence(
            at=now,
            metrics=tuple(
                MetricEvidence(metric=metric, start=now, end=now, step_seconds=1.0, error=why)
                for metric in metrics or ("every metric",)
            ),
        )

    async def _newest(self) -> RollbackSurvey:
        if self._registry is None:
            return RollbackSurvey()
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                return await self._registry.newest()
        except (FailbackError, TimeoutError):
            # A second rollback cannot start beside one that runs: its id is taken.
            activity.logger.warning("it is not known which rollback runs")
            return RollbackSurvey()

    async def _live(self) -> Side | None:
        """Where all traffic goes; None where that is mixed or cannot be seen in a moment."""
        if self._balancer is None or not self._settings.routes:
            return None
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                weights = await self._balancer.read_all_weights(self._settings.routes)
        except (FailbackError, TimeoutError):
            return None
        if all(source.weight > 0 and target.weight == 0 for source, target in weights):
            return Side.SOURCE
        if all(source.weight == 0 and target.weight > 0 for source, target in weights):
            return Side.TARGET
        return None


def _noted(assessment: Assessment) -> Assessment:
    """The assessment as a history keeps it: without the rules that had nothing to say."""
    if assessment.decision is not DecisionKind.CONTINUE_MIGRATION:
        return assessment
    return assessment.model_copy(update={"readings": ()}) if assessment.conclusive else assessment
