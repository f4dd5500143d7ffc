import json
from typing import Any

import pytest

from failback.cli.readiness.findings import Answer, CheckReport, Part
from failback.cli.readiness.people import examine_people
from failback.cli.readiness.traffic import examine_balancer, examine_service
from failback.config import Estate
from failback.errors import UnreachableError
from failback.models.traffic import BackendRoute, ServerWeight
from failback.providers.load_balancer.fake import FakeLoadBalancer

BACKENDS = ("database", "auth")
ROUTES = tuple(BackendRoute(backend=backend) for backend in BACKENDS)


def estate(**changes: Any) -> Estate:
    document: dict[str, Any] = {
        "estate": "shop",
        "source": {"dsn": "postgresql://unused"},
        "target": {"dsn": "postgresql://unused"},
        "traffic": {
            "balancer": {"runtime_api": "tcp://127.0.0.1:1", "doors_map": "/doors.map"},
            "routes": {backend: [{"backend": backend}] for backend in BACKENDS},
        },
    }
    return Estate.model_validate({**document, **changes})


def test_report_answer_then_the_worst_finding_decides() -> None:
    part = Part("source")
    part.say("a", True)
    assert CheckReport(estate="x", findings=tuple(part.findings)).answer is Answer.YES
    part.say("b", None)
    assert CheckReport(estate="x", findings=tuple(part.findings)).answer is Answer.UNKNOWN
    part.say("c", False)
    assert CheckReport(estate="x", findings=tuple(part.findings)).answer is Answer.NO


def test_finding_with_a_yes_then_no_cure_is_shown() -> None:
    part = Part("source")
    part.say("a", True, "fine", "do something")
    part.say("b", False, "not fine", "do something")
    assert [finding.cure for finding in part.findings] == ["", "do something"]


@pytest.mark.parametrize(
    ("people", "roles", "quorum", "answers"),
    [
        ({}, [], 1, ["unknown"]),
        ({"mira": ["lead"]}, ["lead"], 2, ["no"]),
        ({"mira": ["lead"], "jonas": ["intern"]}, ["lead"], 2, ["no"]),
        ({"mira": ["lead"], "jonas": ["ops"]}, ["lead", "ops"], 2, ["yes"]),
        ({"mira": ["lead"], "jonas": ["ops"]}, [], 1, ["yes"]),
        ({"mira": []}, [], 1, ["no"]),
        ({"mira": ["lead"]}, [], 1, ["yes", "unknown"]),
    ],
)
def test_people_then_the_quorum_is_reachable_or_not(
    people: dict[str, list[str]], roles: list[str], quorum: int, answers: list[str]
) -> None:
    levels = {1: {"quorum": 0}, 2: {"quorum": quorum, "roles": roles}}
    findings = examine_people(estate(approvals={"people": people, "levels": levels}))
    assert [one.answer.value for one in findings if "level 2" in one.question] == answers
    assert [one.answer.value for one in findings if "level 1" in one.question] == ["yes"]


async def test_balancer_with_every_backend_then_all_is_yes() -> None:
    findings = await examine_balancer(estate(), FakeLoadBalancer(ROUTES))
    assert {finding.answer for finding in findings} == {Answer.YES}
    assert len(findings) == len(BACKENDS) + 1


async def test_balancer_without_a_backend_then_it_is_named() -> None:
    findings = await examine_balancer(estate(), FakeLoadBalancer(ROUTES[:1]))
    refused = [finding for finding in findings if finding.answer is Answer.NO]
    assert len(refused) == 1
    assert "auth" in refused[0].question
    assert refused[0].detail


async def test_balancer_with_a_server_down_then_it_is_unknown() -> None:
    class HalfDown(FakeLoadBalancer):
        async def read_weights(self, route: BackendRoute) -> tuple[ServerWeight, ServerWeight]:
            source, target = await super().read_weights(route)
            return source.model_copy(update={"up": False}), target

    findings = await examine_balancer(estate(), HalfDown(ROUTES))
    unknown = [finding for finding in findings if finding.answer is Answer.UNKNOWN]
    assert len(unknown) == len(BACKENDS)
    assert "down: source" in unknown[0].detail


async def test_balancer_without_a_map_then_holding_is_unknown_with_its_cure() -> None:
    traffic = {
        "balancer": {"runtime_api": "tcp://127.0.0.1:1"},
        "routes": {backend: [{"backend": backend}] for backend in BACKENDS},
    }
    findings = await examine_balancer(estate(traffic=traffic), FakeLoadBalancer(ROUTES))
    held = next(one for one in findings if one.question == "requests can be held")
    assert held.answer is Answer.UNKNOWN
    assert "doors_map" in held.cure


async def test_service_without_checks_then_it_is_unknown() -> None:
    findings = await examine_service(estate(), None)
    assert [finding.answer for finding in findings] == [Answer.UNKNOWN]


def test_refuse_with_an_error_then_cause_and_cure_are_kept() -> None:
    part = Part("temporal")
    part.refuse("Temporal answers", UnreachableError("It is away.", "Start it."))
    shown = json.loads(part.findings[0].model_dump_json())
    assert shown == {
        "part": "temporal",
        "question": "Temporal answers",
        "answer": "no",
        "detail": "It is away.",
        "cure": "Start it.",
    }
