"""What is done about a decision: mode, guards, and what goes on already. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from failback.decision.evaluate import DECISION_RANKS
from failback.models.alerts import Alert
from failback.models.common import Level, Side
from failback.models.decision import Assessment, DecisionKind, Mode, RuleVerdict
from failback.models.responses import (
    Action,
    ActionKind,
    Handling,
    ResponsePolicy,
    ResponseState,
    RollbackSurvey,
)

_IMMEDIATE = DecisionKind.IMMEDIATE_ROLLBACK
_ONLY_TOLD = {
    Mode.OBSERVE: Action(kind=ActionKind.OBSERVE, why="mode observe: only recorded"),
    Mode.RECOMMEND: Action(kind=ActionKind.RECOMMEND, why="mode recommend: people are told"),
}


@dataclass(frozen=True)
class _Case:
    """Everything that an action is taken from; see `act_on`."""

    assessment: Assessment
    policy: ResponsePolicy
    survey: RollbackSurvey
    state: ResponseState
    at: datetime


def fired(assessment: Assessment) -> tuple[str, ...]:
    """The names of the rules that fired, gravest first."""
    return tuple(
        reading.rule.name for reading in assessment.readings if reading.verdict is RuleVerdict.FIRED
    )


def digest(assessment: Assessment) -> str:
    """One text for decisions that stand on the same rules, whatever their numbers are now."""
    winner = fired(assessment)[:1] if assessment.basis == "metrics" else ()
    parts = (assessment.decision.value, str(assessment.level), assessment.basis, *winner)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def is_settled(
    survey: RollbackSurvey,
    assessment: Assessment,
    alerts: Sequence[Alert],
    policy: ResponsePolicy,
) -> bool:
    """Whether the newest rollback has answered everything that still alerts.

    Alerts about the target stand for as long as their windows are wide after it was left, and
    those that ask for a longer time come only then. They are taken for the same incident until
    the cool-down is over; what people or failback itself reported since is not.

    Args:
        survey: the rollback, and where traffic goes now.
        assessment: of the same moment.
        alerts: those that stand.
        policy: says how long the cool-down is.
    """
    if not survey.acted or survey.ended_at is None or survey.live is not Side.SOURCE:
        return False
    ended = survey.ended_at
    reported = any(
        reading.since is not None and reading.since > ended
        for reading in assessment.readings
        if reading.rule.within_seconds and reading.verdict is RuleVerdict.FIRED
    )
    over = ended + timedelta(seconds=policy.cool_down_seconds)
    moments = [alert.received_at for alert in alerts] or [assessment.at]
    return not reported and max(moments) <= over


def act_on(
    assessment: Assessment,
    policy: ResponsePolicy,
    survey: RollbackSurvey,
    state: ResponseState,
    at: datetime,
) -> Action:
    """What is to be done about a decision.

    Args:
        assessment: the decision.
        policy: how far failback may go by itself.
        survey: which rollback there is, and where traffic goes.
        state: what was done before.
        at: now.
    """
    decision = assessment.decision
    if decision is DecisionKind.CONTINUE_MIGRATION:
        return Action(kind=ActionKind.NOTHING, why="nothing is to be done")
    pause = decision is DecisionKind.PAUSE_AND_INVESTIGATE
    if survey.settled and not pause and policy.mode is not Mode.OBSERVE:
        return Action(
            kind=ActionKind.NOTHING,
            why=f"rollback {survey.rollback_id} has taken the traffic to the source already",
        )
    if policy.mode in _ONLY_TOLD:
        return _ONLY_TOLD[policy.mode]
    if pause:
        return _investigate(survey, state)
    return _roll_back(_Case(assessment, policy, survey, state, at))


def _roll_back(case: _Case) -> Action:
    if case.survey.running:
        return _beside(case)
    if case.survey.live is Side.SOURCE:
        return Action(
            kind=ActionKind.RECOMMEND,
            why="the source serves already: a rollback has nothing to move",
        )
    return _start(case)


def _investigate(survey: RollbackSurvey, state: ResponseState) -> Action:
    if survey.running:
        return Action(kind=ActionKind.JOIN, why=f"rollback {survey.rollback_id} runs already")
    if state.investigation is not None:
        return Action(
            kind=ActionKind.NOTHING,
            why=f"investigation {state.investigation.investigation_id} is open already",
        )
    if state.acknowledged is not None:
        return Action(kind=ActionKind.NOTHING, why="a person has looked into it already")
    return Action(kind=ActionKind.INVESTIGATE, why="migration activities are paused")


def _beside(case: _Case) -> Action:
    """A rollback runs: it is joined, or told to wait for nobody."""
    survey, policy = case.survey, case.policy
    running = f"rollback {survey.rollback_id} runs already"
    wanted = case.assessment.decision is _IMMEDIATE and policy.mode is Mode.AUTOMATIC
    if not wanted or survey.level is Level.TRAFFIC or _was_escalated(case.state.handling, survey):
        return Action(kind=ActionKind.JOIN, why=running)
    guard = _flaps(policy, case.state.automatic, case.at)
    if policy.level_1_asks:
        guard = "level 1 has a quorum here"
    if guard:
        return Action(kind=ActionKind.JOIN, why=f"{running}; {guard}")
    return Action(kind=ActionKind.ESCALATE, why=f"{running}, and is to wait for nobody")


def _was_escalated(handling: Handling | None, survey: RollbackSurvey) -> bool:
    return (
        handling is not None and handling.rollback_id == survey.rollback_id and handling.escalated
    )


def _start(case: _Case) -> Action:
    assessment, policy, survey = case.assessment, case.policy, case.survey
    if assessment.decision is not _IMMEDIATE:
        why = "people decide about it"
    elif policy.mode is not Mode.AUTOMATIC:
        why = f"mode {policy.mode.value}: people decide about every rollback"
    elif assessment.level != Level.TRAFFIC:
        why = f"level {assessment.level} is never started by nobody"
    elif policy.level_1_asks:
        why = "level 1 has a quorum here"
    else:
        why = _cools(policy, survey, case.at) or _flaps(policy, case.state.automatic, case.at)
        if not why:
            return Action(kind=ActionKind.ROLL_BACK, why="mode automatic: nobody is asked")
    if _declined(case):
        return Action(
            kind=ActionKind.NOTHING,
            why=f"rollback {survey.rollback_id} was asked for, and people did not want it",
        )
    return Action(kind=ActionKind.ASK, why=why)


def _cools(policy: ResponsePolicy, survey: RollbackSurvey, at: datetime) -> str:
    """Why a rollback that ended lately forbids an automatic one; empty where none does."""
    if not survey.acted or survey.ended_at is None:
        return ""
    ready = survey.ended_at + timedelta(seconds=policy.cool_down_seconds)
    if at >= ready:
        return ""
    return f"rollback {survey.rollback_id} ended lately: cool-down until {ready:%H:%M:%S} UTC"


def _flaps(policy: ResponsePolicy, automatic: Sequence[datetime], at: datetime) -> str:
    """Why there were enough automatic rollbacks; empty where there were not."""
    since = at - timedelta(seconds=policy.automatic_within_seconds)
    count = sum(1 for started in automatic if started > since)
    if count < policy.automatic_at_most:
        return ""
    return (
        f"{count} automatic rollbacks within {policy.automatic_within_seconds:g} s: "
        f"at most {policy.automatic_at_most} are allowed"
    )


def _declined(case: _Case) -> bool:
    """Whether people were asked the same lately, and said no or nothing."""
    survey, asked = case.survey, case.state.asked
    if survey.phase is None or survey.acted or survey.ended_at is None or asked is None:
        return False
    lately = case.at < survey.ended_at + timedelta(seconds=case.policy.cool_down_seconds)
    return lately and DECISION_RANKS[case.assessment.decision] <= DECISION_RANKS[asked]
