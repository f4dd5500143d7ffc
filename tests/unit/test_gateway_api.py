"""The operator API: roles, answers, and a description that fits its routes."""

import re
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route
from temporalio.service import RPCError, RPCStatusCode

from failback.errors import UnreachableError
from failback.gateway.intake import FakeIntake
from failback.models.alerts import Alert
from failback.models.audit import EntryKind, NewEntry
from failback.models.rollback import Phase

from support import sample_results as sample
from support.fake_recoveries import FakeRecoveries, at_a_gate
from support.fake_rollbacks import FakeRollbacks
from support.gateway import HOLDERS, TOKENS, FakeGateway, gateway_of
from support.webhook_bodies import NOW

ID = sample.level_2().rollback_id
PLAN = "a" * 64
OPERATIONS = {
    "list_rollbacks": ("GET", "/api/rollbacks", None),
    "start_rollback": ("POST", "/api/rollbacks", {"level": 2, "reason": "503 since 02:30"}),
    "get_rollback": ("GET", f"/api/rollbacks/{ID}", None),
    "list_pending_approvals": ("GET", "/api/approvals", None),
    "approve_rollback": ("POST", f"/api/rollbacks/{ID}/approve", {"plan_hash": PLAN}),
    "reject_rollback": ("POST", f"/api/rollbacks/{ID}/reject", {"comment": "no"}),
    "accept_tail": ("POST", f"/api/rollbacks/{ID}/accept-tail", {}),
    "raise_rollback": ("POST", f"/api/rollbacks/{ID}/raise", {"level": 3}),
    "cancel_rollback": ("POST", f"/api/rollbacks/{ID}/cancel", {}),
    "get_newest_recovery": ("GET", "/api/recovery", None),
    "get_recovery": ("GET", f"/api/rollbacks/{ID}/recovery", None),
    "list_gates": ("GET", "/api/gates", None),
    "answer_gate": (
        "POST",
        f"/api/rollbacks/{ID}/recovery/gates/2-restore",
        {"verb": "go_on", "reason": "seen"},
    ),
    "list_alerts": ("GET", "/api/alerts", None),
    "list_events": ("GET", "/api/events", None),
    "report_event": ("POST", "/api/events", {"type": "customer_complaint"}),
    "get_readiness": ("GET", "/api/readiness", None),
}
MAY = {
    "viewer": {
        "list_rollbacks",
        "get_rollback",
        "list_pending_approvals",
        "get_newest_recovery",
        "get_recovery",
        "list_gates",
        "list_alerts",
        "list_events",
        "get_readiness",
    },
    "operator": {"start_rollback", "raise_rollback", "cancel_rollback", "report_event"},
    "approver": {
        "approve_rollback",
        "reject_rollback",
        "accept_tail",
        "raise_rollback",
        "cancel_rollback",
        "answer_gate",
    },
}


def gateway(*phases: Phase, **parts: Any) -> FakeGateway:
    rollbacks = FakeRollbacks(phases=phases or (Phase.WAITING_FOR_APPROVAL,))
    recoveries = FakeRecoveries(at_a_gate())
    return gateway_of(**{"rollbacks": rollbacks, "recoveries": recoveries, **parts})


async def asked(
    gate: FakeGateway,
    operation: str,
    role: str = "",
    body: Any = None,
    token: str = "",
    **options: Any,
) -> httpx.Response:
    method, path, example = OPERATIONS[operation]
    document = example if body is None else body
    headers = {"Idempotency-Key": "ticket-1", **options.pop("headers", {})}
    if role or token:
        headers["Authorization"] = f"Bearer {token or TOKENS[role]}"
    if document is not None:
        options["json"] = document
    async with gate.asked() as client:
        return await client.request(method, path, headers=headers, **options)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("token", ["", "wrong", TOKENS["viewer"] + "x"])
async def test_operation_when_no_known_token_is_shown_then_it_is_refused(
    operation: str, token: str
) -> None:
    gate = gateway()
    answer = await asked(gate, operation, token=token)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert gate.rollbacks.said == []
    assert gate.rollbacks.started == []
    assert gate.recoveries.said == []


@pytest.mark.parametrize("role", TOKENS)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_operation_when_a_role_asks_then_only_what_it_may_is_done(
    operation: str, role: str
) -> None:
    gate = gateway()
    answer = await asked(gate, operation, role)
    allowed = operation in MAY["viewer"] | MAY[role]
    assert (answer.status_code < 300) is allowed, answer.text
    if not allowed:
        assert answer.status_code == 403
        assert gate.rollbacks.said == []
        assert gate.rollbacks.started == []
        assert gate.recoveries.said == []


async def test_description_then_it_has_every_route_and_no_other() -> None:
    gate = gateway()
    async with gate.asked() as client:
        document = (await client.get("/api/openapi.json")).json()
    described = {
        (method.upper(), path): one["operationId"]
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    }
    routed = {
        (method, route.path): route.name
        for route in gate.app().routes
        if isinstance(route, Route) and route.path.startswith("/api/")
        for method in (route.methods or set()) - {"HEAD"}
    }
    del routed["GET", "/api/openapi.json"]
    assert described == routed
    assert set(described.values()) == set(OPERATIONS)


