"""A Grafana dashboard of what decisions stand on, with the thresholds drawn in."""

import json
from collections.abc import Iterable
from typing import Any

from failback.models.decision import RuleClass
from failback.rules.definitions import Definitions, Monitor, recorded_name

_SCHEMA_VERSION = 39
_WIDTH, _HEIGHT, _ACROSS = 12, 8, 2
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_UNITS = {"share": "percentunit", "ms": "ms", "s": "s"}
_COLOURS = {"critical": "red", "warning": "orange", "info": "yellow", "investigate": "yellow"}


def grafana_file(definitions: Definitions, estate: str) -> str:
    """A dashboard as JSON, for provisioning or for Grafana's import.

    Args:
        definitions: a panel for each monitor, and for each metric of the matrix.
        estate: its name, part of the title and of the dashboard's identity.
    """
    panels = [
        *(_monitor(monitor) for monitor in definitions.monitors),
        *(_metric(definitions, series, promql) for series, promql in definitions.recorded),
        _alerts(definitions),
    ]
    for index, panel in enumerate(panels):
        panel["id"] = index + 1
        panel["gridPos"] = {
            "x": index % _ACROSS * _WIDTH,
            "y": index // _ACROSS * _HEIGHT,
            "w": _WIDTH,
            "h": _HEIGHT,
        }
    dashboard = {
        "uid": f"failback-{estate}"[:40],
        "title": f"failback: {estate}",
        "description": "Written by `failback rules grafana`.",
        "tags": ["failback"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                    "current": {},
                }
            ]
        },
        "annotations": {"list": []},
        "panels": panels,
    }
    return json.dumps(dashboard, indent=2) + "\n"


def _monitor(monitor: Monitor) -> dict[str, Any]:
    return _series(
        monitor.title,
        monitor.promql,
        monitor.unit,
        [(monitor.comparison, monitor.threshold, monitor.severity)],
    )


def _metric(definitions: Definitions, series: str, promql: str) -> dict[str, Any]:
    rules = [rule for rule in definitions.rules if recorded_name(rule.metric) == series]
    title = rules[0].metric.replace("_", " ")
    lines = [(rule.comparison, rule.threshold, rule.rule_class.value) for rule in rules]
    names = ", ".join(f"{rule.name} after {rule.sustained_seconds:g} s" for rule in rules)
    panel = _series(f"Decision: {title}", promql, rules[0].unit, lines)
    return {**panel, "description": names}


def _series(
    title: str, promql: str, unit: str, lines: Iterable[tuple[str, float, str]]
) -> dict[str, Any]:
    """A graph with lines where thresholds are.

    Grafana colours what lies above a step, so a threshold that must not be fallen below has its
    colour below, and green from there on.
    """
    lines = sorted(lines, key=lambda one: one[1])
    rising = all(comparison.startswith(">") for comparison, _, _ in lines)
    lowest = None if rising else _COLOURS[lines[0][2]]
    steps: list[dict[str, Any]] = [{"color": lowest or "green", "value": None}]
    steps += [
        {"color": _COLOURS[severity] if rising else "green", "value": threshold}
        for _, threshold, severity in lines
    ]
    return {
        "type": "timeseries",
        "title": title,
        "datasource": _SOURCE,
        "targets": [{"refId": "A", "datasource": _SOURCE, "expr": promql, "legendFormat": title}],
        "fieldConfig": {
            "defaults": {
                "unit": _UNITS.get(unit, "short"),
                "custom": {"thresholdsStyle": {"mode": "line"}, "spanNulls": False},
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
        "options": {"legend": {"showLegend": False}},
    }


def _alerts(definitions: Definitions) -> dict[str, Any]:
    names = "|".join(one.name for one in (*definitions.alerts, *definitions.matrix))
    promql = f'sum by (alertname, severity) (ALERTS{{alertstate="firing", alertname=~"{names}"}})'
    return {
        "type": "state-timeline",
        "title": "Alerts that fire",
        "datasource": _SOURCE,
        "targets": [
            {
                "refId": "A",
                "datasource": _SOURCE,
                "expr": promql,
                "legendFormat": "{{alertname}}",
            }
        ],
        "fieldConfig": {
            "defaults": {"color": {"mode": "fixed", "fixedColor": _COLOURS[RuleClass.CRITICAL]}},
            "overrides": [],
        },
        "options": {"showValue": "never"},
    }
