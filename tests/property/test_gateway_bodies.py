"""Bodies that nobody meant: no error of ours, and nothing is started by what is not an alert.

`HYPOTHESIS_PROFILE=long` tries some 20 000 of them over all senders.
"""

import asyncio
import copy
import json
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failback.gateway.intake import FakeIntake
from failback.gateway.senders import senders_of
from failback.models.alerts import Alert

from support import webhook_bodies as sent
from support.gateway import FakeGateway, gateway_of, signed_headers, written

SENDERS = ("alertmanager", "grafana", "pagerduty", "datadog", "cloudwatch", "generic")
EXAMPLES = 3400 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 60
REFUSED = {400, 401, 403, 413, 415, 422}

MEANT: dict[str, Any] = {
    "alertmanager": sent.alertmanager(2),
    "grafana": sent.grafana(),
    "pagerduty": sent.pagerduty(),
    "datadog": sent.datadog(),
    "cloudwatch": sent.cloudwatch(),
    "generic": {"incidents": [{"title": "a", "opened": 0, "labels": {"b": "c"}, "value": 1}]},
}

texts = st.text(st.characters(), max_size=20) | st.sampled_from(
    ["", "\x00", "4", "firing", "2026-03-01T03:15:00Z", "0001-01-01T00:00:00+23:59", "9" * 400]
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**40, -(10**40), 253402300800, -62135596801])
    | st.floats()
    | texts
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something could be changed."""
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def nearly(draw: st.DrawFn, sender: str) -> Any:
    """What a sender means, with some of it changed, taken away or added."""
    document = copy.deepcopy(
        MEANT[draw(st.sampled_from(SENDERS)) if draw(st.integers(0, 9)) == 0 else sender]
    )
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(document))
        if not found:
            break
        *way, last = draw(st.sampled_from(found))
        inside = document
        for key in way:
            inside = inside[key]
        if draw(st.booleans()):
            inside[last] = draw(values)
        elif isinstance(inside, dict):
            del inside[last]
    return document


def bodies(sender: str) -> st.SearchStrategy[bytes]:
    """Bytes of every kind: noise, JSON of any shape, and what is nearly right, cut or not."""
    as_json = (nearly(sender) | values).map(lambda document: json.dumps(document).encode())
    cut = st.tuples(as_json, st.integers(0, 60)).map(lambda pair: pair[0][: pair[1]])
    doubled = as_json.map(lambda body: body + body)
    # Three of five are nearly right: these get furthest.
    return st.one_of(as_json, as_json, as_json, cut | doubled, st.binary(max_size=80))


def posted_by(gateway: FakeGateway, sender: str, body: bytes) -> tuple[bytes, dict[str, str]]:
    """A body as its sender would post it; alarms of CloudWatch come inside a signed message."""
    if sender == "cloudwatch":
        message = body.decode("utf-8", "replace")
        body = written(gateway.amazon.signed(sent.sns(message=message)))
    return body, signed_headers(sender, body)


@pytest.mark.parametrize("sender", SENDERS)
def test_body_when_it_is_anything_then_it_is_taken_whole_or_refused_whole(sender: str) -> None:
    gateway = gateway_of({"limits": {"burst": 10**9}})
    intake = gateway.intake
    assert isinstance(intake, FakeIntake)
    transport = httpx.ASGITransport(gateway.app(), raise_app_exceptions=False)
    seen: set[int] = set()

    async def post(body: bytes) -> httpx.Response:
        content, headers = posted_by(gateway, sender, body)
        async with httpx.AsyncClient(transport=transport, base_url="https://g.test") as client:
            return await client.post(f"/webhooks/{sender}", content=content, headers=headers)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(body=bodies(sender))
    def every(body: bytes) -> None:
        intake.calls.clear()
        answer = runner.run(post(body))
        seen.add(answer.status_code)
        assert answer.status_code in REFUSED | {202}, answer.text
        taken = [alert for call in intake.calls for alert in call]
        assert len(taken) == (answer.json()["accepted"] if answer.status_code == 202 else 0)
        for alert in taken:
            # What is handed over must survive the way through Temporal, byte for byte.
            assert Alert.model_validate_json(alert.model_dump_json()) == alert
            assert len(alert.model_dump_json().encode("utf-8")) < 64 * 1024

    with asyncio.Runner() as runner:
        every()
        meant = written(MEANT[sender])
        assert runner.run(post(meant)).status_code == 202
    assert seen & REFUSED


@pytest.mark.parametrize("sender", SENDERS)
def test_body_when_nobody_signed_it_then_nothing_is_started(sender: str) -> None:
    gateway = gateway_of({"limits": {"burst": 10**9}})
    intake = gateway.intake
    assert isinstance(intake, FakeIntake)
    transport = httpx.ASGITransport(gateway.app(), raise_app_exceptions=False)

    async def post(body: bytes, headers: dict[str, str]) -> int:
        async with httpx.AsyncClient(transport=transport, base_url="https://g.test") as client:
            answer = await client.post(f"/webhooks/{sender}", content=body, headers=headers)
            return answer.status_code

    headers = st.dictionaries(
        st.sampled_from(
            [
                "Authorization",
                "X-PagerDuty-Signature",
                "X-Grafana-Alerting-Signature",
                "X-Grafana-Alerting-Timestamp",
            ]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80).map(str.strip),
    )

    @settings(
        max_examples=EXAMPLES // 4,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(body=bodies(sender), shown=headers)
    def every(body: bytes, shown: dict[str, str]) -> None:
        status = runner.run(post(body, {"Content-Type": "application/json", **shown}))
        assert status in REFUSED
        assert intake.calls == []

    with asyncio.Runner() as runner:
        every()


def test_senders_then_every_one_of_them_is_tried() -> None:
    gateway = gateway_of()
    assert gateway.estate.gateway is not None
    configured = senders_of(gateway.estate.gateway, gateway.amazon)
    assert {source.value for source in configured} == set(SENDERS)