async def test_description_then_its_references_lead_somewhere_and_its_schemas_are_schemas() -> None:
    async with gateway().asked() as client:
        answer = await client.get("/api/openapi.json")
    document = answer.json()
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    named = {part.split('"')[0] for part in answer.text.split("#/components/schemas/")[1:]}
    assert named <= set(schemas)
    for path, methods in document["paths"].items():
        for one in methods.values():
            in_path = {p["name"] for p in one["parameters"] if p["in"] == "path"}
            assert in_path == set(re.findall(r"{(\w+)}", path))


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_answer_then_it_is_what_the_description_says(operation: str) -> None:
    gate = gateway()
    async with gate.asked() as client:
        document = (await client.get("/api/openapi.json")).json()
    role = next(role for role, may in MAY.items() if operation in may)
    answer = await asked(gate, operation, role)
    (described,) = (
        one
        for methods in document["paths"].values()
        for one in methods.values()
        if one["operationId"] == operation
    )
    content = described["responses"][str(answer.status_code)]["content"]
    schema = {**content["application/json"]["schema"], "components": document["components"]}
    Draft202012Validator(schema).validate(answer.json())


async def test_start_when_an_operator_asks_then_the_holder_is_who_asked() -> None:
    gate = gateway()
    answer = await asked(gate, "start_rollback", "operator")
    assert answer.status_code == 201
    assert gate.rollbacks.started == [(2, "503 since 02:30", HOLDERS["operator"])]
    again = await asked(gate, "start_rollback", "operator")
    assert again.status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {"level": 0, "reason": "r"},
        {"level": 5, "reason": "r"},
        {"level": 1, "reason": " "},
        {"level": 1},
        {"level": 1, "reason": "r", "requested_by": "somebody else"},
        [],
    ],
)
async def test_start_when_the_body_does_not_fit_then_nothing_starts(body: Any) -> None:
    gate = gateway()
    answer = await asked(gate, "start_rollback", "operator", body)
    assert answer.status_code == 422
    assert gate.rollbacks.started == []


async def test_decision_when_it_is_sent_then_it_is_the_holders_own() -> None:
    gate = gateway()
    body = {"plan_hash": PLAN, "comment": " go "}
    answer = await asked(gate, "approve_rollback", "approver", body)
    assert answer.status_code == 200
    ((rollback_id, verb, decision),) = gate.rollbacks.said
    assert (rollback_id, verb) == (ID, "approve")
    assert (decision.who, decision.role, decision.comment) == ("alice", "engineering_lead", "go")
    assert decision.plan_hash == PLAN


async def test_decision_when_the_holder_has_several_roles_then_one_must_be_named() -> None:
    people = {"people": {"alice": ["operations", "engineering_lead"]}}
    gate = gateway()
    gate.estate = gate.estate.model_copy(
        update={"approvals": gate.estate.approvals.model_validate(people)}
    )
    answer = await asked(gate, "reject_rollback", "approver", {})
    assert answer.status_code == 422
    assert "operations" in answer.json()["cure"]
    assert (await asked(gate, "reject_rollback", "approver", {"role": "operations"})).is_success


@pytest.mark.parametrize(
    "body",
    [{}, {"plan_hash": ""}, {"plan_hash": "abc"}, {"plan_hash": PLAN, "who": "bob"}],
)
async def test_approval_when_it_names_no_plan_or_another_person_then_it_is_refused(
    body: Any,
) -> None:
    gate = gateway()
    assert (await asked(gate, "approve_rollback", "approver", body)).status_code == 422
    assert gate.rollbacks.said == []


async def test_approval_when_the_workflow_refuses_then_cause_and_cure_are_told() -> None:
    tokens = [{"name": "nobody", "role": "approver", "token": "a-token-of-nobody"}]
    gate = gateway_of({"tokens": tokens}, rollbacks=FakeRollbacks())
    answer = await asked(gate, "approve_rollback", token="a-token-of-nobody")
    assert answer.status_code == 409
    assert "approvals.people" in answer.json()["cure"]


