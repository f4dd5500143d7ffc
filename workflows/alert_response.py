"""AlertResponse: answers an estate's alerts, from the first one to the rollback or the question."""

import asyncio
import contextlib
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    WorkflowAlreadyStartedError,
)
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.response import ResponseActivities
    from failback.decision.acting import act_on, digest, fired
    from failback.decision.evaluate import DECISION_RANKS
    from failback.decision.memory import receive
    from failback.models.alerts import AlertStatus, ReceivedAlerts
    from failback.models.decision import DecisionKind
    from failback.models.responses import (
        AUTOMATION,
        Action,
        ActionKind,
        AlertResponseRequest,
        AssessRequest,
        CloseInvestigation,
        Decided,
        Escalation,
        Handling,
        Investigation,
        Replan,
        ResponseState,
        ResponseStatus,
        Situation,
    )
    from failback.temporal import ids
    from failback.temporal.starting import rollback_start
from workflows import options, response_requests
from workflows.investigations import Investigations
from workflows.recording import record
from workflows.response_records import Records
from workflows.telling import tell

_ASSESS_SECONDS = 5.0
_DOUBT_SECONDS = 3600.0
"""Where no alert fires any more and evidence is missing, it is looked for so long."""
_SOON = timedelta(seconds=0.02)
"""Between two looks at least, where a threshold's time is all but up."""
_SHOWN = 100
_FRESH_AT_ONCE = 500
"""New alerts that one round records; more of them wait for the next one."""
_FRESH_CARRIED = 100
"""New alerts that may be carried into a fresh history, whole as they came."""
_SETTLING = timedelta(seconds=1)


