"""Every sender's alerts in the memory of AlertResponse: repeats, ends, and the next outbreak."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from failback.decision.memory import receive
from failback.gateway.parsers import (
    read_alertmanager,
    read_cloudwatch,
    read_datadog,
    read_grafana,
    read_pagerduty,
)
from failback.models.alerts import Alert
from failback.models.responses import ResponseState

from support import webhook_bodies as sent
from support.webhook_bodies import NOW


def of_alertmanager(status: str, began: str) -> Alert:
    body = sent.alertmanager(status="resolved" if status == "over" else "firing")
    body["alerts"][0]["startsAt"] = began
    body["alerts"][0]["endsAt"] = "2026-03-01T03:30:00Z"
    return read_alertmanager(body, NOW).alerts[0]


def of_grafana(status: str, began: str) -> Alert:
    body = sent.grafana("resolved" if status == "over" else "firing")
    body["alerts"][0]["startsAt"] = began
    body["alerts"][0]["endsAt"] = "2026-03-01T03:30:00Z"
    return read_grafana(body, NOW).alerts[0]


def of_pagerduty(status: str, began: str) -> Alert:
    kind = "incident.resolved" if status == "over" else "incident.triggered"
    body = sent.pagerduty(kind, occurred_at="2026-03-01T03:30:00Z")
    body["event"]["data"]["id"] = began
    body["event"]["data"]["created_at"] = began
    return read_pagerduty(body, NOW).alerts[0]


def of_datadog(status: str, began: str) -> Alert:
    transition = {"over": "Recovered", "repeat": "Renotify"}.get(status, "Triggered")
    date = began if status == "begins" else "2026-03-01T03:30:00Z"
    return read_datadog(sent.datadog(transition, alert_cycle_key=began, date=date), NOW).alerts[0]


def of_cloudwatch(status: str, began: str) -> Alert:
    if status == "over":
        body = sent.cloudwatch("OK", StateChangeTime="2026-03-01T03:30:00.000+0000")
    else:
        body = sent.cloudwatch("ALARM", StateChangeTime=began)
    return read_cloudwatch(body, NOW).alerts[0]


SENDERS = (of_alertmanager, of_grafana, of_pagerduty, of_datadog, of_cloudwatch)
FIRST, SECOND = "2026-03-01T03:20:00+00:00", "2026-03-01T03:40:00+00:00"


@pytest.mark.parametrize("sender", SENDERS)
def test_outbreak_when_it_repeats_ends_and_comes_again_then_each_is_known_for_what_it_is(
    sender: Callable[[str, str], Alert],
) -> None:
    state = ResponseState()
    assert len(receive(state, [sender("begins", FIRST)], NOW)) == 1
    assert receive(state, [sender("repeat", FIRST)], NOW) == ()
    assert len(state.standing) == 1
    assert len(receive(state, [sender("over", FIRST)], NOW)) == 1
    assert state.standing == {}
    assert receive(state, [sender("over", FIRST), sender("repeat", FIRST)], NOW) == ()
    assert state.standing == {}
    assert len(receive(state, [sender("begins", SECOND)], NOW)) == 1
    assert len(state.standing) == 1


@pytest.mark.parametrize("sender", SENDERS)
def test_end_when_it_arrives_after_the_next_outbreak_then_that_one_still_stands(
    sender: Callable[[str, str], Alert],
) -> None:
    state = ResponseState()
    receive(state, [sender("begins", FIRST), sender("begins", SECOND)], NOW)
    receive(state, [sender("over", FIRST)], NOW + timedelta(minutes=1))
    assert [alert.key for alert in state.standing.values()] == [sender("begins", SECOND).key]
