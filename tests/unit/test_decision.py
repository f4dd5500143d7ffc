"""Verdicts: what is sustained, what is clear, and what nobody can know."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failback.decision.evaluate import assess, due_at, store_away
from failback.decision.fallback import AlertWords, with_alerts
from failback.decision.matrix import DEFAULT_RULES
from failback.decision.reading import read_rule
from failback.models.alerts import Alert, AlertSource, AlertStatus
from failback.models.decision import (
    AssessmentEvidence,
    DecisionKind,
    Rule,
    RuleClass,
    RuleReading,
    RuleVerdict,
)
from failback.sections.decision import FallbackConfig

from support.evidence import AT, STEP, events, evidence, metric, rule

FIRED, CLEAR, INCONCLUSIVE = RuleVerdict.FIRED, RuleVerdict.CLEAR, RuleVerdict.INCONCLUSIVE
WARNING = rule(
    name="warns",
    rule_class=RuleClass.WARNING,
    threshold=0.02,
    decision=DecisionKind.ROLLBACK_WITH_APPROVAL,
    level=2,
)


def read(values: list[float | None], asked: Rule | None = None, step: float = STEP) -> RuleReading:
    return read_rule(asked or rule(), evidence(metric(values, step=step)))


class TestDue:
    """When a threshold that is passed already will have been passed for long enough."""

    @pytest.mark.parametrize(
        "values",
        [[0.0, *[0.2] * 4], [0.2] * 4, [None, None, None, *[0.2] * 4]],
        ids=["after a clear sample", "no data before", "after a gap"],
    )
    def test_threshold_when_it_has_not_lasted_then_due_at_the_end_of_its_time(
        self, values: list[float | None]
    ) -> None:
        found = assess([rule()], evidence(metric(values)))
        assert due_at(found) == AT + timedelta(seconds=60 - 3 * STEP)

    def test_thresholds_then_the_first_is_due(self) -> None:
        sooner = rule(name="sooner", sustained=30)
        found = assess([rule(), sooner], evidence(metric([0.0, *[0.2] * 4])))
        assert due_at(found) == AT + timedelta(seconds=30 - 3 * STEP)

    @pytest.mark.parametrize(
        "values",
        [[0.0] * 11, [0.2] * 11, [], [*[0.2] * 12, None, None]],
        ids=["clear", "fired", "nothing known", "over, and no newer sample"],
    )
    def test_threshold_when_no_time_has_to_pass_then_nothing_is_due(
        self, values: list[float | None]
    ) -> None:
        assert due_at(assess([rule()], evidence(metric(values)))) is None


class TestSustained:
    @pytest.mark.parametrize(
        ("values", "verdict"),
        [
            ([0.2] * 11, FIRED),
            ([0.2] * 20, FIRED),
            ([0.0, *[0.2] * 11], FIRED),
            ([0.0, *[0.2] * 10], CLEAR),
            ([0.2] * 10, INCONCLUSIVE),
            ([0.0] * 11, CLEAR),
            ([0.2] * 10 + [0.0], CLEAR),
            ([0.2] * 5 + [0.0] + [0.2] * 5, CLEAR),
            ([0.05] * 11, CLEAR),
            ([], INCONCLUSIVE),
            ([None] * 11, INCONCLUSIVE),
        ],
        ids=str,
    )
    def test_threshold_when_passed_for_a_time_then_both_ends_count(
        self, values: list[float | None], verdict: RuleVerdict
    ) -> None:
        assert read(values).verdict is verdict

    @pytest.mark.parametrize(
        ("values", "verdict"),
        [
            ([0.2] * 4 + [None] + [0.2] * 6, FIRED),
            ([0.2] * 4 + [None] * 2 + [0.2] * 5, INCONCLUSIVE),
            ([0.2, 0.2, 0.2, *[None] * 3, *[0.2] * 11], FIRED),
            ([0.2, None, *[0.2] * 10], FIRED),
            ([None, *[0.2] * 10], INCONCLUSIVE),
            ([0.2] * 11 + [None], FIRED),
            ([0.2] * 11 + [None] * 2, INCONCLUSIVE),
            ([0.2] * 5 + [0.0] + [None] * 5, CLEAR),
            ([0.0] + [None] * 6 + [0.2] * 4, CLEAR),
            ([0.0, *[None] * 6, *[0.2] * 5], INCONCLUSIVE),
            ([0.0] + [None] * 11, INCONCLUSIVE),
        ],
        ids=str,
    )
    def test_samples_when_missing_then_only_what_is_known_decides(
        self, values: list[float | None], verdict: RuleVerdict
    ) -> None:
        assert read(values).verdict is verdict

    def test_samples_when_too_far_apart_then_inconclusive(self) -> None:
        found = read([0.2] * 11, step=10.0)
        assert found.verdict is INCONCLUSIVE
        assert "too far apart" in found.explanation

    def test_value_when_one_good_sample_lies_between_then_since_begins_anew(self) -> None:
        found = read([0.2] * 30 + [0.0] + [0.2] * 4)
        assert (found.verdict, found.value) == (CLEAR, 0.2)
        assert found.since == AT - timedelta(seconds=3 * STEP)
        assert "60 s are asked for" in found.explanation

    def test_value_when_it_falls_at_each_look_then_never_fires(self) -> None:
        flapping: list[float | None] = [0.9, 0.9, 0.9, 0.9, 0.01] * 40
        for end in range(11, len(flapping)):
            assert read(flapping[:end]).verdict is CLEAR

    def test_reading_when_fired_then_every_number_is_explained(self) -> None:
        found = read([0.0, *[0.0812] * 12])
        assert (found.value, found.since) == (0.0812, AT - timedelta(seconds=66))
        assert found.explanation == (
            "0.0812 is > 0.05 since 2026-03-01 11:58:54 UTC, for 66 s of the 60 s asked for"
        )

    def test_reading_when_it_was_so_before_the_evidence_then_says_at_least(self) -> None:
        assert "since at least 2026-03-01 11:59:00 UTC" in read([0.2] * 11).explanation

    def test_gap_then_its_times_are_named(self) -> None:
        found = read([0.2] * 4 + [None] * 3 + [0.2] * 4)
        assert "no data from 2026-03-01 11:59:18 UTC to 2026-03-01 11:59:42" in found.explanation

    def test_stale_sample_then_its_age_is_named(self) -> None:
        assert "18 s ago" in read([0.2] * 11 + [None] * 3).explanation

    def test_samples_when_later_than_the_moment_then_not_looked_at(self) -> None:
        later = metric([0.2] * 11 + [0.0])
        early = AssessmentEvidence(at=AT - timedelta(seconds=STEP), metrics=(later,))
        assert read_rule(rule(), early).verdict is FIRED

    @pytest.mark.parametrize(
        ("comparison", "values", "verdict"),
        [
            (">=", [0.05] * 11, FIRED),
            ("<", [0.04] * 11, FIRED),
            ("<", [0.05] * 11, CLEAR),
            ("<=", [0.05] * 11, FIRED),
        ],
    )
    def test_comparison_then_the_threshold_itself_counts_where_it_says_so(
        self, comparison: str, values: list[float | None], verdict: RuleVerdict
    ) -> None:
        assert read(values, rule(comparison=comparison)).verdict is verdict

    @given(
        st.lists(st.sampled_from([0.2, 0.0, None]), max_size=16),
        st.sampled_from([30.0, 60.0]),
    )
    def test_any_samples_then_fired_and_clear_are_both_proved(
        self, values: list[float | None], sustained: float
    ) -> None:
        """What fires has no gap and nothing low; what is clear has something low, and shows it."""
        step = sustained / 10
        found = read(values, rule(sustained=sustained), step)
        ago = {step * (len(values) - 1 - i): value for i, value in enumerate(values)}
        window = [ago.get(step * index) for index in range(11)]
        if found.verdict is FIRED:
            assert 0.0 not in window
            assert not any(a is None and b is None for a, b in pairwise(window))
        elif found.verdict is CLEAR:
            longer = [*window, *(ago.get(step * index) for index in (11, 12))]
            assert 0.0 in longer
        else:
            assert 0.0 not in window
            assert None in window


class TestNewest:
    def test_newest_then_it_alone_decides(self) -> None:
        asked = rule(sustained=0)
        assert read([0.0, 0.0, 0.2], asked).verdict is FIRED
        assert read([0.2, 0.2, 0.0], asked).verdict is CLEAR
        assert read([0.2, None, None, None], asked).verdict is INCONCLUSIVE
        assert read([0.0, None, None, None], asked).verdict is INCONCLUSIVE


class TestEvents:
    COMPLAINTS = rule(
        metric="customer_complaints", within=1800, threshold=5, comparison=">=", sustained=0
    )

    def read(self, *seconds_ago: float) -> RuleReading:
        return read_rule(self.COMPLAINTS, evidence(events(*seconds_ago)))

    def test_events_when_enough_within_the_time_then_fired_since_the_last_that_it_took(
        self,
    ) -> None:
        found = self.read(1800, 900, 600, 300, 100, 10)
        assert (found.verdict, found.value) == (FIRED, 6)
        assert found.since == AT - timedelta(seconds=100)

    def test_events_when_one_is_too_old_or_to_come_then_not_counted(self) -> None:
        assert self.read(1801, 900, 600, 300, 100).verdict is CLEAR
        assert self.read(900, 600, 300, 100, -1).value == 4

    def test_events_when_none_then_clear_and_when_unread_then_inconclusive(self) -> None:
        assert self.read().verdict is CLEAR
        failed = read_rule(self.COMPLAINTS, evidence(events(error="the log does not answer")))
        assert failed.verdict is INCONCLUSIVE
        assert "the log does not answer" in failed.explanation
        assert read_rule(self.COMPLAINTS, evidence()).verdict is INCONCLUSIVE


class TestAssess:
    def test_no_rule_fires_then_the_migration_goes_on(self) -> None:
        found = assess([rule(), WARNING], evidence(metric([0.0] * 11)))
        assert (found.decision, found.level, found.rule_class) == (
            DecisionKind.CONTINUE_MIGRATION,
            0,
            None,
        )
        assert found.conclusive

    def test_two_fire_then_the_gravest_class_wins_and_the_other_is_named(self) -> None:
        found = assess([WARNING, rule()], evidence(metric([0.2] * 11)))
        assert (found.decision, found.level) == (DecisionKind.IMMEDIATE_ROLLBACK, 1)
        assert found.rule_class is RuleClass.CRITICAL
        assert "Also fired: warns" in found.explanation

    def test_higher_rule_is_unknown_then_not_conclusive(self) -> None:
        unknown = rule(name="unseen", metric="elsewhere")
        low = evidence(metric([0.03] * 11))
        found = assess([unknown, WARNING], low)
        assert (found.decision, found.conclusive) == (DecisionKind.ROLLBACK_WITH_APPROVAL, False)
        assert "unseen" in found.explanation
        assert not assess([unknown], low).conclusive

    def test_lower_rule_is_unknown_then_conclusive(self) -> None:
        unknown = WARNING.model_copy(update={"metric": "elsewhere"})
        assert assess([unknown, rule()], evidence(metric([0.2] * 11))).conclusive

    def test_whole_matrix_without_evidence_then_nothing_is_decided_and_nothing_is_healthy(
        self,
    ) -> None:
        found = assess(DEFAULT_RULES, evidence())
        assert found.decision is DecisionKind.CONTINUE_MIGRATION
        assert not found.conclusive
        assert {one.verdict for one in found.readings} == {INCONCLUSIVE}

    def test_same_evidence_when_sent_through_json_then_the_same_assessment(self) -> None:
        known = evidence(metric([0.2] * 11), events(1, 2))
        again = AssessmentEvidence.model_validate_json(known.model_dump_json())
        assert assess(DEFAULT_RULES, again) == assess(DEFAULT_RULES, known)


class TestFallback:
    AWAY = evidence(metric([], error="it did not answer"))
    WORDS = FallbackConfig().words()

    def alert(self, severity: str = "", **labels: str) -> Alert:
        return Alert(
            source=AlertSource.ALERTMANAGER,
            fingerprint="f",
            name="High",
            severity=severity,
            labels=labels,
            starts_at=AT,
            received_at=AT,
        )

    def decided(self, *alerts: Alert, words: AlertWords | None = None) -> DecisionKind:
        found = assess([rule()], self.AWAY)
        return with_alerts(found, self.AWAY, alerts, words or self.WORDS).decision

    def test_store_when_away_then_the_alerts_word_decides_and_it_is_said(self) -> None:
        alert = self.alert(action="IMMEDIATE_ROLLBACK")
        found = with_alerts(assess([rule()], self.AWAY), self.AWAY, [alert], self.WORDS)
        assert (found.decision, found.level) == (DecisionKind.IMMEDIATE_ROLLBACK, 1)
        assert (found.basis, found.conclusive) == ("alert", False)
        assert "it did not answer" in found.explanation
        assert "High" in found.explanation

    def test_severity_then_people_decide_and_the_gravest_alert_counts(self) -> None:
        assert self.decided(self.alert("critical")) is DecisionKind.ROLLBACK_WITH_APPROVAL
        assert self.decided(self.alert("warning")) is DecisionKind.PAUSE_AND_INVESTIGATE
        assert self.decided(self.alert("page")) is DecisionKind.CONTINUE_MIGRATION
        both = (self.alert("warning"), self.alert(action="IMMEDIATE_ROLLBACK"))
        assert self.decided(*both) is DecisionKind.IMMEDIATE_ROLLBACK

    def test_resolved_alert_then_it_says_nothing(self) -> None:
        resolved = self.alert("critical").model_copy(update={"status": AlertStatus.RESOLVED})
        assert self.decided(resolved) is DecisionKind.CONTINUE_MIGRATION

    def test_store_when_it_answers_then_alerts_decide_nothing(self) -> None:
        known = evidence(metric([0.0] * 11))
        found = assess([rule()], known)
        alert = self.alert(action="IMMEDIATE_ROLLBACK")
        assert with_alerts(found, known, [alert], self.WORDS) == found
        assert store_away(known) == ""

    def test_event_rule_when_it_decides_higher_than_the_alert_then_it_stays(self) -> None:
        counted = rule(metric="data_corruption", within=60, threshold=1, comparison=">=")
        both = evidence(metric([], error="away"), events(1, name="data_corruption"))
        found = assess([counted, rule()], both)
        assert with_alerts(found, both, [self.alert("warning")], self.WORDS) == found
