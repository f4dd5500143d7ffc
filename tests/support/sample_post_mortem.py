"""What is on record about a rollback that alerts led to, for tests of its post-mortem."""

import math
from datetime import timedelta

from failback.models.decision import (
    AssessmentEvidence,
    DecisionKind,
    MetricEvidence,
    Rule,
    RuleClass,
)
from failback.models.messages import Delivery
from failback.models.post_mortem import AlertFact, DecisionFact, PostMortemFacts, ReadingFact
from failback.models.rollback import RollbackResult

from support import sample_results as sample

RULES = (
    Rule(
        name="error_rate_critical",
        rule_class=RuleClass.CRITICAL,
        metric="error_rate",
        threshold=0.05,
        sustained_seconds=60,
        decision=DecisionKind.IMMEDIATE_ROLLBACK,
        level=1,
    ),
    Rule(
        name="error_rate_warning",
        rule_class=RuleClass.WARNING,
        metric="error_rate",
        threshold=0.02,
        sustained_seconds=300,
        decision=DecisionKind.ROLLBACK_WITH_APPROVAL,
        level=2,
    ),
    Rule(
        name="response_time_critical",
        rule_class=RuleClass.CRITICAL,
        metric="response_time_p95",
        threshold=10_000,
        unit="ms",
        sustained_seconds=180,
        decision=DecisionKind.IMMEDIATE_ROLLBACK,
        level=1,
    ),
    Rule(
        name="auth_failure_critical",
        rule_class=RuleClass.CRITICAL,
        metric="auth_failure_rate",
        threshold=0.1,
        sustained_seconds=120,
        decision=DecisionKind.IMMEDIATE_ROLLBACK,
        level=1,
    ),
)


def evidence() -> AssessmentEvidence:
    """Errors that rise before the rollback, latencies with a gap, and a metric that is away."""
    start, end = sample.at(-900), sample.at(60)
    errors = [
        (
            start.timestamp() + second,
            0.004 + (0.09 * min(1.0, (second - 600) / 60) if 600 < second < 905 else 0.0),
        )
        for second in range(0, 961, 6)
    ]
    slow = [
        (start.timestamp() + second, 400 + 150 * math.sin(second / 40) + second)
        for second in range(0, 961, 18)
        if not 300 < second < 420
    ]
    span = {"start": start, "end": end}
    return AssessmentEvidence(
        at=end,
        rules=RULES,
        metrics=(
            MetricEvidence(
                metric="response_time_p95", step_seconds=18, samples=tuple(slow), **span
            ),
            MetricEvidence(metric="error_rate", step_seconds=6, samples=tuple(errors), **span),
            MetricEvidence(
                metric="auth_failure_rate",
                step_seconds=12,
                error="Prometheus does not answer",
                **span,
            ),
        ),
    )


def delivery(kind: str, channel: str, took: float | None, **changes: object) -> Delivery:
    """A message and what became of it."""
    fields: dict[str, object] = {
        "channel": channel,
        "kind": kind,
        "delivered": took is not None,
        "occurred_at": sample.at(0),
        "delivered_at": None if took is None else sample.at(took),
        "deadline_seconds": 30.0,
        "in_time": took is not None and took <= 30.0,
        "detail": "HTTP 200",
        "rollback_id": sample.level_2().rollback_id,
    }
    return Delivery.model_validate({**fields, **changes})


def facts(result: RollbackResult | None = None) -> PostMortemFacts:
    """The record of a level 2 rollback, with something of everything."""
    return PostMortemFacts(
        result=result or sample.level_2(),
        alerts=(
            AlertFact(
                name="CriticalErrorRateHigh",
                source="alertmanager",
                severity="critical",
                status="firing",
                starts_at=sample.at(-150),
                received_at=sample.at(-90),
                summary="5xx share above 5 % | <b>for a minute</b>",
                value=0.094,
            ),
            AlertFact(name="ResponseTimeCritical", received_at=sample.at(-60), status="firing"),
        ),
        alerts_total=2,
        decisions=(
            DecisionFact(
                at=sample.at(-80),
                decision="ROLLBACK_WITH_APPROVAL",
                level=2,
                action="ask",
                why="the estate's mode is approve",
                mode="approve",
                basis="metrics",
                conclusive=False,
                explanation="error_rate was above 0.05 for 240 s.",
                readings=(
                    ReadingFact(
                        rule="error_rate_critical",
                        verdict="fired",
                        value=0.094,
                        threshold=0.05,
                        since=sample.at(-270),
                        explanation="above 0.05 for 190 s of 60 s",
                    ),
                    ReadingFact(
                        rule="response_time_critical",
                        verdict="clear",
                        value=1_402,
                        threshold=10_000,
                        explanation="1 402 ms",
                    ),
                    ReadingFact(
                        rule="auth_failure_critical",
                        verdict="inconclusive",
                        threshold=0.1,
                        explanation="no evidence: Prometheus does not answer",
                    ),
                ),
            ),
        ),
        evidence=evidence(),
        deliveries=(
            delivery("APPROVAL_NEEDED", "chat", 0.4),
            delivery("ROLLBACK_STARTED", "chat", 0.3),
            delivery("ROLLBACK_STARTED", "pager", 41.0, attempts=6),
            delivery(
                "TRAFFIC_RESTORED",
                "page",
                12.0,
                audiences=("status_page",),
                deadline_seconds=60.0,
                in_time=True,
            ),
            delivery(
                "ROLLBACK_SUCCEEDED",
                "customers",
                None,
                audiences=("customers",),
                deadline_seconds=300.0,
                attempts=240,
                detail="no answer within 5 s",
            ),
        ),
        unknown=("approvals: the audit log does not answer",),
        written_at=sample.at(620),
        due_at=sample.level_2().ended_at + timedelta(hours=24),
    )
