"""What is monitored and when it alerts: the one place that every generated file is made from."""

from collections.abc import Mapping, Sequence

from failback.decision.matrix import (
    ANOMALY_SCORE,
    ERROR_RATE,
    EVENT_METRICS,
    RESPONSE_TIME_P95,
)
from failback.decision.queries import MetricQuery
from failback.models.common import Payload
from failback.models.decision import DecisionKind, Rule, RuleClass
from failback.models.messages import Audience, MessageKind
from failback.sections.channels import DEFAULT_ALERTS, DEFAULT_AUDIENCES

PAUSE_MIGRATION = "PAUSE_MIGRATION"
"""How the specification calls the action of its alert about the data sync."""
_TOLD_AS = {
    DecisionKind.IMMEDIATE_ROLLBACK: MessageKind.AUTOMATIC_ROLLBACK_INITIATED,
    DecisionKind.ROLLBACK_WITH_APPROVAL: MessageKind.APPROVAL_NEEDED,
    DecisionKind.PAUSE_AND_INVESTIGATE: MessageKind.INVESTIGATION_OPENED,
}
_SEVERITIES = {
    RuleClass.CRITICAL: "critical",
    RuleClass.WARNING: "warning",
    RuleClass.INVESTIGATE: "info",
}


class Monitor(Payload):
    """A recorded series, and the threshold beyond which it is out of bounds."""

    name: str
    """Of the recorded series."""
    promql: str
    comparison: str
    threshold: float
    severity: str
    unit: str = "share"
    title: str = ""

    @property
    def alert(self) -> str:
        """The name of the alert about it."""
        return f"{camel(self.name)}OutOfBounds"


class AlertRule(Payload):
    """One alert: a recorded series beyond a threshold for a time."""

    name: str
    series: str
    comparison: str
    threshold: float
    sustained_seconds: float = 0.0
    severity: str
    action: str = ""
    """What failback is asked to do; empty leaves it to the matrix."""
    audiences: tuple[str, ...] = ()
    summary: str

    @property
    def promql(self) -> str:
        """The condition."""
        return f"{self.series} {self.comparison} {self.threshold:.10g}"


class Definitions(Payload):
    """Everything that is written into files."""

    monitors: tuple[Monitor, ...]
    recorded: tuple[tuple[str, str], ...]
    """(series, PromQL) of the matrix's metrics."""
    alerts: tuple[AlertRule, ...]
    """The specification's own, and one for each monitor."""
    matrix: tuple[AlertRule, ...]
    """One for each rule of the matrix that none of the specification's alerts stands for."""
    rules: tuple[Rule, ...]
    interval_seconds: float = 15.0


_MONITORED = (
    ("system_error_rate", ">", 0.05, "critical", "share", "System error rate"),
    ("response_time_p95", ">", 5.0, "critical", "s", "Response time, 95th percentile"),
    ("data_sync_lag", ">", 300.0, "warning", "s", "Data sync lag"),
    (
        "database_connection_success_rate",
        "<",
        0.99,
        "critical",
        "share",
        "Database connections that succeed",
    ),
    (
        "user_authentication_success_rate",
        "<",
        0.95,
        "critical",
        "share",
        "Authentications that succeed",
    ),
    ("ai_query_success_rate", "<", 0.98, "warning", "share", "AI queries that succeed"),
)
_IMMEDIATE = DecisionKind.IMMEDIATE_ROLLBACK.value
_ALERTS = (
    (
        "CriticalErrorRateHigh",
        ("system_error_rate", ">", 0.05, 60.0),
        ("critical", _IMMEDIATE),
        "More than 5 % of requests fail.",
    ),
    (
        "ResponseTimeCritical",
        ("response_time_p95", ">", 10.0, 180.0),
        ("critical", _IMMEDIATE),
        "One request of twenty takes longer than 10 s.",
    ),
    (
        "DataSyncFailure",
        ("data_sync_lag", ">", 300.0, 0.0),
        ("warning", PAUSE_MIGRATION),
        "The data sync is more than 300 s behind.",
    ),
    (
        "AuthenticationFailure",
        ("user_authentication_success_rate", "<", 0.95, 120.0),
        ("critical", _IMMEDIATE),
        "More than 5 % of authentications fail.",
    ),
)
_SAME = {
    (ERROR_RATE, 0.05, 60.0): "CriticalErrorRateHigh",
    (RESPONSE_TIME_P95, 10_000.0, 180.0): "ResponseTimeCritical",
}
"""Rules of the matrix that one of the alerts above says already: metric, threshold, time."""


