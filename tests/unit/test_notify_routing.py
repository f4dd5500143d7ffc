"""Who is told of what, on which channels, and by when."""

from typing import Any

import pytest
from pydantic import ValidationError

from failback.models.messages import Audience, MessageKind
from failback.providers.notify.routing import planned
from failback.sections.channels import DEFAULT_AUDIENCES, ChannelConfig, MessagesConfig

from support.messages import message

HOOK = {"kind": "webhook", "url": "http://127.0.0.1:1"}


def plan(
    documents: dict[str, dict[str, Any]], kind: MessageKind, alert: str = "", **words: Any
) -> dict[str, float]:
    """Deadlines by channel."""
    channels = {name: ChannelConfig.model_validate(one) for name, one in documents.items()}
    told = message(kind, alert=alert)
    found = planned(told, channels, MessagesConfig.model_validate(words))
    return {address.channel: address.deadline_seconds for address in found.addresses}


def of(*audiences: str, **more: Any) -> dict[str, Any]:
    return {**HOOK, "audiences": list(audiences), **more}


EVERY = {"everything": HOOK, **{one.value: of(one.value) for one in Audience}}


@pytest.mark.parametrize(
    ("alert", "told"),
    [
        ("CriticalErrorRateHigh", {"on_call_engineer", "engineering_lead", "executives"}),
        ("ResponseTimeCritical", {"on_call_engineer", "engineering_lead"}),
        ("DataSyncFailure", {"engineering_team", "data_team"}),
        ("AuthenticationFailure", {"on_call_engineer", "product_team", "executives"}),
        ("AnotherAlert", {"on_call_engineer", "engineering_lead", "executives"}),
    ],
)
def test_alert_when_it_led_to_a_rollback_then_its_own_recipients_are_told(
    alert: str, told: set[str]
) -> None:
    found = plan(EVERY, MessageKind.AUTOMATIC_ROLLBACK_INITIATED, alert)
    assert set(found) == told | {"everything"}


def test_deadlines_when_nobody_says_otherwise_then_the_specification_s() -> None:
    found = plan(EVERY, MessageKind.ROLLBACK_STARTED)
    assert found["everything"] == found["executives"] == 30.0
    assert (found["status_page"], found["customers"]) == (60.0, 300.0)


def test_channel_of_several_audiences_then_the_strictest_deadline_counts() -> None:
    documents = {"mixed": of("customers", "data_team"), "own": of("customers", deadline_seconds=7)}
    assert plan(documents, MessageKind.ROLLBACK_STARTED) == {"mixed": 30.0, "own": 7.0}
    # Customers are not told of it, so that theirs is not the deadline.
    assert plan({"mixed": of("customers", "on_call_engineer")}, MessageKind.APPROVAL_NEEDED) == {
        "mixed": 30.0
    }


@pytest.mark.parametrize("kind", MessageKind)
def test_kind_when_nobody_says_otherwise_then_somebody_inside_is_told(kind: MessageKind) -> None:
    assert any(not audience.public for audience in DEFAULT_AUDIENCES[kind])


def test_public_then_no_request_for_approval_alert_or_reminder_reaches_it() -> None:
    for kind in (
        MessageKind.AUTOMATIC_ROLLBACK_INITIATED,
        MessageKind.APPROVAL_NEEDED,
        MessageKind.RECOMMENDATION,
        MessageKind.INVESTIGATION_OPENED,
        MessageKind.ROLLBACK_WITHDRAWN,
        MessageKind.POST_MORTEM_DUE,
    ):
        assert not {"customers", "status_page"} & set(plan(EVERY, kind))


def test_configuration_when_it_names_others_then_those_are_told() -> None:
    words = {
        "audiences": {"ROLLBACK_STARTED": ["data_team"]},
        "alerts": {"DataSyncFailure": ["executives"], "DiskFull": ["product_team"]},
        "deadlines": {"stakeholders_seconds": 5},
    }
    assert plan(EVERY, MessageKind.ROLLBACK_STARTED, **words) == {"everything": 5, "data_team": 5}
    for alert, told in (("DataSyncFailure", "executives"), ("DiskFull", "product_team")):
        found = plan(EVERY, MessageKind.RECOMMENDATION, alert, **words)
        assert set(found) == {"everything", told}


def test_message_when_it_names_its_audiences_then_those_and_unknown_ones_harm_nobody() -> None:
    channels = {name: ChannelConfig.model_validate(one) for name, one in EVERY.items()}
    told = message(MessageKind.RECOMMENDATION, audiences=("data_team", "astronauts"))
    found = planned(told, channels, MessagesConfig())
    assert [one.channel for one in found.addresses] == ["everything", "data_team"]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"kind": "pigeon"}, "pigeon|statuspage"),
        ({"audiences": ["astronauts"]}, "on_call_engineer"),
        ({"kind": "slack"}, "needs its section slack"),
        ({"kind": "webhook"}, "needs its url"),
        ({"kind": "webhook", "url": "gopher://planted"}, "no http"),
        ({"kind": "log", "url": "http://x"}, "for kind webhook"),
        (
            {"kind": "webhook", "url": "http://x", "slack": {"webhook_url": "http://x"}},
            "no section",
        ),
        ({"kind": "slack", "slack": {}}, "either webhook_url, or token"),
        ({"kind": "slack", "slack": {"token": "planted"}}, "needs the channel"),
        ({"kind": "slack", "slack": {"webhook_url": "planted"}}, "no http"),
        ({"kind": "pagerduty", "pagerduty": {}}, "routing_key"),
        ({"kind": "statuspage", "statuspage": {"page": "../x", "api_key": "planted"}}, "page"),
        ({"person": "alice", "audiences": ["customers"]}, "not for the public"),
        ({"timeout_seconds": 0}, "greater than 0"),
    ],
)
def test_channel_when_it_cannot_work_then_refused_with_why_and_no_secret(
    document: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem) as raised:
        ChannelConfig.model_validate(document)
    told = raised.value.errors(include_url=False, include_input=False, include_context=False)
    assert "planted" not in str(told)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"recipients": []}, "recipients"),
        ({"recipients": ["nobody"]}, "no mail address"),
        ({"sender": "a@b\r\nBcc: c@d"}, "no mail address"),
        ({"tls": "none", "user": "u", "password": "planted"}, "without TLS"),
        ({"password": "planted"}, "needs its user"),
        ({"tls": "maybe"}, "starttls"),
        ({"port": 0}, "greater than 0"),
    ],
)
def test_mail_when_it_cannot_work_then_refused(changes: dict[str, Any], problem: str) -> None:
    email = {"host": "mail.example", "sender": "a@example", "recipients": ["b@example"], **changes}
    with pytest.raises(ValidationError, match=problem):
        ChannelConfig.model_validate({"kind": "email", "email": email})


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"audiences": {"ROLLBACK_EXPLODED": []}}, "ROLLBACK_STARTED"),
        ({"audiences": {"ROLLBACK_STARTED": ["astronauts"]}}, "on_call_engineer"),
        ({"alerts": {"X": ["astronauts"]}}, "on_call_engineer"),
        (
            {"public": {"APPROVAL_NEEDED": {"subject": "s", "text": "t"}}},
            "never told to the public",
        ),
        ({"deadlines": {"customers_seconds": -1}}, "greater than 0"),
    ],
)
def test_messages_when_a_kind_or_an_audience_is_unknown_then_refused(
    words: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        MessagesConfig.model_validate(words)
