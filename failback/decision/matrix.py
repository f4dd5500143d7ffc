"""The decision matrix of the specification, row by row, as it is where nobody changed it."""

from failback.models.decision import DecisionKind, Rule, RuleClass

ERROR_RATE = "error_rate"
"""Share of requests answered with 5xx, 0..1."""
RESPONSE_TIME_P95 = "response_time_p95_ms"
"""95th percentile of the response time, milliseconds."""
AUTH_FAILURE_RATE = "auth_failure_rate"
"""Share of authentication attempts that failed, 0..1."""
COMPONENTS_DOWN = "components_down"
"""Share of components that do not answer, 0..1."""
RESOURCE_UTILISATION = "resource_utilisation"
"""Share in use of the scarcest resource, 0..1."""
ANOMALY_SCORE = "anomaly_score"
"""How unusual the watched metrics are, as a multiple of the detector's own threshold."""
CUSTOMER_COMPLAINTS = "customer_complaints"
"""Complaints that were reported as events."""
DATA_CORRUPTION = "data_corruption"
"""Corruption that was reported as an event, by people or by failback's own verification."""

EVENT_METRICS = (CUSTOMER_COMPLAINTS, DATA_CORRUPTION)
"""What is counted from the audit log: each is the subject of its events' entries."""

ROLLBACK_LEVELS = {
    DecisionKind.IMMEDIATE_ROLLBACK: 1,
    DecisionKind.ROLLBACK_WITH_APPROVAL: 2,
    DecisionKind.PAUSE_AND_INVESTIGATE: 0,
    DecisionKind.CONTINUE_MIGRATION: 0,
}
"""The level that a decision starts where its rule does not say another."""

_CLASSES = {
    RuleClass.CRITICAL: DecisionKind.IMMEDIATE_ROLLBACK,
    RuleClass.WARNING: DecisionKind.ROLLBACK_WITH_APPROVAL,
    RuleClass.INVESTIGATE: DecisionKind.PAUSE_AND_INVESTIGATE,
}


def _rule(
    name: str,
    rule_class: RuleClass,
    metric: str,
    threshold: float,
    sustained: float,
    *,
    unit: str = "share",
) -> Rule:
    decision = _CLASSES[rule_class]
    return Rule(
        name=name,
        rule_class=rule_class,
        metric=metric,
        threshold=threshold,
        unit=unit,
        sustained_seconds=sustained,
        decision=decision,
        level=ROLLBACK_LEVELS[decision],
    )


def _counted(
    name: str, rule_class: RuleClass, metric: str, threshold: float, within: float
) -> Rule:
    rule = _rule(name, rule_class, metric, threshold, 0.0, unit="events")
    return rule.model_copy(update={"comparison": ">=", "within_seconds": within})


_CRITICAL, _WARNING, _INVESTIGATE = RuleClass.CRITICAL, RuleClass.WARNING, RuleClass.INVESTIGATE

DEFAULT_RULES: tuple[Rule, ...] = (
    _rule("error_rate_critical", _CRITICAL, ERROR_RATE, 0.05, 60),
    _rule("response_time_critical", _CRITICAL, RESPONSE_TIME_P95, 10_000, 180, unit="ms"),
    # Sustained for 0 s: one is enough. It is remembered for an hour, so that a restart of
    # everything between the event and the decision forgets nothing.
    _counted("data_corruption", _CRITICAL, DATA_CORRUPTION, 1, 3600),
    _rule("auth_failure_critical", _CRITICAL, AUTH_FAILURE_RATE, 0.1, 120),
    _rule("components_down", _CRITICAL, COMPONENTS_DOWN, 0.5, 30),
    _rule("response_time_warning", _WARNING, RESPONSE_TIME_P95, 2_000, 600, unit="ms"),
    _rule("error_rate_warning", _WARNING, ERROR_RATE, 0.02, 300),
    _rule("resource_utilisation", _WARNING, RESOURCE_UTILISATION, 0.9, 600),
    _counted("customer_complaints", _WARNING, CUSTOMER_COMPLAINTS, 5, 1800),
    _rule("response_time_investigate", _INVESTIGATE, RESPONSE_TIME_P95, 1_500, 1200, unit="ms"),
    _rule("error_rate_investigate", _INVESTIGATE, ERROR_RATE, 0.01, 600),
    _rule("unusual_pattern", _INVESTIGATE, ANOMALY_SCORE, 1.0, 0, unit="").model_copy(
        update={"comparison": ">="}
    ),
)
"""Every row of the matrix, gravest first."""
