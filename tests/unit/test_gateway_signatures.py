"""Who is let in: right, wrong, missing, with a second key, and replayed, for each sender."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from failback.gateway.intake import FakeIntake

from support import webhook_bodies as sent
from support.amazon import FakeAmazon
from support.gateway import (
    BEARER,
    SECRETS,
    FakeGateway,
    bearer,
    gateway_of,
    signature,
    signed_headers,
    written,
)
from support.webhook_bodies import NOW, TOPIC

GRAFANA = written(sent.grafana())
PAGERDUTY = written(sent.pagerduty())
DAY = timedelta(days=1)


async def posted(
    gateway: FakeGateway, sender: str, body: bytes, headers: dict[str, str]
) -> httpx.Response:
    async with gateway.asked() as client:
        return await client.post(f"/webhooks/{sender}", content=body, headers=headers)


def taken(gateway: FakeGateway) -> int:
    assert isinstance(gateway.intake, FakeIntake)
    return len(gateway.intake.alerts)


# Bearer tokens.


@pytest.mark.parametrize(
    ("sender", "document"),
    [
        ("alertmanager", sent.alertmanager()),
        ("datadog", sent.datadog()),
        ("generic", {"incidents": [{"title": "a", "opened": 0}]}),
    ],
)
@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {BEARER}", 202),
        (f"bearer  {BEARER}", 202),
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        (f"Bearer {BEARER}x", 401),
        (f"Bearer {BEARER[:-1]}", 401),
        (f"Basic {BEARER}", 401),
        (BEARER, 401),
    ],
)
async def test_bearer_when_it_is_shown_then_only_the_right_one_lets_in(
    sender: str, document: Any, authorization: str | None, status: int
) -> None:
    gateway = gateway_of()
    headers = {"Content-Type": "application/json"}
    if authorization is not None:
        headers["Authorization"] = authorization
    answer = await posted(gateway, sender, written(document), headers)
    assert answer.status_code == status
    assert taken(gateway) == (status == 202)
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert BEARER not in answer.text


async def test_bearer_when_an_older_token_is_still_configured_then_it_lets_in() -> None:
    gateway = gateway_of()
    body = written(sent.alertmanager())
    answer = await posted(gateway, "alertmanager", body, bearer("an-older-token"))
    assert answer.status_code == 202


async def test_bearer_when_it_is_no_ascii_then_it_is_refused() -> None:
    gateway = gateway_of()
    body = written(sent.alertmanager())
    headers = [
        (b"authorization", "Bearer Schlüssel".encode()),
        (b"content-type", b"application/json"),
    ]
    async with gateway.asked() as client:
        answer = await client.post("/webhooks/alertmanager", content=body, headers=headers)
    assert answer.status_code == 401


async def test_datadog_when_a_message_is_a_day_old_then_it_is_refused() -> None:
    gateway = gateway_of()
    old = int((NOW - DAY).timestamp() * 1000)
    answer = await posted(gateway, "datadog", written(sent.datadog(date=str(old))), bearer())
    assert answer.status_code == 403
    assert "replayed" in answer.json()["detail"]
    assert taken(gateway) == 0


# Grafana.


def grafana_headers(at: datetime = NOW, secret: str = SECRETS[0]) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    return {
        "Content-Type": "application/json",
        "X-Grafana-Alerting-Timestamp": stamp,
        "X-Grafana-Alerting-Signature": signature(f"{stamp}:".encode() + GRAFANA, secret),
    }


@pytest.mark.parametrize("secret", SECRETS)
async def test_grafana_when_any_configured_key_signed_then_it_is_let_in(secret: str) -> None:
    gateway = gateway_of()
    answer = await posted(gateway, "grafana", GRAFANA, grafana_headers(secret=secret))
    assert answer.status_code == 202
    assert taken(gateway) == 1


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"X-Grafana-Alerting-Signature": ""}, 401),
        ({"X-Grafana-Alerting-Signature": "0" * 64}, 401),
        ({"X-Grafana-Alerting-Signature": signature(GRAFANA)}, 401),
        ({"X-Grafana-Alerting-Timestamp": ""}, 401),
        ({"X-Grafana-Alerting-Timestamp": "yesterday"}, 401),
        ({"X-Grafana-Alerting-Timestamp": "9" * 30}, 401),
        ({"X-Grafana-Alerting-Timestamp": str(int(NOW.timestamp()) + 1)}, 401),
        (grafana_headers(secret="another secret"), 401),
        (grafana_headers(NOW - DAY), 403),
        (grafana_headers(NOW + DAY), 403),
    ],
)
async def test_grafana_when_signature_or_time_do_not_fit_then_it_is_refused(
    changes: dict[str, str], status: int
) -> None:
    gateway = gateway_of()
    answer = await posted(gateway, "grafana", GRAFANA, {**grafana_headers(), **changes})
    assert answer.status_code == status
    assert taken(gateway) == 0


async def test_grafana_when_the_body_was_changed_then_it_is_refused() -> None:
    gateway = gateway_of()
    answer = await posted(gateway, "grafana", GRAFANA + b" ", grafana_headers())
    assert answer.status_code == 401


async def test_grafana_when_it_sends_no_time_then_the_body_alone_is_signed() -> None:
    hooks = {"grafana": {"secrets": list(SECRETS), "timestamp_header": ""}}
    gateway = gateway_of({"webhooks": hooks})
    headers = {
        "Content-Type": "application/json",
        "X-Grafana-Alerting-Signature": signature(GRAFANA),
    }
    assert (await posted(gateway, "grafana", GRAFANA, headers)).status_code == 202


async def test_grafana_when_key_and_token_are_configured_then_both_must_be_shown() -> None:
    hooks = {"grafana": {"secrets": list(SECRETS), "tokens": [BEARER]}}
    gateway = gateway_of({"webhooks": hooks})
    both = grafana_headers() | bearer()
    assert (await posted(gateway, "grafana", GRAFANA, grafana_headers())).status_code == 401
    assert (await posted(gateway, "grafana", GRAFANA, bearer())).status_code == 401
    assert (await posted(gateway, "grafana", GRAFANA, both)).status_code == 202


# PagerDuty.


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"v1={signature(PAGERDUTY)}", 202),
        (f"v1={signature(PAGERDUTY, SECRETS[1])}", 202),
        (f"v1={'0' * 64},v1={signature(PAGERDUTY, SECRETS[1])}", 202),
        (f"v2=abc, v1={signature(PAGERDUTY)}", 202),
        (f"v1={signature(PAGERDUTY, 'another secret')}", 401),
        (f"v0={signature(PAGERDUTY)}", 401),
        (signature(PAGERDUTY), 401),
        ("v1=", 401),
        ("", 401),
        (None, 401),
    ],
)
async def test_pagerduty_when_signatures_are_shown_then_one_must_fit(
    header: str | None, status: int
) -> None:
    gateway = gateway_of()
    headers = {"Content-Type": "application/json"}
    if header is not None:
        headers["X-PagerDuty-Signature"] = header
    assert (await posted(gateway, "pagerduty", PAGERDUTY, headers)).status_code == status
    assert taken(gateway) == (status == 202)


async def test_pagerduty_when_an_event_is_a_day_old_then_it_is_refused() -> None:
    gateway = gateway_of()
    body = written(sent.pagerduty(occurred_at="2026-02-28T03:15:00Z"))
    answer = await posted(gateway, "pagerduty", body, signed_headers("pagerduty", body))
    assert answer.status_code == 403
    assert taken(gateway) == 0


# Amazon SNS.


async def sns_posted(gateway: FakeGateway, message: dict[str, Any]) -> httpx.Response:
    return await posted(gateway, "cloudwatch", written(message), signed_headers("cloudwatch", b""))


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", ["an alarm", None])
async def test_sns_when_amazon_signed_then_the_alarm_is_taken(
    version: str, subject: str | None
) -> None:
    gateway = gateway_of()
    message = sent.sns(SignatureVersion=version)
    if subject is None:
        del message["Subject"]
    answer = await sns_posted(gateway, gateway.amazon.signed(message))
    assert answer.status_code == 202
    assert taken(gateway) == 1


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Message": written(sent.cloudwatch("OK")).decode()}, 401),
        ({"Subject": "another"}, 401),
        ({"MessageId": "another"}, 401),
        ({"Timestamp": "2026-03-01T03:15:01.000Z"}, 401),
        ({"Timestamp": "2026-02-28T03:15:00.000Z"}, 403),
        ({"Timestamp": "2026-03-02T03:15:00.000Z"}, 403),
        ({"TopicArn": f"{TOPIC}-of-others"}, 403),
        ({"SignatureVersion": "3"}, 401),
        ({"SignatureVersion": "1"}, 401),
        ({"Signature": ""}, 401),
        ({"Signature": "no base64!"}, 401),
        ({"Signature": "AAAA"}, 401),
    ],
)
async def test_sns_when_anything_signed_was_changed_then_it_is_refused(
    changes: dict[str, str], status: int
) -> None:
    gateway = gateway_of()
    answer = await sns_posted(gateway, {**gateway.amazon.signed(sent.sns()), **changes})
    assert answer.status_code == status
    assert taken(gateway) == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-central-1.amazonaws.com/a.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.example/a.pem",
        "https://sns.eu-central-1.amazonaws.com@evil.example/a.pem",
        "https://evil.example/sns.eu-central-1.amazonaws.com/a.pem",
        "https://sns.eu-central-1.amazonaws.com:8443/a.pem",
        "https://user@sns.eu-central-1.amazonaws.com/a.pem",
        "https://bucket.s3.amazonaws.com/a.pem",
        "https://amazonaws.com/a.pem",
        "https://sns.eu-central-1.amazonaws.com/a.txt",
        "https://[::1/a.pem",
        "//sns.eu-central-1.amazonaws.com/a.pem",
        "file:///etc/a.pem",
        "",
    ],
)
async def test_sns_when_the_certificate_lies_elsewhere_then_nobody_goes_there(url: str) -> None:
    gateway = gateway_of()
    message = gateway.amazon.signed(sent.sns(SigningCertURL=url))
    assert (await sns_posted(gateway, message)).status_code == 401
    assert gateway.amazon.visited == []


@pytest.mark.parametrize(
    "amazon",
    [
        FakeAmazon(name="sns.amazonaws.com.evil.example"),
        FakeAmazon(name="evil.example"),
        FakeAmazon(since=NOW - timedelta(days=60)),
        FakeAmazon(since=NOW + timedelta(days=1)),
    ],
    ids=["another name", "no Amazon", "expired", "not yet valid"],
)
async def test_sns_when_the_certificate_is_not_good_then_it_is_refused(amazon: FakeAmazon) -> None:
    gateway = gateway_of(amazon=amazon)
    assert (await sns_posted(gateway, amazon.signed(sent.sns()))).status_code == 401
    assert taken(gateway) == 0


async def test_sns_when_the_certificate_cannot_be_fetched_then_amazon_is_to_repeat() -> None:
    gateway = gateway_of()
    message = gateway.amazon.signed(sent.sns())
    gateway.amazon.away = True
    answer = await sns_posted(gateway, message)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    gateway.amazon.away = False
    assert (await sns_posted(gateway, message)).status_code == 202


async def test_sns_when_messages_come_then_the_certificate_is_fetched_once() -> None:
    gateway = gateway_of()
    async with gateway.asked() as client:
        for number in range(3):
            body = written(gateway.amazon.signed(sent.sns(MessageId=f"id-{number}")))
            headers = signed_headers("cloudwatch", body)
            answer = await client.post("/webhooks/cloudwatch", content=body, headers=headers)
            assert answer.status_code == 202
    assert len(gateway.amazon.visited) == 1


async def test_sns_when_a_subscription_asks_then_it_is_confirmed_at_amazon() -> None:
    gateway = gateway_of()
    message = gateway.amazon.signed(sent.sns("SubscriptionConfirmation"))
    answer = await sns_posted(gateway, message)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 0)
    assert gateway.amazon.visited[-1] == message["SubscribeURL"]
    assert taken(gateway) == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/?Action=ConfirmSubscription",
        "http://169.254.169.254/latest/meta-data/",
        f"https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe&TopicArn={TOPIC}",
        "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=another",
    ],
)
async def test_sns_when_a_subscription_names_another_place_then_nobody_goes_there(
    url: str,
) -> None:
    gateway = gateway_of()
    message = gateway.amazon.signed(sent.sns("SubscriptionConfirmation", SubscribeURL=url))
    assert (await sns_posted(gateway, message)).status_code == 401
    assert url not in gateway.amazon.visited


async def test_sns_when_a_subscription_is_not_signed_then_it_is_not_confirmed() -> None:
    gateway = gateway_of()
    message = sent.sns("SubscriptionConfirmation", Signature="AAAA")
    assert (await sns_posted(gateway, message)).status_code == 401
    assert message["SubscribeURL"] not in gateway.amazon.visited


async def test_sns_when_a_subscription_ends_then_it_is_told_and_not_renewed() -> None:
    gateway = gateway_of()
    message = gateway.amazon.signed(sent.sns("UnsubscribeConfirmation"))
    answer = await sns_posted(gateway, message)
    assert (answer.status_code, answer.json()["note"]) == (202, "the subscription has ended")
    assert message["SubscribeURL"] not in gateway.amazon.visited


@pytest.mark.parametrize("inner", ["Hello", "[1]", '{"AlarmName": "a"}', "{" * 5000])
async def test_sns_when_the_message_is_no_alarm_then_it_is_refused(inner: str) -> None:
    gateway = gateway_of()
    answer = await sns_posted(gateway, gateway.amazon.signed(sent.sns(message=inner)))
    assert answer.status_code == 422


async def test_sns_when_delivery_is_raw_then_the_cure_is_told() -> None:
    gateway = gateway_of()
    headers = {**signed_headers("cloudwatch", b""), "x-amz-sns-rawdelivery": "true"}
    answer = await posted(gateway, "cloudwatch", written(sent.cloudwatch()), headers)
    assert answer.status_code == 422
    assert "raw message delivery" in answer.json()["cure"]
