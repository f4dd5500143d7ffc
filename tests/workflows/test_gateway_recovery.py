"""Level 4 by the operator API on a real Temporal; all that is said fits its own description."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from failback.gateway.api.bodies import Readiness
from failback.gateway.serve import compose_gateway
from failback.models.recovery import RecoveryService
from failback.models.rollback import Phase
from failback.temporal import ids

from support import openapi
from support.fake_estate import FakeEstate, MakeEstate

pytestmark = pytest.mark.servers

TOKENS = {"bob": "a-token-that-starts-things", "alice": "a-token-that-decides"}
GATEWAY: dict[str, Any] = {
    "tokens": [
        {"name": "bob", "role": "operator", "token": TOKENS["bob"]},
        {"name": "alice", "role": "approver", "token": TOKENS["alice"]},
    ]
}
RECOVERY = {
    "standby_dsn": "postgresql://127.0.0.1:1/unused",
    "stability_seconds": 0.05,
    "look_seconds": 0.01,
    "roles": ["engineering_lead"],
}
GATES = ["1-activate", "2-restore", "3-rebuild", "4-validate", "5-return_services"]


@dataclass(frozen=True)
class Clients:
    """A gateway as its clients ask it."""

    client: httpx.AsyncClient

    async def get(self, path: str, status: int = 200) -> Any:
        return await self._asked("GET", path, "alice", None, status)

    async def post(self, path: str, who: str, body: Any, status: int = 200) -> Any:
        return await self._asked("POST", path, who, body, status)

    async def _asked(self, method: str, path: str, who: str, body: Any, status: int) -> Any:
        headers = {"Authorization": f"Bearer {TOKENS[who]}"}
        answer = await self.client.request(method, path, headers=headers, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def waiting_gate(self) -> Any:
        """The gate that waits, once one does."""
        deadline = time.monotonic() + 20
        while not (found := (await self.get("/api/gates"))["gates"]):
            assert time.monotonic() < deadline, "no gate opened"
            await asyncio.sleep(0.02)
        (one,) = found
        return one


@contextlib.asynccontextmanager
async def gateway(fakes: FakeEstate) -> AsyncIterator[Clients]:
    """A gateway of the estate, held to the description that it gives of itself."""

    async def look() -> Readiness:
        raise AssertionError("nobody asks for it here")

    inner = httpx.ASGITransport(compose_gateway(fakes.estate, fakes.audit, look))
    async with httpx.AsyncClient(transport=inner, base_url="https://g.test") as plain:
        document = (await plain.get("/api/openapi.json")).json()
    with openapi.held(openapi.Watch(openapi.read(document))) as watch:
        transport = openapi.WatchedTransport(inner, watch)
        async with httpx.AsyncClient(transport=transport, base_url="https://g.test") as client:
            yield Clients(client)


async def test_level_4_when_led_by_the_api_then_raised_approved_answered_and_read(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(recovery=RECOVERY, gateway=GATEWAY)
    async with gateway(fakes) as api:
        assert (await api.get("/api/gates"))["gates"] == []
        await api.get("/api/recovery", 404)
        began = {"level": 2, "reason": "wrong totals"}
        rollback_id = (await api.post("/api/rollbacks", "bob", began, 201))["rollback_id"]
        rollback = f"/api/rollbacks/{rollback_id}"
        await api.get(f"{rollback}/recovery", 404)
        higher = {"level": 4, "role": "operations", "comment": "the source is gone"}
        unknown = await api.post(f"{rollback}/raise", "bob", {**higher, "role": "king"}, 409)
        assert "king" in unknown["detail"]
        raised = await api.post(f"{rollback}/raise", "bob", higher)
        assert (raised["decision"]["who"], raised["decision"]["role"]) == ("bob", "operations")

        waiting = await fakes.until(
            lambda now: now.level.value == 4 and now.phase is Phase.WAITING_FOR_APPROVAL
        )
        assert (waiting.rollback_id, waiting.reason) == (rollback_id, "the source is gone")
        too_late = await api.post(f"{rollback}/raise", "bob", {**higher, "level": 3}, 409)
        assert "level 4 already" in too_late["detail"]
        early = await api.post(
            f"{rollback}/recovery/gates/1-activate", "alice", {"verb": "go_on"}, 409
        )
        assert "No gate waits" in early["detail"]
        await api.post(f"{rollback}/approve", "alice", {"plan_hash": waiting.plan_hash})

        for name in GATES:
            one = await api.waiting_gate()
            assert (one["rollback_id"], one["gate"]["gate"]) == (rollback_id, name)
            assert (await api.get("/api/approvals"))["rollbacks"] == []
            gate = f"{rollback}/recovery/gates/{name}"
            refused = await api.post(gate, "alice", {"verb": "skip"}, 409)
            assert "needs a reason" in refused["detail"]
            assert refused["cure"]
            passed = await api.post(gate, "alice", {"verb": "go_on", "reason": "seen"})
            assert (passed["gate"], passed["answer"]["who"]) == (name, "alice")
        assert (await fakes.rollbacks.result(rollback_id)).success

        found = await api.get("/api/recovery")
        assert found == await api.get(f"{rollback}/recovery")
        assert [gate["gate"] for gate in found["gates"]] == GATES
        assert len(found["services"]) == len(RecoveryService)
        assert (await api.get("/api/gates"))["gates"] == []
        ended = await api.post(
            f"{rollback}/recovery/gates/{GATES[-1]}", "alice", {"verb": "repeat"}, 409
        )
        assert "has ended" in ended["detail"]
        after = await api.post(f"{rollback}/raise", "bob", higher, 409)
        assert "has ended" in after["detail"]


async def test_recovery_when_a_later_rollback_has_ended_then_it_is_still_found_and_read(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(recovery={**RECOVERY, "gates": "automatic"}, gateway=GATEWAY)
    async with gateway(fakes) as api:
        began = {"level": 4, "reason": "the source is gone"}
        started = await api.post("/api/rollbacks", "bob", began, 201)
        rollback = f"/api/rollbacks/{started['rollback_id']}"
        approval = {"plan_hash": started["plan_hash"]}
        await api.post(f"{rollback}/approve", "alice", approval)
        assert (await fakes.rollbacks.result(None)).success
        before = await api.get(f"{rollback}/recovery")

        later = await api.post("/api/rollbacks", "bob", {"level": 1, "reason": "errors"}, 201)
        await fakes.rollbacks.result(later["rollback_id"])
        await _listed(fakes, 2)

        assert await api.get(f"{rollback}/recovery") == before
        assert await api.get("/api/recovery") == before
        await api.get(f"/api/rollbacks/{later['rollback_id']}/recovery", 404)


async def _listed(fakes: FakeEstate, count: int) -> None:
    """Wait until Temporal lists so many of the estate's rollbacks as ended."""
    wanted = (
        f'WorkflowId = "{ids.rollback_workflow(fakes.estate.estate)}"'
        ' AND ExecutionStatus = "Completed"'
    )
    deadline = time.monotonic() + 10
    while (await fakes.client.count_workflows(wanted)).count < count:
        assert time.monotonic() < deadline, "Temporal does not list the rollbacks"
        await asyncio.sleep(0.05)
