"""What is done about a decision: mode, guards, and what goes on already."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from failback.decision.acting import act_on, digest, is_settled
from failback.models.common import Level, Side
from failback.models.decision import (
    Assessment,
    DecisionKind,
    Mode,
    Rule,
    RuleClass,
    RuleReading,
    RuleVerdict,
)
from failback.models.responses import (
    Action,
    ActionKind,
    Handling,
    Investigation,
    ResponsePolicy,
    ResponseState,
    RollbackSurvey,
)
from failback.models.rollback import Phase

from support.responses import alert

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
AGO = timedelta
IMMEDIATE = DecisionKind.IMMEDIATE_ROLLBACK
APPROVAL = DecisionKind.ROLLBACK_WITH_APPROVAL
PAUSE = DecisionKind.PAUSE_AND_INVESTIGATE
CONTINUE = DecisionKind.CONTINUE_MIGRATION
LEVELS = {IMMEDIATE: 1, APPROVAL: 2, PAUSE: 0, CONTINUE: 0}


def act(
    decision: DecisionKind,
    mode: Mode = Mode.AUTOMATIC,
    survey: RollbackSurvey | None = None,
    *,
    level: int | None = None,
    level_1_asks: bool = False,
    **state: Any,
) -> Action:
    assessment = Assessment(
        at=NOW, decision=decision, level=LEVELS[decision] if level is None else level
    )
    policy = ResponsePolicy(
        mode=mode, cool_down_seconds=600, automatic_at_most=2, level_1_asks=level_1_asks
    )
    return act_on(assessment, policy, survey or RollbackSurvey(), ResponseState(**state), NOW)


def ended(phase: Phase, seconds_ago: float = 60) -> RollbackSurvey:
    return RollbackSurvey(
        rollback_id="rb", level=Level.TRAFFIC, phase=phase, ended_at=NOW - AGO(seconds=seconds_ago)
    )


def gone_back(seconds_ago: float = 60) -> RollbackSurvey:
    return ended(Phase.DONE, seconds_ago).model_copy(update={"live": Side.SOURCE})


def running(level: Level) -> RollbackSurvey:
    return RollbackSurvey(rollback_id="rb", level=level, running=True)


@pytest.mark.parametrize(
    ("mode", "decision", "kind"),
    [
        (Mode.OBSERVE, IMMEDIATE, ActionKind.OBSERVE),
        (Mode.OBSERVE, PAUSE, ActionKind.OBSERVE),
        (Mode.RECOMMEND, IMMEDIATE, ActionKind.RECOMMEND),
        (Mode.RECOMMEND, PAUSE, ActionKind.RECOMMEND),
        (Mode.APPROVE, IMMEDIATE, ActionKind.ASK),
        (Mode.APPROVE, APPROVAL, ActionKind.ASK),
        (Mode.APPROVE, PAUSE, ActionKind.INVESTIGATE),
        (Mode.AUTOMATIC, IMMEDIATE, ActionKind.ROLL_BACK),
        (Mode.AUTOMATIC, APPROVAL, ActionKind.ASK),
        (Mode.AUTOMATIC, PAUSE, ActionKind.INVESTIGATE),
        *((mode, CONTINUE, ActionKind.NOTHING) for mode in Mode),
    ],
)
def test_decision_when_nothing_goes_on_then_the_mode_says_how_far(
    mode: Mode, decision: DecisionKind, kind: ActionKind
) -> None:
    assert act(decision, mode).kind is kind


def test_immediate_when_its_level_moves_data_then_people_are_asked() -> None:
    assert act(IMMEDIATE, level=2).kind is ActionKind.ASK


def test_immediate_when_level_1_has_a_quorum_then_nothing_acts_without_people() -> None:
    assert act(IMMEDIATE, level_1_asks=True).kind is ActionKind.ASK
    beside = act(IMMEDIATE, survey=running(Level.DATA_SYNC), level_1_asks=True)
    assert beside.kind is ActionKind.JOIN


@pytest.mark.parametrize("phase", [Phase.DONE, Phase.FAILED])
def test_immediate_when_a_rollback_ended_lately_then_people_are_asked(phase: Phase) -> None:
    action = act(IMMEDIATE, survey=ended(phase))
    assert action.kind is ActionKind.ASK
    assert "cool-down until 12:09:00" in action.why
    assert act(IMMEDIATE, survey=ended(phase, 601)).kind is ActionKind.ROLL_BACK


def test_immediate_when_people_declined_a_lesser_one_then_it_acts() -> None:
    for phase in (Phase.REJECTED, Phase.CANCELLED):
        assert act(IMMEDIATE, survey=ended(phase), asked=APPROVAL).kind is ActionKind.ROLL_BACK


def test_asking_when_people_declined_lately_then_they_are_left_alone() -> None:
    declined = ended(Phase.REJECTED)
    assert act(APPROVAL, survey=declined, asked=APPROVAL).kind is ActionKind.NOTHING
    assert act(APPROVAL, survey=ended(Phase.REJECTED, 601), asked=APPROVAL).kind is ActionKind.ASK
    assert act(IMMEDIATE, Mode.APPROVE, declined, asked=APPROVAL).kind is ActionKind.ASK


def test_immediate_when_it_flaps_then_people_are_asked() -> None:
    lately = [NOW - AGO(hours=1), NOW - AGO(hours=2)]
    action = act(IMMEDIATE, automatic=lately)
    assert (action.kind, "at most 2" in action.why) == (ActionKind.ASK, True)
    before = [NOW - AGO(hours=1), NOW - AGO(hours=25)]
    assert act(IMMEDIATE, automatic=before).kind is ActionKind.ROLL_BACK


def test_rollback_when_the_source_serves_already_then_people_are_told() -> None:
    for decision in (IMMEDIATE, APPROVAL):
        action = act(decision, survey=RollbackSurvey(live=Side.SOURCE))
        assert action.kind is ActionKind.RECOMMEND
        assert "source serves already" in action.why
    assert act(IMMEDIATE, survey=RollbackSurvey(live=Side.TARGET)).kind is ActionKind.ROLL_BACK


@pytest.mark.parametrize(
    ("mode", "decision", "kind"),
    [
        (Mode.AUTOMATIC, IMMEDIATE, ActionKind.NOTHING),
        (Mode.AUTOMATIC, APPROVAL, ActionKind.NOTHING),
        (Mode.RECOMMEND, IMMEDIATE, ActionKind.NOTHING),
        (Mode.OBSERVE, IMMEDIATE, ActionKind.OBSERVE),
        (Mode.AUTOMATIC, PAUSE, ActionKind.INVESTIGATE),
    ],
)
def test_decision_when_a_rollback_has_settled_it_then_nobody_is_told_anything(
    mode: Mode, decision: DecisionKind, kind: ActionKind
) -> None:
    settled = gone_back().model_copy(update={"settled": True})
    assert act(decision, mode, settled).kind is kind


class TestSettled:
    """What still alerts after a rollback took the traffic away from what it is about."""

    POLICY = ResponsePolicy(cool_down_seconds=600)

    def settled(
        self, survey: RollbackSurvey, *seconds_ago: float, readings: tuple[RuleReading, ...] = ()
    ) -> bool:
        assessment = Assessment(at=NOW, decision=IMMEDIATE, level=1, readings=readings)
        alerts = [alert(received_at=NOW - AGO(seconds=ago)) for ago in seconds_ago]
        return is_settled(survey, assessment, alerts, self.POLICY)

    @pytest.mark.parametrize("ago", [5000.0, 4000.0, 3400.5])
    def test_alert_when_it_came_before_the_cool_down_was_over_then_settled(
        self, ago: float
    ) -> None:
        assert self.settled(gone_back(4000), ago)

    def test_alert_when_one_came_later_then_not(self) -> None:
        assert not self.settled(gone_back(4000), 5000, 3399)

    def test_alerts_when_none_stands_then_settled_until_the_cool_down_is_over(self) -> None:
        assert self.settled(gone_back(599))
        assert not self.settled(gone_back(601))

    @pytest.mark.parametrize(
        "survey",
        [
            RollbackSurvey(live=Side.SOURCE),
            RollbackSurvey(rollback_id="rb", running=True, live=Side.SOURCE),
        ],
        ids=["no rollback", "it runs"],
    )
    def test_source_when_no_rollback_brought_the_traffic_then_not(
        self, survey: RollbackSurvey
    ) -> None:
        assert not self.settled(survey, 70)

    @pytest.mark.parametrize("live", [Side.TARGET, None])
    def test_traffic_when_it_is_not_on_the_source_then_not(self, live: Side | None) -> None:
        assert not self.settled(gone_back().model_copy(update={"live": live}), 70)

    def test_rollback_when_people_rejected_it_then_not(self) -> None:
        rejected = gone_back().model_copy(update={"phase": Phase.REJECTED})
        assert not self.settled(rejected, 70)

    def test_corruption_when_reported_since_then_not(self) -> None:
        def corrupt(seconds_ago: float) -> tuple[RuleReading, ...]:
            row = Rule(
                name="corruption",
                rule_class=RuleClass.CRITICAL,
                metric="data_corruption",
                comparison=">=",
                threshold=1,
                within_seconds=3600,
                decision=IMMEDIATE,
                level=1,
            )
            since = NOW - AGO(seconds=seconds_ago)
            return (RuleReading(rule=row, verdict=RuleVerdict.FIRED, value=1, since=since),)

        assert self.settled(gone_back(60), 70, readings=corrupt(65))
        assert not self.settled(gone_back(60), 70, readings=corrupt(55))


@pytest.mark.parametrize(
    ("decision", "mode", "level", "kind"),
    [
        (IMMEDIATE, Mode.AUTOMATIC, Level.DATA_SYNC, ActionKind.ESCALATE),
        (IMMEDIATE, Mode.AUTOMATIC, Level.TRAFFIC, ActionKind.JOIN),
        (IMMEDIATE, Mode.APPROVE, Level.DATA_SYNC, ActionKind.JOIN),
        (APPROVAL, Mode.AUTOMATIC, Level.DATA_SYNC, ActionKind.JOIN),
        (PAUSE, Mode.AUTOMATIC, Level.DATA_SYNC, ActionKind.JOIN),
    ],
)
def test_decision_when_a_rollback_runs_then_joins_or_escalates_it(
    decision: DecisionKind, mode: Mode, level: Level, kind: ActionKind
) -> None:
    assert act(decision, mode, running(level)).kind is kind


def test_immediate_when_it_was_escalated_or_flaps_then_only_joins() -> None:
    known = Handling(rollback_id="rb", escalated=True)
    assert act(IMMEDIATE, survey=running(Level.DATA_SYNC), handling=known).kind is ActionKind.JOIN
    lately = [NOW - AGO(hours=1), NOW - AGO(hours=2)]
    action = act(IMMEDIATE, survey=running(Level.DATA_SYNC), automatic=lately)
    assert (action.kind, "at most 2" in action.why) == (ActionKind.JOIN, True)


def test_pause_when_somebody_looks_into_it_then_no_second_investigation() -> None:
    opened = Investigation(investigation_id="inv", opened_at=NOW, reason="r")
    assert act(PAUSE, investigation=opened).kind is ActionKind.NOTHING
    assert act(PAUSE, acknowledged=PAUSE).kind is ActionKind.NOTHING


def test_digest_when_only_numbers_change_then_the_same() -> None:
    def assessed(value: float, *, rule: str = "a", decision: DecisionKind = APPROVAL) -> Assessment:
        row = Rule(
            name=rule,
            rule_class=RuleClass.WARNING,
            metric="error_rate",
            threshold=0.02,
            decision=decision,
            level=2,
        )
        reading = RuleReading(rule=row, verdict=RuleVerdict.FIRED, value=value)
        return Assessment(at=NOW, decision=decision, level=2, readings=(reading,))

    assert digest(assessed(0.03)) == digest(assessed(0.04))
    assert digest(assessed(0.03)) != digest(assessed(0.03, rule="b"))
    assert digest(assessed(0.03)) != digest(assessed(0.03, decision=IMMEDIATE))
