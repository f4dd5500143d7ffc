"""Evidence as tests write it: values at steps before a moment."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from failback.models.decision import (
    AssessmentEvidence,
    DecisionKind,
    EventEvidence,
    MetricEvidence,
    Rule,
    RuleClass,
)

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STEP = 6.0


def rule(
    *,
    sustained: float = 60,
    threshold: float = 0.05,
    comparison: str = ">",
    within: float = 0,
    metric: str = "error_rate",
    rule_class: RuleClass = RuleClass.CRITICAL,
    decision: DecisionKind = DecisionKind.IMMEDIATE_ROLLBACK,
    level: int = 1,
    name: str = "a_rule",
) -> Rule:
    """A rule about an error rate, unless a test says otherwise."""
    return Rule(
        name=name,
        rule_class=rule_class,
        metric=metric,
        comparison=comparison,
        threshold=threshold,
        sustained_seconds=sustained,
        within_seconds=within,
        decision=decision,
        level=level,
    )


def metric(
    values: Sequence[float | None], *, name: str = "error_rate", step: float = STEP, error: str = ""
) -> MetricEvidence:
    """Values a step apart, the last one at `AT`; None where there is none."""
    end = AT.timestamp()
    count = len(values)
    return MetricEvidence(
        metric=name,
        start=AT - timedelta(seconds=step * max(count - 1, 0)),
        end=AT,
        step_seconds=step,
        samples=tuple(
            (end - step * (count - 1 - index), value)
            for index, value in enumerate(values)
            if value is not None
        ),
        error=error,
    )


def events(
    *seconds_ago: float, name: str = "customer_complaints", error: str = ""
) -> EventEvidence:
    """Events so long before `AT`; negative for what comes after it."""
    times = tuple(AT - timedelta(seconds=ago) for ago in seconds_ago)
    return EventEvidence(metric=name, times=times, error=error)


def evidence(*found: MetricEvidence | EventEvidence) -> AssessmentEvidence:
    """All of it, at `AT`."""
    return AssessmentEvidence(
        at=AT,
        metrics=tuple(one for one in found if isinstance(one, MetricEvidence)),
        events=tuple(one for one in found if isinstance(one, EventEvidence)),
    )
