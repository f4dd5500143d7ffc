"""The gateway on a real Temporal: storms at two gateways at once, and a Temporal that goes away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from failback.config import Estate
from failback.gateway.api.bodies import Readiness
from failback.gateway.serve import compose_gateway
from failback.lab.processes import free_port
from failback.lab.temporal import TemporalServer
from failback.models.alerts import Alert
from failback.models.audit import EntryKind
from failback.models.responses import ResponseStatus
from failback.providers.audit import FakeAuditLog
from failback.temporal import ids
from failback.temporal.client import connect

from support import webhook_bodies as sent
from support.fake_estate import FakeEstate, MakeEstate, estate_of
from support.gateway import GATEWAY, TOKENS, bearer, written
from support.responses import response_until

pytestmark = pytest.mark.servers

POSTS = 1000
AUTOMATIC: dict[str, Any] = {"mode": "automatic", "evaluate_seconds": 0.2}


def gateway_app(estate: Estate, audit: FakeAuditLog) -> Starlette:
    async def look() -> Readiness:
        raise AssertionError("nobody asks for it here")

    return compose_gateway(estate, audit, look)


@contextlib.asynccontextmanager
async def two_gateways(
    estate: Estate, audit: FakeAuditLog
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Two gateways that know nothing of each other."""
    async with contextlib.AsyncExitStack() as opened:
        clients = [
            await opened.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(gateway_app(estate, audit)),
                    base_url="https://gateway.test",
                )
            )
            for _ in range(2)
        ]
        yield clients[0], clients[1]


async def storm(fakes: FakeEstate, bodies: list[bytes]) -> list[int]:
    """Post every body at once, by turns at one gateway and the other; their statuses."""
    async with two_gateways(fakes.estate, fakes.audit) as clients:
        answers = await asyncio.gather(
            *(
                clients[number % 2].post("/webhooks/alertmanager", content=body, headers=bearer())
                for number, body in enumerate(bodies)
            )
        )
    return [answer.status_code for answer in answers]


async def runs_of(fakes: FakeEstate) -> int:
    """How many runs of AlertResponse the estate has had, once Temporal lists them."""
    wanted = f'WorkflowId = "{ids.alert_response_workflow(fakes.estate.estate)}"'
    deadline = time.monotonic() + 10
    while (found := (await fakes.client.count_workflows(wanted)).count) == 0:
        assert time.monotonic() < deadline, "Temporal lists no run"
        await asyncio.sleep(0.05)
    return found


async def recorded(fakes: FakeEstate, count: int) -> set[str]:
    """The keys of alerts in the audit log, once there are so many."""
    deadline = time.monotonic() + 30
    while True:
        entries = await fakes.audit.read((EntryKind.ALERT,), limit=5000)
        if len(entries) >= count:
            return {str(entry.body.get("fingerprint")) for entry in entries}
        assert time.monotonic() < deadline, f"{len(entries)} of {count} are recorded"
        await asyncio.sleep(0.05)


async def until(fakes: FakeEstate, wanted: Any) -> ResponseStatus:
    return await response_until(fakes.client, fakes.estate.estate, wanted)


async def test_storm_when_one_alert_is_posted_1000_times_then_one_response_knows_it_once(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(gateway=GATEWAY, decision=AUTOMATIC)
    fakes.metrics.values["error_rate"] = 0.2
    statuses = await storm(fakes, [written(sent.alertmanager())] * POSTS)
    assert statuses == [202] * POSTS
    status = await until(fakes, lambda status: status.handling is not None)
    assert status.received == 1
    # Those that were posted at once were handed over together.
    assert status.repeats < POSTS / 10
    assert await runs_of(fakes) == 1
    assert status.handling is not None
    assert (await fakes.rollbacks.result(status.handling.rollback_id)).success
    assert len(await fakes.rollbacks.list()) == 1
    assert await recorded(fakes, 1) == {"fp00000000000000"}


async def test_storm_when_1000_alerts_are_posted_then_one_rollback_has_all_of_them(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(gateway=GATEWAY, decision=AUTOMATIC)
    fakes.metrics.values["error_rate"] = 0.2
    bodies = [written(sent.alertmanager(prefix=f"{number:04x}")) for number in range(POSTS)]
    assert await storm(fakes, bodies) == [202] * POSTS
    wanted = {f"{number:04x}{0:014x}" for number in range(POSTS)}
    assert await recorded(fakes, POSTS) == wanted
    status = await until(fakes, lambda status: status.received == POSTS)
    assert await runs_of(fakes) == 1
    assert len(await fakes.rollbacks.list()) == 1
    assert status.repeats == 0


async def test_complaints_when_enough_are_reported_then_each_makes_the_response_look_again(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(gateway=GATEWAY, decision={"mode": "observe"})
    headers = {"Authorization": f"Bearer {TOKENS['operator']}"}
    async with two_gateways(fakes.estate, fakes.audit) as clients:
        for number in range(6):
            answer = await clients[number % 2].post(
                "/api/events",
                json={"type": "customer_complaint", "detail": "checkout fails"},
                headers={**headers, "Idempotency-Key": f"ticket-{number // 2}"},
            )
            assert answer.status_code == 202
    status = await until(fakes, lambda status: status.received == 3 and status.decided)
    assert status.firing == 0
    assert len(await fakes.audit.read((EntryKind.EVENT,))) == 3


async def test_temporal_when_it_goes_away_then_senders_repeat_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    server = TemporalServer(tmp_path / "data", free_port(), free_port(), tmp_path / "log")
    estate = estate_of("gateway-away", server.address, gateway={**GATEWAY, "handover_seconds": 2})
    bodies = [written(sent.alertmanager(prefix=f"{number:02x}")) for number in range(20)]

    async def post_all(client: httpx.AsyncClient) -> list[int]:
        answers = await asyncio.gather(
            *(
                client.post("/webhooks/alertmanager", content=body, headers=bearer())
                for body in bodies
            )
        )
        for answer in answers:
            if answer.status_code == 503:
                assert int(answer.headers["retry-after"]) > 0
        return [answer.status_code for answer in answers]

    async def until_ready(client: httpx.AsyncClient, status: int) -> None:
        deadline = time.monotonic() + 20
        while (await client.get("/readyz")).status_code != status:
            assert time.monotonic() < deadline, f"/readyz never answers {status}"
            await asyncio.sleep(0.1)

    async with two_gateways(estate, FakeAuditLog()) as (client, _):
        # A gateway starts without Temporal, and says so.
        assert await post_all(client) == [503] * 20
        await until_ready(client, 503)
        server.start()
        try:
            await until_ready(client, 200)
            assert await post_all(client) == [202] * 20
            server.stop()
            await until_ready(client, 503)
            assert await post_all(client) == [503] * 20
            server.start()
            await until_ready(client, 200)
            assert await post_all(client) == [202] * 20
            assert await signalled(estate) == {f"{number:02x}{0:014x}" for number in range(20)}
        finally:
            server.stop()


async def signalled(estate: Estate) -> set[str]:
    """The fingerprints in the signals that Temporal kept; no worker has to run for that."""
    client = await connect(estate)
    handle = client.get_workflow_handle(ids.alert_response_workflow(estate.estate))
    found: set[str] = set()
    async for event in handle.fetch_history_events():
        signal = event.workflow_execution_signaled_event_attributes
        if signal.signal_name == "alerts_received":
            (received,) = await client.data_converter.decode(signal.input.payloads)
            found |= {Alert.model_validate(one).fingerprint for one in received["alerts"]}
    return found