async def test_rollback_when_it_does_not_exist_then_it_is_not_found() -> None:
    gate = gateway()
    async with gate.asked() as client:
        headers = {"Authorization": f"Bearer {TOKENS['viewer']}"}
        answer = await client.get("/api/rollbacks/rb2-other", headers=headers)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("Temporal does not answer.", "Start it."),
        RPCError("connection refused", RPCStatusCode.UNAVAILABLE, b""),
    ],
)
async def test_operation_when_temporal_is_away_then_it_may_be_tried_again(error: Any) -> None:
    gate = gateway(rollbacks=FakeRollbacks(error=error))
    answer = await asked(gate, "start_rollback", "operator")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_pending_then_only_rollbacks_that_wait_are_listed() -> None:
    gate = gateway(Phase.WAITING_FOR_APPROVAL, Phase.RUNNING, Phase.DONE)
    listed = (await asked(gate, "list_rollbacks", "viewer")).json()["rollbacks"]
    pending = (await asked(gate, "list_pending_approvals", "viewer")).json()["rollbacks"]
    assert len(listed) == 3
    assert [one["phase"] for one in pending] == ["waiting_for_approval"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=1000000", "limit=-1", "odd=1"])
async def test_list_when_a_parameter_is_wrong_then_the_known_ones_are_told(query: str) -> None:
    async with gateway().asked() as client:
        headers = {"Authorization": f"Bearer {TOKENS['viewer']}"}
        answer = await client.get(f"/api/rollbacks?{query}", headers=headers)
    assert answer.status_code == 422


async def test_readiness_when_many_ask_then_the_estate_is_looked_at_once() -> None:
    gate = gateway()
    async with gate.asked() as client:
        headers = {"Authorization": f"Bearer {TOKENS['viewer']}"}
        app_answers = [await client.get("/api/readiness", headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in app_answers] == [200, 200, 200]
    assert gate.looks == 1


# Alerts and events.


def told(gate: FakeGateway) -> list[Alert]:
    assert isinstance(gate.intake, FakeIntake)
    return list(gate.intake.alerts.values())


async def test_event_when_it_is_reported_then_it_stands_before_the_decision_is_asked_for() -> None:
    gate = gateway()
    body = {
        "type": "data_corruption",
        "occurred_at": NOW.isoformat(),
        "detail": "two invoices with one number",
        "reference": "T-77",
    }
    answer = await asked(gate, "report_event", "operator", body)
    assert answer.status_code == 202
    (entry,) = gate.audit.entries
    assert (entry.kind, entry.subject, entry.who) == (EntryKind.EVENT, "data_corruption", "olga")
    assert entry.at == NOW
    assert answer.json()["hash"] == entry.hash
    (alert,) = told(gate)
    assert (alert.name, alert.starts_at) == ("data_corruption", NOW)


async def test_event_when_it_is_sent_twice_then_it_counts_once() -> None:
    gate = gateway()
    first = await asked(gate, "report_event", "operator")
    again = await asked(gate, "report_event", "operator")
    assert first.json() == again.json()
    assert len(gate.audit.entries) == 1
    assert len(told(gate)) == 1
    assert gate.audit.entries[0].subject == "customer_complaints"


async def test_event_when_another_has_its_key_then_it_is_refused() -> None:
    gate = gateway()
    await asked(gate, "report_event", "operator")
    answer = await asked(gate, "report_event", "operator", {"type": "data_corruption"})
    assert answer.status_code == 409
    assert len(gate.audit.entries) == 1


@pytest.mark.parametrize("key", ["", " ", "x" * 201])
async def test_event_when_it_has_no_key_then_it_is_refused(key: str) -> None:
    gate = gateway()
    answer = await asked(gate, "report_event", "operator", headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert gate.audit.entries == []


@pytest.mark.parametrize(
    "body",
    [
        {"type": "weather"},
        {"type": "customer_complaint", "occurred_at": "2999-01-01T00:00:00Z"},
        {"type": "customer_complaint", "occurred_at": "2026-01-01T00:00:00"},
        {"type": "customer_complaint", "detail": "x" * 1001},
        {},
    ],
)
async def test_event_when_it_does_not_fit_then_nothing_is_kept(body: Any) -> None:
    gate = gateway()
    assert (await asked(gate, "report_event", "operator", body)).status_code == 422
    assert gate.audit.entries == []
    assert told(gate) == []


async def test_event_when_the_log_is_away_then_it_is_to_be_sent_again() -> None:
    gate = gateway()
    gate.audit.fail("append_all")
    assert (await asked(gate, "report_event", "operator")).status_code == 503
    assert told(gate) == []
    assert (await asked(gate, "report_event", "operator")).status_code == 202


async def test_event_when_temporal_is_away_then_it_is_kept_once_and_told_later() -> None:
    intake = FakeIntake()
    intake.error = UnreachableError("Temporal does not answer.", "Start it.")
    gate = gateway(intake=intake)
    assert (await asked(gate, "report_event", "operator")).status_code == 503
    intake.error = None
    assert (await asked(gate, "report_event", "operator")).status_code == 202
    assert len(gate.audit.entries) == 1
    assert len(intake.alerts) == 1


async def test_alerts_when_a_range_is_asked_for_then_it_is_read_from_the_log() -> None:
    gate = gateway()
    for hour in (1, 2, 3):
        entry = NewEntry(kind=EntryKind.ALERT, key=str(hour), at=NOW.replace(hour=hour))
        await gate.audit.append(entry)
    query = {"since": NOW.replace(hour=2).isoformat(), "limit": "10"}
    answer = await asked(gate, "list_alerts", "viewer", params=query)
    assert [entry["key"] for entry in answer.json()["entries"]] == ["2", "3"]
    wrong = await asked(gate, "list_alerts", "viewer", params={"since": "yesterday"})
    assert wrong.status_code == 422
