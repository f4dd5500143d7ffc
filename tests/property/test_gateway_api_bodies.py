"""Bodies and paths that nobody meant, sent to the operator API by people whose token is known.

Nothing is done by what does not fit the API's own description, and every answer fits it.
"""

import asyncio
import json
import os
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failback.models.recovery import GateVerb
from failback.models.rollback import Phase

from support import openapi
from support import sample_results as sample
from support.fake_recoveries import FakeRecoveries, at_a_gate
from support.fake_rollbacks import FakeRollbacks
from support.gateway import TOKENS, gateway_of

EXAMPLES = 2000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 60
ID = sample.level_2().rollback_id
ROLLBACK = f"/api/rollbacks/{ID}"
PLACES = {
    "/api/rollbacks": "operator",
    f"{ROLLBACK}/raise": "operator",
    f"{ROLLBACK}/approve": "approver",
    f"{ROLLBACK}/cancel": "approver",
    f"{ROLLBACK}/recovery/gates/2-restore": "approver",
}
ANSWERED = {200, 201, 202, 400, 404, 409, 413, 415, 422}

texts = st.text(st.characters(), max_size=20) | st.sampled_from(["", "\x00", "go_on", "a" * 64])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 6) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
nearly = st.fixed_dictionaries(
    {},
    optional={
        "level": st.integers(0, 5) | values,
        "reason": texts,
        "role": st.sampled_from(["engineering_lead", "king"]) | values,
        "comment": texts,
        "plan_hash": st.sampled_from(["a" * 64, "a" * 12]) | values,
        "verb": st.sampled_from([verb.value for verb in GateVerb]) | values,
        "who": st.just("alice"),
    },
)
bodies = st.one_of(
    nearly.map(lambda document: json.dumps(document).encode()),
    values.map(lambda document: json.dumps(document).encode()),
    st.text(max_size=40).map(lambda noise: noise.encode("utf-8", "replace")),
)


@pytest.mark.parametrize("place", PLACES)
def test_body_when_it_is_anything_then_only_what_fits_the_description_is_done(place: str) -> None:
    gate = gateway_of({"limits": {"burst": 10**9}})
    transport = httpx.ASGITransport(gate.app(), raise_app_exceptions=False)
    headers = {
        "Authorization": f"Bearer {TOKENS[PLACES[place]]}",
        "Content-Type": "application/json",
    }

    async def described() -> openapi.Description:
        async with httpx.AsyncClient(transport=transport, base_url="https://g.test") as client:
            return openapi.read((await client.get("/api/openapi.json")).json())

    async def post(body: bytes, watch: openapi.Watch) -> httpx.Response:
        watched = openapi.WatchedTransport(transport, watch)
        async with httpx.AsyncClient(transport=watched, base_url="https://g.test") as client:
            return await client.post(place, content=body, headers=headers)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(body=bodies)
    def every(body: bytes) -> None:
        gate.rollbacks = FakeRollbacks(phases=(Phase.RUNNING,))
        gate.recoveries = FakeRecoveries(at_a_gate())
        watch = openapi.Watch(description)
        answer = runner.run(post(body, watch))
        assert answer.status_code in ANSWERED, answer.text
        # What was taken must fit, too.
        broken = [one for one in watch.violations if answer.is_success or "request" not in one]
        assert broken == []
        done = [*gate.rollbacks.said, *gate.rollbacks.started, *gate.recoveries.said]
        assert len(done) == answer.is_success
        if answer.is_success:
            assert "who" not in json.loads(body)

    with asyncio.Runner() as runner:
        description = runner.run(described())
        every()


@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(gate_name=texts, named=st.just(ID) | texts, role=st.sampled_from(sorted(TOKENS)))
def test_gate_when_its_name_is_anything_then_none_but_the_one_that_waits_is_answered(
    gate_name: str, named: str, role: str
) -> None:
    gate = gateway_of(recoveries=FakeRecoveries(at_a_gate()))

    async def post(path: str) -> Any:
        async with gate.asked() as client:
            headers = {"Authorization": f"Bearer {TOKENS[role]}"}
            return await client.post(path, headers=headers, json={"verb": "go_on"})

    path = f"/api/rollbacks/{_quoted(named)}/recovery/gates/{_quoted(gate_name)}"
    answer = asyncio.run(post(path))
    assert answer.status_code in {307, 403, 404, 405, 409, 422}, answer.text
    assert gate.recoveries.said == []


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "replace"), safe="")