def define(
    rules: Sequence[Rule],
    queries: Mapping[str, MetricQuery],
    audiences: Mapping[str, Sequence[Audience]] | None = None,
    interval_seconds: float = 15.0,
) -> Definitions:
    """What an estate's files are made from.

    Args:
        rules: its matrix. Rules about events and the anomaly score have no PromQL: failback's
            own gateway and detector tell of those.
        queries: how its metrics are asked for.
        audiences: who is told of an alert, by name, besides the specification's lists.
        interval_seconds: how often Prometheus evaluates the rules.
    """
    told = {**DEFAULT_ALERTS, **(audiences or {})}
    monitors = tuple(
        Monitor(
            name=name,
            promql=queries[name].promql,
            comparison=comparison,
            threshold=threshold,
            severity=severity,
            unit=unit,
            title=title,
        )
        for name, comparison, threshold, severity, unit, title in _MONITORED
    )
    known = [
        rule for rule in rules if rule.metric not in EVENT_METRICS and _has_query(rule, queries)
    ]
    metrics = dict.fromkeys(rule.metric for rule in known)
    return Definitions(
        monitors=monitors,
        recorded=tuple((recorded_name(metric), queries[metric].promql) for metric in metrics),
        alerts=(
            *(_specified(alert, told) for alert in _ALERTS),
            *(_out_of_bounds(monitor, told) for monitor in monitors),
        ),
        matrix=tuple(
            _of_rule(rule, told)
            for rule in known
            if (rule.metric, rule.threshold, rule.sustained_seconds) not in _SAME
        ),
        rules=tuple(rules),
        interval_seconds=interval_seconds,
    )


def recorded_name(metric: str) -> str:
    """The series that a metric of the matrix is recorded as."""
    return f"failback:{metric}"


def camel(name: str) -> str:
    """`error_rate_warning` as alerts are named: `ErrorRateWarning`."""
    return "".join(part[:1].upper() + part[1:] for part in name.replace("-", "_").split("_"))


def _has_query(rule: Rule, queries: Mapping[str, MetricQuery]) -> bool:
    return rule.metric in queries and rule.metric != ANOMALY_SCORE


def _names(audiences: Sequence[Audience]) -> tuple[str, ...]:
    return tuple(audience.value for audience in audiences)


def _specified(
    alert: tuple[str, tuple[str, str, float, float], tuple[str, str], str],
    told: Mapping[str, Sequence[Audience]],
) -> AlertRule:
    name, (series, comparison, threshold, sustained), (severity, action), summary = alert
    return AlertRule(
        name=name,
        series=series,
        comparison=comparison,
        threshold=threshold,
        sustained_seconds=sustained,
        severity=severity,
        action=action,
        audiences=_names(told[name]),
        summary=summary,
    )


def _out_of_bounds(monitor: Monitor, told: Mapping[str, Sequence[Audience]]) -> AlertRule:
    beyond = "above" if monitor.comparison.startswith(">") else "below"
    unit = "" if monitor.unit == "share" else f" {monitor.unit}"
    return AlertRule(
        name=monitor.alert,
        series=monitor.name,
        comparison=monitor.comparison,
        threshold=monitor.threshold,
        severity=monitor.severity,
        audiences=_names(told.get(monitor.alert, (Audience.ON_CALL_ENGINEER,))),
        summary=f"{monitor.title} is {beyond} {monitor.threshold:g}{unit}.",
    )


def _of_rule(rule: Rule, told: Mapping[str, Sequence[Audience]]) -> AlertRule:
    name = camel(rule.name)
    unit = "" if rule.unit == "share" else f" {rule.unit}"
    for_so_long = f" for {rule.sustained_seconds:g} s" if rule.sustained_seconds else ""
    return AlertRule(
        name=name,
        series=recorded_name(rule.metric),
        comparison=rule.comparison,
        threshold=rule.threshold,
        sustained_seconds=rule.sustained_seconds,
        severity=_SEVERITIES[rule.rule_class],
        action=rule.decision.value,
        audiences=_names(told.get(name, DEFAULT_AUDIENCES[_TOLD_AS[rule.decision]])),
        summary=f"{rule.metric} is {rule.comparison} {rule.threshold:g}{unit}{for_so_long}.",
    )
