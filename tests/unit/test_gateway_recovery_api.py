"""Levels 3 and 4 by the operator API: starts, raises, recoveries, and answers at gates."""

from typing import Any

import httpx
import pytest

from failback.errors import UnreachableError
from failback.models.recovery import GateVerb
from failback.models.rollback import Phase

from support import sample_results as sample
from support.fake_recoveries import FakeRecoveries, at_a_gate
from support.fake_rollbacks import FakeRollbacks
from support.gateway import HOLDERS, TOKENS, FakeGateway, gateway_of

ID = sample.level_2().rollback_id
ROLLBACK = f"/api/rollbacks/{ID}"
GATE = f"{ROLLBACK}/recovery/gates/2-restore"
_GO_ON = {"verb": "go_on"}


def gateway(phase: Phase = Phase.RUNNING, **parts: Any) -> FakeGateway:
    made = {"recoveries": FakeRecoveries(at_a_gate()), **parts}
    return gateway_of(rollbacks=FakeRollbacks(phases=(phase,)), **made)


async def asked(gate: FakeGateway, role: str, path: str, body: Any = None) -> httpx.Response:
    method = "GET" if body is None else "POST"
    headers = {"Authorization": f"Bearer {TOKENS[role]}"}
    async with gate.asked() as client:
        return await client.request(method, path, headers=headers, json=body)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
async def test_start_when_a_level_is_asked_for_then_that_one_starts(level: int) -> None:
    gate = gateway()
    body = {"level": level, "reason": "the source is gone"}
    assert (await asked(gate, "operator", "/api/rollbacks", body)).status_code == 201
    assert gate.rollbacks.started == [(level, "the source is gone", HOLDERS["operator"])]


async def test_raise_when_it_is_sent_then_it_is_the_holders_own() -> None:
    gate = gateway()
    body = {"level": 4, "comment": " the schema is gone ", "role": "engineering_lead"}
    answer = await asked(gate, "approver", f"{ROLLBACK}/raise", body)
    assert answer.status_code == 200
    assert answer.json()["decision"]["counted"]
    ((rollback_id, verb, decision),) = gate.rollbacks.said
    assert (rollback_id, verb) == (ID, "raise_level 4")
    assert (decision.who, decision.role) == (HOLDERS["approver"], "engineering_lead")
    assert decision.comment == "the schema is gone"


@pytest.mark.parametrize(
    "body",
    [{}, {"level": 2}, {"level": 5}, {"level": "three"}, {"level": 3, "who": "bob"}, []],
)
async def test_raise_when_the_body_does_not_fit_then_nothing_is_raised(body: Any) -> None:
    gate = gateway()
    assert (await asked(gate, "operator", f"{ROLLBACK}/raise", body)).status_code == 422
    assert gate.rollbacks.said == []


async def test_raise_when_it_is_too_late_then_it_is_refused_with_why() -> None:
    gate = gateway(Phase.DONE)
    answer = await asked(gate, "operator", f"{ROLLBACK}/raise", {"level": 3})
    assert answer.status_code == 409
    assert "too late" in answer.json()["detail"]


async def test_recovery_then_it_is_told_with_every_gate_whether_or_not_its_id_is_named() -> None:
    gate = gateway()
    newest = await asked(gate, "viewer", "/api/recovery")
    named = await asked(gate, "viewer", f"{ROLLBACK}/recovery")
    assert newest.json() == named.json() == at_a_gate().model_dump(mode="json")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/recovery", None),
        (f"{ROLLBACK}/recovery", None),
        (GATE, {"verb": "go_on"}),
    ],
)
async def test_recovery_when_there_is_none_then_it_is_not_found(path: str, body: Any) -> None:
    gate = gateway(recoveries=FakeRecoveries())
    answer = await asked(gate, "approver", path, body)
    assert (answer.status_code, answer.json()["cure"]) == (404, "Start one.")


async def test_gates_then_only_those_that_wait_are_listed() -> None:
    (one,) = (await asked(gateway(), "viewer", "/api/gates")).json()["gates"]
    assert (one["rollback_id"], one["gate"]["gate"]) == (ID, "2-restore")
    none = gateway(recoveries=FakeRecoveries())
    assert (await asked(none, "viewer", "/api/gates")).json() == {"gates": []}


@pytest.mark.parametrize("verb", list(GateVerb))
async def test_gate_when_it_is_answered_then_in_the_name_of_the_tokens_holder(
    verb: GateVerb,
) -> None:
    gate = gateway()
    body = {"verb": verb.value, "reason": " seen ", "role": "engineering_lead"}
    answer = await asked(gate, "approver", GATE, body)
    assert answer.status_code == 200
    assert answer.json()["answer"]["who"] == HOLDERS["approver"]
    ((rollback_id, said),) = gate.recoveries.said
    assert (rollback_id, said.gate, said.verb) == (ID, "2-restore", verb)
    assert (said.who, said.role, said.reason) == ("alice", "engineering_lead", "seen")


async def test_gate_when_another_one_waits_then_cause_and_cure_are_told() -> None:
    gate = gateway()
    answer = await asked(gate, "approver", GATE.replace("2-restore", "1-activate"), _GO_ON)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert "1-activate does not wait" in answer.json()["detail"]
    assert answer.json()["cure"] == "Look at the status."
    assert gate.recoveries.said == []


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_gate_when_no_approver_answers_then_it_is_refused(role: str) -> None:
    gate = gateway()
    assert (await asked(gate, role, GATE, _GO_ON)).status_code == 403
    assert gate.recoveries.said == []


@pytest.mark.parametrize(
    "body",
    [{}, {"verb": "go-on"}, {**_GO_ON, "who": "bob"}, {**_GO_ON, "reason": "x" * 1001}],
)
async def test_gate_when_the_body_does_not_fit_then_nothing_is_answered(body: Any) -> None:
    gate = gateway()
    assert (await asked(gate, "approver", GATE, body)).status_code == 422
    assert gate.recoveries.said == []


async def test_recovery_when_no_worker_answers_then_it_may_be_tried_again() -> None:
    away = UnreachableError("The recovery does not answer.", "Start a worker.")
    gate = gateway(recoveries=FakeRecoveries(at_a_gate(), error=away))
    for path in ("/api/recovery", "/api/gates"):
        answer = await asked(gate, "viewer", path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
