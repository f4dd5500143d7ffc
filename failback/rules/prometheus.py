"""Recording and alerting rules for Prometheus."""

from typing import Any

from failback.rules.definitions import AlertRule, Definitions
from failback.rules.writing import document, duration

_HEAD = """\
Written by `failback rules prometheus`: write it again instead of changing it.
Recorded series are the specification's monitors and the matrix's metrics; every alert goes to
failback's gateway, which looks at the history itself before it decides.\
"""


def prometheus_file(definitions: Definitions) -> str:
    """A rule file. Each group records first and alerts on what it recorded, in this order."""
    monitors = [(one.name, one.promql) for one in definitions.monitors]
    groups = [
        _group("failback-monitors", monitors, definitions.alerts, definitions.interval_seconds),
        _group(
            "failback-matrix",
            list(definitions.recorded),
            definitions.matrix,
            definitions.interval_seconds,
        ),
    ]
    return document(_HEAD, {"groups": [group for group in groups if group["rules"]]})


def _group(
    name: str,
    recorded: list[tuple[str, str]],
    alerts: tuple[AlertRule, ...],
    interval_seconds: float,
) -> dict[str, Any]:
    records = [{"record": series, "expr": promql} for series, promql in recorded]
    return {
        "name": name,
        "interval": duration(interval_seconds),
        "rules": [*records, *(_alert(one) for one in alerts)],
    }


def _alert(alert: AlertRule) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": alert.name, "expr": alert.promql}
    if alert.sustained_seconds:
        rule["for"] = duration(alert.sustained_seconds)
    rule["labels"] = {"severity": alert.severity}
    if alert.action:
        rule["labels"]["action"] = alert.action
    rule["labels"]["notifies"] = ",".join(alert.audiences)
    rule["annotations"] = {
        "summary": alert.summary,
        "description": f"{alert.series} is {{{{ $value }}}}.",
        "value": "{{ $value }}",
    }
    return rule
