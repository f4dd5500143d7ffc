"""What of people's decisions counts: quorum, roles, four eyes, plan, links."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from failback.approvals.links import LinkSigner, address
from failback.approvals.plans import plan_hash
from failback.config import Estate
from failback.errors import ApprovalRefusedError
from failback.models.common import Level
from failback.models.rollback import ApprovalPolicy, Decision, RollbackPlan
from workflows.approval import Approvals

from support.fake_estate import estate_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PEOPLE = {
    "ada": ("lead", "operations"),
    "bob": ("operations",),
    "cleo": ("operations",),
    "dan": ("intern",),
}
HASH = "ab" * 32


def approvals(requested_by: str = "zoe", **changes: Any) -> Approvals:
    policy = ApprovalPolicy(**{"quorum": 2, "people": PEOPLE, **changes})
    return Approvals(policy, requested_by, HASH, ApprovalPolicy(people=PEOPLE))


def decide(gate: Approvals, who: str, role: str, verb: str = "approve", **facts: Any) -> str:
    decision = Decision(who=who, role=role, **facts)
    return gate.record(verb, decision, NOW, gate.objection(verb, decision)).why_not


def test_quorum_when_one_person_approves_twice_then_counts_once() -> None:
    gate = approvals()
    assert not decide(gate, "ada", "lead")
    assert "counts once" in decide(gate, "ada", "operations")
    assert (gate.given, gate.granted, gate.missing) == (1, False, "1 of anybody known")
    assert not decide(gate, "bob", "operations")
    assert (gate.granted, gate.missing) == (True, "")


def test_quorum_by_role_when_one_role_is_short_then_not_granted() -> None:
    gate = approvals(quorum=3, quorum_by_role={"lead": 1, "operations": 2})
    for who in ("bob", "cleo"):
        assert not decide(gate, who, "operations")
    assert (gate.granted, gate.missing) == (False, "1 as lead")
    assert not decide(gate, "ada", "lead")
    assert gate.granted


def test_quorum_by_role_when_others_approve_too_then_they_count_for_the_whole_only() -> None:
    gate = approvals(quorum=2, quorum_by_role={"lead": 1})
    for who in ("bob", "cleo"):
        decide(gate, who, "operations")
    assert (gate.given, gate.granted) == (2, False)


def test_approval_when_the_requester_gives_it_then_four_eyes_are_missing() -> None:
    gate = approvals(requested_by="bob")
    assert "cannot approve it alone" in decide(gate, "bob", "operations")
    assert gate.given == 0
    assert not decide(gate, "bob", "operations", "reject")


@pytest.mark.parametrize("given", ["", HASH, HASH[:12], HASH.upper()])
def test_approval_when_it_names_the_waiting_plan_or_none_then_counts(given: str) -> None:
    assert not decide(approvals(), "ada", "lead", plan_hash=given)


@pytest.mark.parametrize("given", ["cd" * 32, HASH[:11], HASH[1:], "x"])
def test_approval_when_it_names_another_plan_then_says_which_one_waits(given: str) -> None:
    told = decide(approvals(), "ada", "lead", plan_hash=given)
    assert HASH in told
    assert not decide(approvals(), "ada", "lead", "reject", plan_hash=given)


def test_approval_when_the_plan_must_be_named_then_one_without_does_not_count() -> None:
    gate = approvals(require_plan_hash=True)
    assert HASH in decide(gate, "ada", "lead")
    assert not decide(gate, "ada", "lead", plan_hash=HASH)


def test_approvals_when_the_plan_changes_then_void_and_asked_again() -> None:
    gate = approvals(quorum=1)
    decide(gate, "ada", "lead", plan_hash=HASH)
    assert gate.granted
    assert gate.replan("ef" * 32, ApprovalPolicy(quorum=1, people=PEOPLE), "it changed") == 1
    assert not gate.granted
    assert gate.decisions[0].why_not == "void: it changed"
    assert "ef" * 32 in decide(gate, "ada", "lead", plan_hash=HASH)
    assert not decide(gate, "ada", "lead", plan_hash="ef" * 32)
    assert gate.granted


def test_link_when_used_twice_then_the_second_use_does_not_count() -> None:
    gate = approvals()
    assert not decide(gate, "ada", "lead", nonce="n1", via="link")
    assert "used already" in decide(gate, "ada", "lead", "reject", nonce="n1", via="link")
    assert gate.rejection is None


def test_escalation_when_level_1_asks_nobody_then_one_known_person_is_enough() -> None:
    gate = approvals(requested_by="bob")
    assert "Nobody known" in decide(gate, "mallory", "lead", "escalate")
    assert gate.escalated is None
    assert not decide(gate, "bob", "operations", "escalate")
    assert gate.escalated is not None


def test_escalation_when_level_1_has_a_quorum_then_it_needs_as_many() -> None:
    level_1 = ApprovalPolicy(quorum=2, people=PEOPLE, roles=("operations",))
    gate = Approvals(ApprovalPolicy(quorum=2, people=PEOPLE), "bob", HASH, level_1)
    assert "escalate it alone" in decide(gate, "bob", "operations", "escalate")
    assert "does not approve level 1" in decide(gate, "ada", "lead", "escalate")
    assert not decide(gate, "cleo", "operations", "escalate")
    assert gate.escalated is None
    assert not decide(gate, "ada", "operations", "escalate")
    assert gate.escalated is not None


# The hash.


def plan_of(**changes: Any) -> RollbackPlan:
    estate: Estate = estate_of("shop", "127.0.0.1:1", **changes)
    return estate.plan(2)


def test_plan_hash_when_anything_differs_then_another() -> None:
    known = plan_hash(plan_of(), Level.DATA_SYNC, "why", "evidence")
    assert known == plan_hash(plan_of(), Level.DATA_SYNC, "why", "evidence")
    others = {
        plan_hash(plan_of(budgets={"fence": 1.0}), Level.DATA_SYNC, "why", "evidence"),
        plan_hash(plan_of(), Level.TRAFFIC, "why", "evidence"),
        plan_hash(plan_of(), Level.DATA_SYNC, "other", "evidence"),
        plan_hash(plan_of(), Level.DATA_SYNC, "why", ""),
    }
    assert len(others | {known}) == 5


def test_plan_hash_when_a_later_version_adds_a_field_then_the_same() -> None:
    class LaterPlan(RollbackPlan):
        added: str = "as before"

    plan = plan_of()
    later = LaterPlan.model_validate(plan.model_dump())
    assert plan_hash(later, Level.DATA_SYNC, "why") == plan_hash(plan, Level.DATA_SYNC, "why")


# Links.

SIGNER = LinkSigner("k" * 32, 600)


def token_of(signer: LinkSigner = SIGNER, **changes: Any) -> str:
    facts: dict[str, Any] = {
        "estate": "shop",
        "rollback_id": "rb2",
        "plan_hash": HASH,
        "who": "ada",
        "role": "lead",
        "now": NOW,
    }
    return signer.token(**{**facts, **changes})


def test_link_when_followed_in_time_then_says_what_was_signed() -> None:
    token = token_of()
    assert address("https://fb.example/", token).startswith("https://fb.example/approve/ey")
    claims = SIGNER.claims(token, NOW + timedelta(seconds=599))
    assert (claims.who, claims.role, claims.plan_hash) == ("ada", "lead", HASH)
    decision = claims.decision("go")
    assert (decision.nonce, decision.via, decision.plan_hash) == (claims.nonce, "link", HASH)
    assert SIGNER.claims(token_of(), NOW).nonce != claims.nonce


def test_link_when_followed_too_late_then_refused_with_its_time() -> None:
    with pytest.raises(ApprovalRefusedError, match="good until 2026-03-01 12:10:00"):
        SIGNER.claims(token_of(), NOW + timedelta(seconds=600))


@pytest.mark.parametrize("spoil", range(6))
def test_link_when_it_was_tampered_with_then_refused(spoil: int) -> None:
    token = token_of()
    body, _, signature = token.partition(".")
    other_body = token_of(who="mallory").partition(".")[0]
    spoiled = [
        f"{other_body}.{signature}",
        f"{body}.",
        body,
        f"{body}.{signature[:-2]}AA",
        f"{body}*.{signature}",
        "é.é",
    ][spoil]
    with pytest.raises(ApprovalRefusedError):
        SIGNER.claims(spoiled, NOW)
    with pytest.raises(ApprovalRefusedError, match="not one of ours"):
        LinkSigner("j" * 32, 600).claims(token, NOW)
