"""What is decided where the metric store does not answer: the word of the alerts themselves."""

from collections.abc import Mapping, Sequence

from pydantic import Field

from failback.decision.evaluate import DECISION_RANKS, store_away
from failback.decision.matrix import ROLLBACK_LEVELS
from failback.models.alerts import Alert, AlertStatus
from failback.models.common import Payload
from failback.models.decision import Assessment, AssessmentEvidence, DecisionKind


class AlertWords(Payload):
    """Which decision an alert's own words stand for."""

    label: str = "action"
    """The label whose value names an action."""
    actions: Mapping[str, DecisionKind] = Field(default_factory=dict)
    """Decision by that label's value."""
    severities: Mapping[str, DecisionKind] = Field(default_factory=dict)
    """Decision by severity, where the label says nothing known."""


def with_alerts(
    assessment: Assessment,
    evidence: AssessmentEvidence,
    alerts: Sequence[Alert],
    words: AlertWords,
) -> Assessment:
    """The assessment, or what the alerts say where no metric is known.

    Rules about events are answered by another store: where one of them decides higher than
    every alert, it stays.

    Args:
        assessment: what the matrix said about the evidence.
        evidence: the same that was assessed.
        alerts: those that led here; resolved ones say nothing.
        words: what alerts' words stand for.
    """
    away = store_away(evidence)
    if not away:
        return assessment
    said = [
        (decision, alert)
        for alert in alerts
        if alert.status is AlertStatus.FIRING
        for decision in [_meant(alert, words)]
    ]
    decision, alert = max(
        said, key=lambda one: DECISION_RANKS[one[0]], default=(assessment.decision, None)
    )
    if alert is None or DECISION_RANKS[decision] < DECISION_RANKS[assessment.decision]:
        return assessment
    told = f"The metric store did not answer ({away}); alert {alert.name} says "
    return assessment.model_copy(
        update={
            "decision": decision,
            "level": ROLLBACK_LEVELS[decision],
            "rule_class": None,
            "conclusive": False,
            "basis": "alert",
            "explanation": f"{told}{_word(alert, words)}.",
        }
    )


def _meant(alert: Alert, words: AlertWords) -> DecisionKind:
    action = alert.labels.get(words.label, "")
    if action in words.actions:
        return words.actions[action]
    return words.severities.get(alert.severity, DecisionKind.CONTINUE_MIGRATION)


def _word(alert: Alert, words: AlertWords) -> str:
    action = alert.labels.get(words.label, "")
    if action in words.actions:
        return f"{words.label} {action}"
    return f"severity {alert.severity}" if alert.severity else "nothing about how grave it is"
