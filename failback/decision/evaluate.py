"""The matrix's answer to the evidence: the gravest rule that fires wins."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from failback.decision.reading import read_rule
from failback.models.decision import (
    Assessment,
    AssessmentEvidence,
    DecisionKind,
    Rule,
    RuleReading,
    RuleVerdict,
)

DECISION_RANKS = {
    DecisionKind.IMMEDIATE_ROLLBACK: 3,
    DecisionKind.ROLLBACK_WITH_APPROVAL: 2,
    DecisionKind.PAUSE_AND_INVESTIGATE: 1,
    DecisionKind.CONTINUE_MIGRATION: 0,
}
"""Higher is graver."""

Rank = tuple[int, int, int]


def assess(rules: Sequence[Rule], evidence: AssessmentEvidence) -> Assessment:
    """What the matrix says. Pure: the same evidence has the same answer, whoever asks and when.

    Args:
        rules: the matrix; where two rules of one rank fire, the first one is named.
        evidence: everything that is known; what a rule misses in it makes that rule inconclusive.
    """
    readings = tuple(read_rule(rule, evidence) for rule in rules)
    fired = [one for one in readings if one.verdict is RuleVerdict.FIRED]
    winner = max(fired, key=lambda one: _rank(one.rule), default=None)
    unknown = [
        one
        for one in readings
        if one.verdict is RuleVerdict.INCONCLUSIVE
        and (winner is None or _rank(one.rule) > _rank(winner.rule))
    ]
    return Assessment(
        at=evidence.at,
        decision=winner.rule.decision if winner else DecisionKind.CONTINUE_MIGRATION,
        level=winner.rule.level if winner else 0,
        rule_class=winner.rule.rule_class if winner else None,
        readings=readings,
        conclusive=not unknown,
        explanation=_explained(winner, fired, unknown),
    )


def store_away(evidence: AssessmentEvidence) -> str:
    """Why no metric is known at all; empty where at least one was answered for."""
    errors = [one.error for one in evidence.metrics]
    return errors[0] if errors and all(errors) else ""


def due_at(assessment: Assessment) -> datetime | None:
    """When the first threshold that is passed already will have been passed for long enough.

    None where no rule waits for time to pass. That a rule has no data of the time before its
    threshold was passed does not matter by then.
    """
    due = [
        reading.since + timedelta(seconds=reading.rule.sustained_seconds)
        for reading in assessment.readings
        if reading.since is not None and reading.verdict is not RuleVerdict.FIRED
    ]
    return min((moment for moment in due if moment > assessment.at), default=None)


def _rank(rule: Rule) -> Rank:
    return (rule.rule_class.rank, DECISION_RANKS[rule.decision], rule.level)


def _explained(
    winner: RuleReading | None, fired: Sequence[RuleReading], unknown: Sequence[RuleReading]
) -> str:
    """The answer in one or a few sentences."""
    if winner is None:
        sentences = ["No rule fired."]
    else:
        sentences = [f"{winner.rule.name}: {winner.explanation}."]
        others = [one.rule.name for one in fired if one is not winner]
        if others:
            sentences.append(f"Also fired: {', '.join(others)}.")
    if unknown:
        names = ", ".join(one.rule.name for one in unknown)
        graver = "" if winner is None else " that decide higher"
        sentences.append(f"Not known{graver}: {names} ({unknown[0].explanation}).")
    return " ".join(sentences)