@workflow.defn(name="AlertResponse")
class AlertResponse:
    """One for each estate, for as long as it has a gateway.

    Alerts come by the signal `alerts_received`. Each round takes in what came, decides on evidence
    that an activity reads, and acts. Rounds follow one another while alerts fire, evidence is
    missing or a rollback runs, so that a warning that lasts is acted on when it has lasted long
    enough, though nobody repeats it. What is recorded and told goes its own way: the only thing
    between an alert and its rollback is the decision.
    """

    @workflow.init
    def __init__(self, request: AlertResponseRequest) -> None:
        self._estate = request.estate
        self._state = request.state or ResponseState()
        self._records = Records(request.estate)
        self._fresh, self._state.fresh = self._state.fresh, []
        self._due = request.state is not None
        self._due_at: datetime | None = None
        self._aside: list[asyncio.Task[None]] = []
        self._investigations = Investigations(
            request.estate, self._state, self._records, self._start_aside
        )

    @workflow.run
    async def run(self, request: AlertResponseRequest) -> None:
        """Round after round, with a fresh history every now and then."""
        if self._state.policy is None:
            with contextlib.suppress(ActivityError):
                # Every decision brings it, too; this one is for what comes before the first.
                self._state.policy = await workflow.execute_local_activity_method(
                    ResponseActivities.read_policy, **options.switch(_ASSESS_SECONDS)
                )
        while not await self._may_begin_anew():
            await self._something_to_do()
            await self._round()
        self._state.fresh = self._fresh
        workflow.continue_as_new(AlertResponseRequest(estate=self._estate, state=self._state))

    async def _may_begin_anew(self) -> bool:
        """Whether the history is long, and the state holds everything that goes on."""
        if not workflow.info().is_continue_as_new_suggested():
            return False
        with contextlib.suppress(TimeoutError):
            # What the last round has begun needs a moment to have workflows of its own.
            await workflow.wait_condition(self._settled, timeout=_SETTLING)
        return self._settled() and len(self._fresh) <= _FRESH_CARRIED

    def _settled(self) -> bool:
        return all(task.done() for task in self._aside) and workflow.all_handlers_finished()

    # Messages.

    @workflow.signal
    def alerts_received(self, received: ReceivedAlerts) -> None:
        """Alerts from a gateway, repeats among them."""
        fresh = receive(self._state, received.alerts, workflow.now())
        self._fresh.extend(fresh)
        if any(alert.status is AlertStatus.FIRING for alert in fresh):
            # Something else than what a person has looked into may be behind it.
            self._state.acknowledged = None
        self._due = self._due or bool(fresh)

    @workflow.signal
    async def close_investigation(self, closing: CloseInvestigation) -> None:
        """A person has looked into it; one who may not is not heard."""
        if not self._investigations.objection(closing):
            await self._investigations.close(closing)

    @workflow.update(name="close_investigation")
    async def close(self, closing: CloseInvestigation) -> Investigation:
        """As the signal, with the closed investigation as the answer."""
        closed = await self._investigations.close(closing)
        if closed is None:
            raise ApplicationError(
                "Somebody else has closed it.", type="ApprovalRefusedError", non_retryable=True
            )
        return closed

    @close.validator
    def _may_close(self, closing: CloseInvestigation) -> None:
        objection = self._investigations.objection(closing)
        if objection:
            raise ApplicationError(objection, type="ApprovalRefusedError", non_retryable=True)

    @workflow.query
    def status(self) -> ResponseStatus:
        """What is known, and what was done about it."""
        state = self._state
        newest = list(state.standing.values())[: -_SHOWN - 1 : -1]
        return ResponseStatus(
            estate=self._estate,
            mode=state.policy.mode if state.policy is not None else None,
            received=state.received,
            repeats=state.repeats,
            firing=len(state.standing),
            alerts=tuple(newest),
            decided=state.decided,
            handling=state.handling,
            automatic=tuple(state.automatic),
            investigation=state.investigation,
        )

    # Rounds.

    async def _something_to_do(self) -> None:
        """Wait for a message, or for the next look while anything is unsettled."""
        wait = None
        if self._unsettled() and self._state.policy is not None:
            wait = timedelta(seconds=self._state.policy.evaluate_seconds)
            if self._due_at is not None:
                # An alert may come before what it tells of has lasted long enough.
                wait = min(wait, max(self._due_at - workflow.now(), _SOON))
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._due or bool(self._fresh),
                timeout=wait,
                timeout_summary="next evaluation",
            )

    def _unsettled(self) -> bool:
        """Whether anything can change though nobody tells of it."""
        state = self._state
        if state.standing or state.handling is not None:
            return True
        newest = next(reversed(state.seen.values()), None)
        return (
            state.decided is not None
            and not state.decided.conclusive
            and newest is not None
            and workflow.now().timestamp() - newest.at < _DOUBT_SECONDS
        )

    async def _round(self) -> None:
        """Take in what came, decide, act, and only then write down what came."""
        self._due, self._due_at, began = False, None, workflow.now()
        fresh, self._fresh = self._fresh[:_FRESH_AT_ONCE], self._fresh[_FRESH_AT_ONCE:]
        try:
            situation = await workflow.execute_local_activity_method(
                ResponseActivities.assess_situation,
                AssessRequest(estate=self._estate, alerts=tuple(self._state.standing.values())),
                **options.switch(_ASSESS_SECONDS),
            )
        except ActivityError as error:
            # Nothing is known, and nothing is done: the next round comes all the same.
            workflow.logger.warning("no decision: %s", error.cause or error)
            self._state.decided = self._records.undecided(self._state.decided, workflow.now())
        else:
            if situation.due_at is not None:
                # As long after this round's beginning: the worker's clock may differ from ours.
                self._due_at = began + (situation.due_at - situation.assessment.at)
            await self._answer(situation)
        if fresh:
            self._start_aside(record(self._records.alerts(fresh)))
        self._aside = [task for task in self._aside if not task.done()]
        self._show()

    async def _answer(self, situation: Situation) -> None:
        """Act on one decision, and remember what was done."""
        state, survey, now = self._state, situation.survey, workflow.now()
        state.policy = situation.policy
        within = timedelta(seconds=situation.policy.automatic_within_seconds)
        state.automatic = [started for started in state.automatic if started > now - within]
        if state.handling is not None and not survey.running and survey.rollback_id:
            state.handling = None
        action = act_on(situation.assessment, situation.policy, survey, state, now)
        decided = _decided(situation, action, now)
        before, state.decided = state.decided, decided
        news = before is None or (before.digest, before.action.kind) != (
            decided.digest,
            decided.action.kind,
        )
        if situation.assessment.decision is DecisionKind.CONTINUE_MIGRATION and decided.conclusive:
            state.acknowledged = None
        await self._act(situation, decided, news=news)
        if news or action.kind in (ActionKind.ROLL_BACK, ActionKind.ASK):
            self._start_aside(record([self._records.decision(situation, decided, state)]))

    async def _act(self, situation: Situation, decided: Decided, *, news: bool) -> None:
        match decided.action.kind:
            case ActionKind.ROLL_BACK | ActionKind.ASK:
                await self._start_rollback(situation, decided)
            case ActionKind.JOIN | ActionKind.ESCALATE:
                await self._join(situation, decided)
            case ActionKind.INVESTIGATE:
                self._investigations.open(decided)
            case ActionKind.RECOMMEND if news:
                self._start_aside(tell(self._records.recommendation(decided, self._state)))
            case _:
                pass

    async def _start_rollback(self, situation: Situation, decided: Decided) -> None:
        """Start it as a child that outlives us, or join the one that was faster."""
        request = response_requests.rollback(situation, decided)
        if request is None:
            return
        automatic = decided.action.kind is ActionKind.ROLL_BACK
        if automatic:
            # Its command stands before the rollback's, and nobody waits for its delivery.
            self._start_aside(
                tell(self._records.initiated(request.rollback_id, decided, self._state))
            )
            await asyncio.sleep(0)
        start = rollback_start(request)
        try:
            await workflow.start_child_workflow(
                start.workflow,
                request,
                id=start.id,
                parent_close_policy=ParentClosePolicy.ABANDON,
                task_timeout=start.task_timeout,
                search_attributes=start.search_attributes,
                memo=start.memo,
            )
        except WorkflowAlreadyStartedError:
            self._due = True
            return
        if automatic:
            self._state.automatic.append(workflow.now())
        else:
            self._state.asked = decided.decision
        self._state.handling = Handling(
            rollback_id=request.rollback_id,
            level=request.level.value,
            digests=(decided.digest,),
            decision=decided.decision,
        )
        self._attribute("started")

    async def _join(self, situation: Situation, decided: Decided) -> None:
        """Record the alerts with the rollback that runs, and tell it what has changed."""
        survey = situation.survey
        handling = self._state.handling
        if handling is None or handling.rollback_id != survey.rollback_id:
            handling = Handling(
                rollback_id=survey.rollback_id, level=survey.level.value if survey.level else 0
            )
        running = workflow.get_external_workflow_handle(ids.rollback_workflow(self._estate))
        if decided.action.kind is ActionKind.ESCALATE:
            self._start_aside(
                tell(self._records.initiated(survey.rollback_id, decided, self._state))
            )
            escalation = Escalation(
                who=AUTOMATION, comment=decided.explanation[:1000], evidence=decided.digest
            )
            await self._signalled(running, "escalate", escalation)
            self._state.automatic.append(workflow.now())
            handling = handling.model_copy(update={"escalated": True})
        elif self._changed(handling, decided):
            replan = Replan(reason=response_requests.reason(decided), evidence=decided.digest)
            await self._signalled(running, "replan", replan)
            handling = handling.model_copy(
                update={
                    "decision": decided.decision,
                    "digests": (*handling.digests, decided.digest),
                }
            )
        self._state.handling = handling
        self._attribute("joined")

    def _changed(self, handling: Handling, decided: Decided) -> bool:
        """Whether people approve something else now than what they were asked for.

        Each ground voids approvals once, and a lesser one never does: metrics that go up and down
        must not keep people from ever reaching their quorum.
        """
        return (
            handling.decision is not None
            and decided.digest not in handling.digests
            and DECISION_RANKS[decided.decision] >= DECISION_RANKS[handling.decision]
        )

    async def _signalled(
        self, running: workflow.ExternalWorkflowHandle[object], name: str, payload: object
    ) -> None:
        """Signal the rollback; one that ended meanwhile needs it no more."""
        try:
            await running.signal(name, payload)
        except FailureError as error:
            workflow.logger.warning("the rollback was not told to %s: %s", name, error)
            self._due = True

    def _attribute(self, how: str) -> None:
        """Record with the rollback those alerts that are not recorded with one."""
        handling = self._state.handling
        if handling is None or not self._state.unattributed:
            return
        keys, self._state.unattributed = tuple(self._state.unattributed), []
        self._start_aside(record([self._records.attribution(handling.rollback_id, how, keys)]))
        self._state.handling = handling.model_copy(update={"alerts": handling.alerts + len(keys)})

    def _start_aside(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin what nobody waits for; it is waited for before a fresh history."""
        self._aside.append(asyncio.create_task(work))

    def _show(self) -> None:
        """Tell the story in Temporal's own UI."""
        workflow.set_current_details(response_requests.story(self._estate, self._state))


def _decided(situation: Situation, action: Action, at: datetime) -> Decided:
    assessment = situation.assessment
    return Decided(
        at=at,
        decision=assessment.decision,
        level=assessment.level,
        conclusive=assessment.conclusive,
        basis=assessment.basis,
        explanation=assessment.explanation[:2000],
        rules=fired(assessment),
        digest=digest(assessment),
        action=action,
    )
