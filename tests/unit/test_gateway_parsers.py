"""What each sender's body becomes."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from failback.errors import WebhookError
from failback.gateway.parsers import (
    GenericParser,
    read_alertmanager,
    read_cloudwatch,
    read_datadog,
    read_grafana,
    read_pagerduty,
)
from failback.gateway.parsers.reading import moment
from failback.models.alerts import Alert, AlertSource, AlertStatus
from failback.sections.gateway import GenericWebhookConfig

from support import webhook_bodies as sent
from support.webhook_bodies import NOW

BEGAN = datetime(2026, 3, 1, 3, 14, 40, tzinfo=UTC)


def generic(**config: Any) -> GenericParser:
    return GenericParser(GenericWebhookConfig.model_validate({"tokens": ["t"], **config}))


def only(alerts: tuple[Alert, ...]) -> Alert:
    (alert,) = alerts
    return alert


def test_alertmanager_when_a_group_fires_then_each_alert_is_one() -> None:
    reading = read_alertmanager(sent.alertmanager(3, truncated=7), NOW)
    first = reading.alerts[0]
    assert len({alert.key for alert in reading.alerts}) == 3
    assert reading.truncated == 7
    assert first == Alert(
        source=AlertSource.ALERTMANAGER,
        fingerprint="fp00000000000000",
        name="HighErrorRate",
        status=AlertStatus.FIRING,
        severity="critical",
        starts_at=BEGAN.replace(microsecond=123456),
        received_at=NOW,
        summary="7.3 % of requests fail",
        labels={"alertname": "HighErrorRate", "severity": "Critical", "instance": "api-0"},
        url="http://prometheus.example:9090/graph?g0.expr=x",
    )


def test_alertmanager_when_a_group_is_resolved_then_it_has_the_same_key_and_an_end() -> None:
    fired = only(read_alertmanager(sent.alertmanager(), NOW).alerts)
    over = only(read_alertmanager(sent.alertmanager(status="resolved"), NOW).alerts)
    assert over.key == fired.key
    assert over.status is AlertStatus.RESOLVED
    assert over.ends_at == NOW.replace(second=1)


def test_alertmanager_when_a_group_holds_both_then_each_has_its_own_status() -> None:
    body = sent.alertmanager(2)
    body["alerts"][1]["status"] = "resolved"
    statuses = [alert.status for alert in read_alertmanager(body, NOW).alerts]
    assert statuses == [AlertStatus.FIRING, AlertStatus.RESOLVED]


def test_alertmanager_when_there_is_no_fingerprint_then_labels_make_one() -> None:
    body = sent.alertmanager(2)
    for alert in body["alerts"]:
        del alert["fingerprint"]
    again = read_alertmanager(body, NOW).alerts
    assert again[0].fingerprint != again[1].fingerprint
    assert again == read_alertmanager(body, NOW).alerts


def test_alertmanager_when_labels_are_unknown_then_they_are_kept_and_bounded() -> None:
    body = sent.alertmanager()
    body["alerts"][0]["labels"] = {f"label-{n}": "x" * 10_000 for n in range(1000)}
    alert = only(read_alertmanager(body, NOW).alerts)
    assert alert.name == "unnamed"
    assert len(alert.labels) == 64
    assert max(map(len, alert.labels.values())) == 256


def test_grafana_when_it_fires_then_value_and_panel_are_told() -> None:
    alert = only(read_grafana(sent.grafana(), NOW).alerts)
    assert alert.source is AlertSource.GRAFANA
    assert (alert.name, alert.severity, alert.value) == ("Slow", "warning", 2345.5)
    assert alert.starts_at == BEGAN
    assert alert.starts_at.tzinfo is UTC
    assert alert.url == "https://grafana.example/d/abc?viewPanel=2"
    assert alert.ends_at is None


def test_grafana_when_a_rule_has_several_values_then_none_is_the_value() -> None:
    body = sent.grafana()
    body["alerts"][0]["values"] = {"A": 1.0, "B": 2.0}
    assert only(read_grafana(body, NOW).alerts).value is None


@pytest.mark.parametrize(
    ("event_type", "status", "began"),
    [
        ("incident.triggered", AlertStatus.FIRING, BEGAN),
        ("incident.escalated", AlertStatus.FIRING, BEGAN),
        ("incident.priority_updated", AlertStatus.FIRING, BEGAN),
        ("incident.unacknowledged", AlertStatus.FIRING, BEGAN),
        ("incident.reopened", AlertStatus.FIRING, NOW.replace(second=0)),
        ("incident.resolved", AlertStatus.RESOLVED, BEGAN),
    ],
)
def test_pagerduty_when_an_event_tells_of_the_incident_then_it_is_an_alert(
    event_type: str, status: AlertStatus, began: datetime
) -> None:
    reading = read_pagerduty(sent.pagerduty(event_type), NOW)
    alert = only(reading.alerts)
    assert (alert.status, alert.starts_at) == (status, began)
    assert (alert.fingerprint, alert.name, alert.severity) == ("PGR0VU2", "Checkout fails", "p1")
    assert alert.labels["service"] == "Shop API"
    assert reading.sent_at == NOW.replace(second=0)


@pytest.mark.parametrize(
    "event_type",
    ["incident.acknowledged", "incident.annotated", "service.updated", "pagey.ping", "what.ever"],
)
def test_pagerduty_when_an_event_tells_of_something_else_then_there_is_no_alert(
    event_type: str,
) -> None:
    body = sent.pagerduty(event_type)
    body["event"]["data"] = {"message": "Hello", "type": "ping"}
    reading = read_pagerduty(body, NOW)
    assert reading.alerts == ()
    assert event_type in reading.note


@pytest.mark.parametrize(
    ("transition", "status", "severity"),
    [
        ("Triggered", AlertStatus.FIRING, "p1"),
        ("Re-Triggered", AlertStatus.FIRING, "p1"),
        ("Renotify", AlertStatus.FIRING, "p1"),
        ("No Data", AlertStatus.FIRING, "no_data"),
        ("Recovered", AlertStatus.RESOLVED, "p1"),
        ("Warn Recovered", AlertStatus.RESOLVED, "p1"),
    ],
)
def test_datadog_when_a_transition_is_known_then_it_is_an_alert(
    transition: str, status: AlertStatus, severity: str
) -> None:
    alert = only(read_datadog(sent.datadog(transition), NOW).alerts)
    assert (alert.status, alert.severity) == (status, severity)
    assert alert.labels["env"] == "production"


def test_datadog_when_it_recovers_later_then_the_cycle_is_the_outbreak() -> None:
    fired = only(read_datadog(sent.datadog(), NOW).alerts)
    over = only(read_datadog(sent.datadog("Recovered", date="1772335000000"), NOW).alerts)
    other = only(read_datadog(sent.datadog(alert_cycle_key="another"), NOW).alerts)
    assert fired.key == over.key
    assert fired.key != other.key


def test_datadog_when_variables_do_not_apply_then_they_are_empty() -> None:
    body = sent.datadog(
        "Warn", alert_priority="$ALERT_PRIORITY", hostname="", alert_metric=None, org_id=11023
    )
    alert = only(read_datadog(body, NOW).alerts)
    assert alert.severity == "warning"
    assert not {"host", "metric", "priority"} & set(alert.labels)


def test_datadog_when_the_transition_says_nothing_then_there_is_no_alert() -> None:
    assert read_datadog(sent.datadog("$ALERT_TRANSITION"), NOW).alerts == ()


@pytest.mark.parametrize(
    ("state", "status", "severity"),
    [
        ("ALARM", AlertStatus.FIRING, ""),
        ("OK", AlertStatus.RESOLVED, ""),
        ("INSUFFICIENT_DATA", AlertStatus.FIRING, "no_data"),
    ],
)
def test_cloudwatch_when_a_state_changes_then_missing_data_is_no_health(
    state: str, status: AlertStatus, severity: str
) -> None:
    alert = only(read_cloudwatch(sent.cloudwatch(state), NOW).alerts)
    assert (alert.status, alert.severity) == (status, severity)
    assert alert.starts_at == BEGAN.replace(microsecond=236000)
    assert alert.labels["LoadBalancer"] == "app/shop/50dc6c495c0c9188"
    assert alert.summary == "More than 5 % of requests fail"


def test_cloudwatch_when_an_alarm_is_composite_then_it_needs_no_trigger() -> None:
    body = sent.cloudwatch(AlarmDescription=None)
    del body["Trigger"]
    alert = only(read_cloudwatch(body, NOW).alerts)
    assert alert.summary.startswith("Threshold Crossed")


def test_generic_when_paths_are_configured_then_they_are_followed() -> None:
    parser = generic(
        alerts="payload.items[?kind=='alarm']",
        fields={
            "name": "meta.title",
            "fingerprint": "meta.id",
            "starts_at": "at",
            "status": "state",
            "labels": "tags",
            "value": "reading",
        },
    )
    began = int(BEGAN.timestamp())
    document = {
        "payload": {
            "items": [
                {"kind": "note"},
                {
                    "kind": "alarm",
                    "meta": {"title": "Disk", "id": 77},
                    "at": began,
                    "state": "OK",
                    "tags": {"host": "db-1", "rack": 4},
                    "reading": "93.5",
                },
            ]
        }
    }
    alert = only(parser(document, NOW).alerts)
    assert (alert.name, alert.fingerprint, alert.value) == ("Disk", "77", 93.5)
    assert alert.starts_at == BEGAN
    assert alert.status is AlertStatus.RESOLVED
    assert alert.labels == {"host": "db-1", "rack": "4"}


def test_generic_when_nothing_is_configured_then_one_flat_alert_is_read() -> None:
    alert = only(generic()({"name": "a", "starts_at": "2026-03-01T03:14:40Z"}, NOW).alerts)
    assert alert.status is AlertStatus.FIRING
    assert alert.starts_at == BEGAN


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        None,
        7,
        {"name": "a"},
        {"name": "a", "starts_at": "2026-03-01T03:14:40"},
        {"name": "a", "starts_at": True},
        {"name": {"a": 1}, "starts_at": 0},
        {"name": "", "starts_at": 0},
        [{"name": "a", "starts_at": 0}, {"starts_at": 0}],
    ],
)
def test_generic_when_an_alert_is_incomplete_then_all_of_the_body_is_refused(
    document: Any,
) -> None:
    with pytest.raises(WebhookError):
        generic()(document, NOW)


def test_generic_when_a_function_does_not_fit_the_body_then_the_expression_is_named() -> None:
    with pytest.raises(WebhookError, match=r"fields\.name"):
        generic(fields={"name": "length(name)"})({"name": 7, "starts_at": 0}, NOW)


@pytest.mark.parametrize(
    ("parser", "body"),
    [
        (read_alertmanager, sent.grafana()),
        (read_grafana, sent.alertmanager()),
        (read_pagerduty, sent.alertmanager()),
        (read_datadog, sent.pagerduty()),
        (read_cloudwatch, sent.datadog()),
        (read_alertmanager, {**sent.alertmanager(), "alerts": []}),
        (read_alertmanager, {**sent.alertmanager(), "version": "3"}),
        (read_alertmanager, None),
        (read_pagerduty, sent.pagerduty("incident.triggered") | {"event": {}}),
    ],
)
def test_parser_when_the_body_is_of_another_sender_then_it_says_whose_it_is_not(
    parser: Callable[[Any, datetime], Any], body: Any
) -> None:
    with pytest.raises(WebhookError, match="This is no webhook of"):
        parser(body, NOW)


def test_parser_when_a_body_does_not_fit_then_none_of_its_values_is_told() -> None:
    body = sent.alertmanager()
    body["alerts"][0]["startsAt"] = "a-planted-secret"
    with pytest.raises(WebhookError) as caught:
        read_alertmanager(body, NOW)
    assert "planted" not in str(caught.value)
    assert "alerts.0.startsAt" in str(caught.value)


@pytest.mark.parametrize(
    "told",
    [
        "2026-03-01T03:14:40Z",
        "2026-03-01T04:14:40+01:00",
        "20260301T031440+0000",
        1772334880,
        "1772334880",
        1772334880000,
        "1772334880000",
    ],
)
def test_time_when_it_is_written_in_any_way_then_it_is_the_same(told: Any) -> None:
    assert moment(told) == BEGAN


@pytest.mark.parametrize("told", ["", "soon", "1e999", float("inf"), 10**30, None, [], "٣", "²"])
def test_time_when_it_is_none_then_it_is_refused(told: Any) -> None:
    with pytest.raises(ValueError, match="not a time"):
        moment(told)
