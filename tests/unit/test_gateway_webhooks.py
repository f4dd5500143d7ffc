"""What a request is answered, and that nothing is taken unless all of it is."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from failback.errors import UnreachableError
from failback.gateway.intake import FakeIntake
from failback.gateway.limits import SENDERS, RateLimit
from failback.gateway.refusals import RefusedError
from failback.models.alerts import Alert
from failback.sections.gateway import LimitsConfig

from support import webhook_bodies as sent
from support.gateway import BEARER, FakeGateway, bearer, gateway_of, signed_headers, written

PATH = "/webhooks/alertmanager"


def kept(gateway: FakeGateway) -> dict[str, Alert]:
    assert isinstance(gateway.intake, FakeIntake)
    return gateway.intake.alerts


async def posted(
    gateway: FakeGateway, body: Any, headers: dict[str, str] | None = None
) -> httpx.Response:
    async with gateway.asked() as client:
        return await client.post(PATH, content=body, headers=headers or bearer())


async def test_alerts_when_temporal_accepts_then_the_answer_counts_them() -> None:
    gateway = gateway_of({"limits": {"body_bytes": 10_000_000}})
    answer = await posted(gateway, written(sent.alertmanager(10_000, truncated=3)))
    assert answer.status_code == 202
    told = answer.json()
    assert (told["accepted"], told["truncated"]) == (10_000, 3)
    assert len(kept(gateway)) == 10_000


@pytest.mark.parametrize("sender", ["alertmanager", "grafana", "pagerduty", "cloudwatch", "none"])
async def test_sender_when_it_is_not_configured_then_its_path_is_not_there(sender: str) -> None:
    gateway = gateway_of({"webhooks": {"datadog": {"tokens": [BEARER]}}})
    async with gateway.asked() as client:
        answer = await client.post(f"/webhooks/{sender}", content=b"{}", headers=bearer())
    assert answer.status_code == 404


async def test_path_when_it_is_asked_by_another_method_then_the_right_one_is_named() -> None:
    gateway = gateway_of()
    async with gateway.asked() as client:
        answer = await client.get(PATH)
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]


DEEP = b'{"a":' * 40 + b"1" + b"}" * 40


UNUSABLE = {
    "empty": (b"", 400),
    "blank": (b" \n", 400),
    "cut off": (b"{", 400),
    "UTF-16": (b"\xff\xfe{\x00}\x00", 400),
    "Latin-1": (b'{"a": "\xe4"}', 400),
    "NaN": (b'{"a": NaN}', 400),
    "infinity": (b'{"a": Infinity}', 400),
    "half a pair": (b'{"a": "\\ud800"}', 400),
    "endless number": (b"1" * 5000, 400),
    "deep": (DEEP, 400),
    "far too deep": (b"[" * 100_000 + b"]" * 100_000, 400),
    "null": (b"null", 422),
    "a list": (b"[]", 422),
    "a text": (b'"alerts"', 422),
    "an empty object": (b"{}", 422),
    "Grafana's": (written(sent.grafana()), 422),
    "PagerDuty's": (written(sent.pagerduty()), 422),
    "long": (written({**sent.alertmanager(), "x": "a" * 1_048_576}), 413),
}


@pytest.mark.parametrize(("body", "status"), UNUSABLE.values(), ids=UNUSABLE)
async def test_body_when_it_cannot_be_used_then_nothing_of_it_is_taken(
    body: bytes, status: int
) -> None:
    gateway = gateway_of()
    answer = await posted(gateway, body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["detail"]
    assert told["cure"]
    assert told["request_id"] == answer.headers["x-request-id"]
    assert kept(gateway) == {}


async def test_body_when_it_is_100_mb_then_it_is_given_up_at_the_limit() -> None:
    gateway = gateway_of()
    given = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(100):
            given += 1
            yield b" " * 1_000_000

    app = gateway.app()
    stream = parts()

    async def receive() -> dict[str, Any]:
        try:
            return {"type": "http.request", "body": await anext(stream), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}

    answers: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        answers.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in bearer().items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "server": ("gateway.test", 443),
        "scheme": "https",
        "http_version": "1.1",
        "root_path": "",
    }
    await app(scope, receive, send)
    assert answers[0]["status"] == 413
    assert given == 2


async def test_body_when_its_length_is_told_then_it_is_refused_before_it_is_read() -> None:
    gateway = gateway_of()
    headers = {**bearer(), "Content-Length": str(100_000_000)}
    assert (await posted(gateway, b"{}", headers)).status_code == 413


async def test_body_when_it_does_not_arrive_then_it_is_given_up() -> None:
    gateway = gateway_of({"limits": {"body_seconds": 0.05}})
    forever = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"{"
        await forever.wait()

    answer = await posted(gateway, parts())
    assert answer.status_code == 408


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, 202),
        ({"Content-Type": "application/vnd.example+json"}, 202),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "identity"}, 202),
    ],
)
async def test_media_type_when_it_is_not_json_then_it_is_refused(
    headers: dict[str, str], status: int
) -> None:
    answer = await posted(gateway_of(), written(sent.alertmanager()), {**bearer(), **headers})
    assert answer.status_code == status


async def test_alerts_when_one_body_holds_too_many_then_none_is_taken() -> None:
    gateway = gateway_of({"limits": {"alerts": 10}})
    assert (await posted(gateway, written(sent.alertmanager(11)))).status_code == 413
    assert kept(gateway) == {}
    assert (await posted(gateway, written(sent.alertmanager(10)))).status_code == 202


async def test_temporal_when_it_is_away_then_the_sender_is_to_repeat_and_nothing_is_lost() -> None:
    intake = FakeIntake()
    gateway = gateway_of(intake=intake)
    intake.error = UnreachableError("Temporal does not answer.", "Start it.")
    body = written(sent.alertmanager(3))
    answer = await posted(gateway, body)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    intake.error = None
    assert (await posted(gateway, body)).status_code == 202
    assert len(intake.alerts) == 3


async def test_gateway_when_it_has_a_bug_then_the_answer_has_an_id_and_no_detail() -> None:
    intake = FakeIntake()
    intake.error = KeyError("a-planted-secret")
    gateway = gateway_of(intake=intake)
    answer = await posted(gateway, written(sent.alertmanager()))
    assert answer.status_code == 500
    assert "planted" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_sender_when_it_floods_then_it_is_told_when_to_come_back() -> None:
    gateway = gateway_of({"limits": {"burst": 2, "per_second": 0.1}})
    body = written(sent.alertmanager())
    async with gateway.asked() as client:
        answers = [await client.post(PATH, content=body, headers=bearer()) for _ in range(3)]
        other = written(sent.datadog())
        another = await client.post("/webhooks/datadog", content=other, headers=bearer())
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 10
    assert another.status_code == 202


def test_bucket_when_time_passes_then_it_fills_up_to_the_burst() -> None:
    now = 0.0
    rate = RateLimit(LimitsConfig(burst=2, per_second=1.0), lambda: now)
    rate.take("a")
    rate.take("a")
    with pytest.raises(RefusedError):
        rate.take("a")
    now = 1.0
    rate.take("a")
    now = 1000.0
    rate.take("a")
    rate.take("a")
    with pytest.raises(RefusedError):
        rate.take("a")


def test_buckets_when_there_are_very_many_then_the_oldest_are_forgotten() -> None:
    rate = RateLimit(LimitsConfig(burst=1, per_second=0.001), lambda: 0.0)
    for number in range(SENDERS + 1):
        rate.take(str(number))
    assert len(rate._buckets) == SENDERS
    rate.take("0")
    with pytest.raises(RefusedError):
        rate.take(str(SENDERS))


@pytest.mark.parametrize(
    ("told", "kept_id"), [("abc-1.2_3", True), ("a b", False), ("x" * 65, False)]
)
async def test_request_id_when_a_sender_gives_one_then_it_is_kept_if_it_is_harmless(
    told: str, kept_id: bool
) -> None:
    async with gateway_of().asked() as client:
        answer = await client.get("/healthz", headers={"X-Request-Id": told})
    assert (answer.headers["x-request-id"] == told) is kept_id


async def test_readiness_when_temporal_is_away_then_it_says_so_and_health_does_not() -> None:
    gateway = gateway_of()
    gateway.temporal.wrong = "Temporal at 10.0.0.1:7233 does not answer"
    async with gateway.asked() as client:
        ready, healthy = await client.get("/readyz"), await client.get("/healthz")
        gateway.temporal.wrong = ""
        again = await client.get("/readyz")
    assert (ready.status_code, healthy.status_code, again.status_code) == (503, 200, 200)
    assert "10.0.0.1" not in ready.text


async def test_metrics_when_requests_were_answered_then_they_are_counted_by_route() -> None:
    gateway = gateway_of()
    async with gateway.asked() as client:
        body = written(sent.alertmanager(2, truncated=5))
        await client.post(PATH, content=body, headers=bearer())
        await client.get("/nowhere/a-planted-secret")
        text = (await client.get("/metrics")).text
    assert 'failback_gateway_alerts_total{source="alertmanager",status="firing"} 2.0' in text
    assert 'failback_gateway_truncated_alerts_total{source="alertmanager"} 5.0' in text
    assert 'route="/webhooks/{sender}",status="202"} 1.0' in text
    assert "planted" not in text


async def test_log_when_requests_are_answered_then_it_holds_no_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    gateway = gateway_of()
    async with gateway.asked() as client:
        body = written(sent.pagerduty())
        await client.post(
            "/webhooks/pagerduty", content=body, headers=signed_headers("pagerduty", body)
        )
        await client.post(PATH, content=written(sent.alertmanager()), headers=bearer())
        await client.get("/approve/a-planted-token")
    facts = [record.facts for record in caplog.records if hasattr(record, "facts")]
    ours = json.dumps(facts) + " ".join(
        r.getMessage() for r in caplog.records if r.name.startswith("failback")
    )
    assert len(facts) == 3
    assert BEARER not in ours
    assert "planted" not in ours
