"""Who may let a rollback act, by the real Temporal CLI's signal as well as by our own update."""

import asyncio
import json
import time
from typing import Any, Literal

import pytest

from failback.approvals.links import LinkSigner
from failback.errors import ApprovalRefusedError
from failback.gateway.signed_links import SignedLinks
from failback.lab.binaries import temporal_program
from failback.models.audit import EntryKind
from failback.models.common import Level
from failback.models.responses import AUTOMATION, Escalation
from failback.models.rollback import Decision, Phase, RecordedDecision, RollbackStatus
from failback.temporal import ids
from failback.temporal.rollbacks import Rollbacks

from support.fake_estate import FakeEstate, MakeEstate

pytestmark = pytest.mark.servers

PEOPLE = {
    "ada": ["lead"],
    "bob": ["operations"],
    "cleo": ["operations", "lead"],
    "dan": ["operations"],
}
Way = Literal["signal", "update"]
BOTH = pytest.mark.parametrize("way", ["signal", "update"])


def policy(**level_2: Any) -> dict[str, Any]:
    return {"people": PEOPLE, "levels": {2: level_2}}


async def waiting(fakes: FakeEstate, requested_by: str = "zoe") -> RollbackStatus:
    await fakes.rollbacks.start(2, "wrong totals", requested_by)
    return await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)


async def signal(fakes: FakeEstate, name: str, **payload: Any) -> None:
    """Signal the newest rollback as a person does at a terminal."""
    process = await asyncio.create_subprocess_exec(
        temporal_program(),
        *("workflow", "signal", "--address", fakes.estate.temporal.address),
        *("--workflow-id", ids.rollback_workflow(fakes.estate.estate), "--name", name),
        *("--input", json.dumps(payload)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0


async def decide(fakes: FakeEstate, way: Way, verb: str, who: str, role: str, **facts: Any) -> str:
    """Why a decision does not count; empty where it does."""
    status = await fakes.rollbacks.status(None)
    if way == "update":
        decision = Decision(who=who, role=role, **facts)
        try:
            await fakes.rollbacks.decide(status.rollback_id, verb, decision)
        except ApprovalRefusedError as refused:
            return refused.cause
        return ""
    await signal(fakes, verb, who=who, role=role, **facts)
    known = len(status.decisions)
    heard = await fakes.until(lambda status: len(status.decisions) > known)
    return heard.decisions[known].why_not


@BOTH
async def test_quorum_when_a_role_is_short_or_somebody_approves_twice_then_it_waits(
    make_estate: MakeEstate, way: Way
) -> None:
    fakes = await make_estate(approvals=policy(quorum_by_role={"lead": 1, "operations": 1}))
    started = await waiting(fakes)
    assert started.approvals_needed == 2
    assert "1 as lead; 1 as operations" in started.approvals_missing
    assert not await decide(fakes, way, "approve", "cleo", "operations")
    assert "counts once" in await decide(fakes, way, "approve", "cleo", "lead")
    assert not await decide(fakes, way, "approve", "dan", "operations")
    still = await fakes.rollbacks.status(None)
    assert (still.phase, still.approvals_missing) == (Phase.WAITING_FOR_APPROVAL, "1 as lead")
    assert not await decide(fakes, way, "approve", "ada", "lead")
    result = await fakes.rollbacks.result(started.rollback_id)
    assert result.success, result.error


@BOTH
async def test_four_eyes_when_the_requester_approves_then_it_does_not_count(
    make_estate: MakeEstate, way: Way
) -> None:
    fakes = await make_estate(approvals=policy(quorum=1))
    started = await waiting(fakes, "bob")
    assert "cannot approve it alone" in await decide(fakes, way, "approve", "bob", "operations")
    assert (await fakes.rollbacks.status(None)).approvals_given == 0
    assert not await decide(fakes, way, "approve", "dan", "operations")
    assert (await fakes.rollbacks.result(started.rollback_id)).success
    deadline = time.monotonic() + 20
    while len(entries := [one for one in fakes.audit.entries if one.kind == "approval"]) < (
        2 if way == "signal" else 1
    ):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert entries[-1].who == "dan"
    assert entries[-1].kind is EntryKind.APPROVAL
    assert entries[-1].body["plan_hash"] == started.plan_hash


@BOTH
async def test_plan_hash_when_it_is_of_another_plan_then_says_which_one_waits(
    make_estate: MakeEstate, way: Way
) -> None:
    approvals = {**policy(quorum=1), "require_plan_hash": True}
    fakes = await make_estate(approvals=approvals)
    started = await waiting(fakes)
    assert len(started.plan_hash) == 64
    assert started.plan_hash in await decide(fakes, way, "approve", "ada", "lead")
    other = await decide(fakes, way, "approve", "ada", "lead", plan_hash="0" * 64)
    assert started.plan_hash in other
    assert (await fakes.rollbacks.status(None)).phase is Phase.WAITING_FOR_APPROVAL
    assert not await decide(fakes, way, "approve", "ada", "lead", plan_hash=started.plan_hash[:12])
    assert (await fakes.rollbacks.result(started.rollback_id)).plan_hash == started.plan_hash


async def test_plan_when_it_changes_then_approvals_are_void_and_people_are_asked_again(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(approvals=policy(quorum=2))
    started = await waiting(fakes)
    await decide(fakes, "signal", "approve", "ada", "lead")
    await signal(fakes, "replan", reason="it is worse than that", evidence="e2")
    changed = await fakes.until(lambda status: status.plan_hash != started.plan_hash)
    assert (changed.approvals_given, changed.reason) == (0, "it is worse than that")
    assert "void" in changed.decisions[0].why_not
    for who, role in (("ada", "lead"), ("bob", "operations")):
        assert not await decide(fakes, "signal", "approve", who, role, plan_hash=changed.plan_hash)
    assert (await fakes.rollbacks.result(started.rollback_id)).success


@pytest.mark.parametrize("outcome", ["reject", "proceed"])
async def test_expiry_when_nobody_approves_then_ends_as_configured(
    make_estate: MakeEstate, outcome: str
) -> None:
    fakes = await make_estate(approvals=policy(quorum=1, expires_seconds=0.3, on_expiry=outcome))
    fakes.engine.hang("drain")
    started = await fakes.rollbacks.start(2, "wrong totals", "zoe")
    if outcome == "proceed":
        await fakes.until(lambda status: status.step == "catch_up")
        with pytest.raises(ApprovalRefusedError, match="too late: the approval expired"):
            await fakes.rollbacks.decide(
                started.rollback_id, "approve", Decision(who="ada", role="lead")
            )
        why = await decide(fakes, "signal", "approve", "ada", "lead")
        assert "too late: the approval expired" in why
    fakes.engine.release("drain")
    result = await fakes.rollbacks.result(started.rollback_id)
    assert result.success is (outcome == "proceed")
    if outcome == "reject":
        assert "nobody approved within 0.3 s" in (result.error or "")
        assert fakes.effects() == []


@BOTH
async def test_level_2_when_a_person_escalates_it_then_acts_at_once_as_level_1(
    make_estate: MakeEstate, way: Way
) -> None:
    fakes = await make_estate(approvals=policy(quorum=2))
    started = await waiting(fakes, "bob")
    assert "Nobody known" in await decide(fakes, way, "escalate", "mallory", "lead")
    assert not await decide(fakes, way, "escalate", "bob", "operations")
    result = await fakes.rollbacks.result(started.rollback_id)
    assert result.success, result.error
    assert result.escalated
    assert [child.level for child in result.children] == [Level.TRAFFIC]
    assert result.data_loss.tail == "empty"


async def test_level_2_when_escalated_while_it_catches_up_then_waits_no_longer(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(approvals=policy(quorum=0))
    fakes.engine.hang("drain")
    started = await fakes.rollbacks.start(2, "wrong totals", "bob")
    await fakes.until(lambda status: status.step == "catch_up")
    await fakes.rollbacks.decide(started.rollback_id, "escalate", Decision(who="ada", role="lead"))
    fakes.engine.release("drain")
    result = await fakes.rollbacks.result(started.rollback_id)
    assert result.success, result.error
    assert [step.name for step in result.steps][:2] == ["catch_up", "traffic_rollback"]
    assert "cut short" in result.steps[0].detail


async def test_escalation_by_nobody_when_level_1_needs_people_then_does_not_count(
    make_estate: MakeEstate,
) -> None:
    approvals = {"people": PEOPLE, "levels": {1: {"quorum": 1}, 2: {"quorum": 1}}}
    fakes = await make_estate(approvals=approvals)
    await waiting(fakes)
    handle = fakes.client.get_workflow_handle(ids.rollback_workflow(fakes.estate.estate))
    await handle.signal("escalate", Escalation(who=AUTOMATION, evidence="e1"))
    status = await fakes.until(lambda status: bool(status.decisions))
    assert "Level 1 needs 1 approvals" in status.decisions[0].why_not
    assert status.phase is Phase.WAITING_FOR_APPROVAL


async def test_link_when_followed_twice_then_the_workflow_refuses_the_second_time(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(approvals=policy(quorum=2))
    started = await waiting(fakes)
    signer = LinkSigner("k" * 32, 600)

    async def desk() -> Rollbacks:
        return fakes.rollbacks

    links = SignedLinks(fakes.estate.estate, signer, desk)

    def token(who: str, role: str, **changes: Any) -> str:
        facts = {
            "estate": fakes.estate.estate,
            "rollback_id": started.rollback_id,
            "plan_hash": started.plan_hash,
            "now": started.started_at,
        }
        return signer.token(who=who, role=role, **{**facts, **changes})

    mine = token("ada", "lead")
    view = await links.look(mine)
    assert (view.who, view.approvals_needed, view.plan_hash) == ("ada", 2, started.plan_hash)
    recorded: RecordedDecision = await links.decide(mine, "approve", "by the link")
    assert (recorded.counted, recorded.via) == (True, "link")
    with pytest.raises(ApprovalRefusedError, match=r"used already|counts once"):
        await links.decide(mine, "approve", "again")
    with pytest.raises(ApprovalRefusedError, match="used already"):
        await links.decide(mine, "reject", "after all not")
    with pytest.raises(ApprovalRefusedError, match="plan has changed"):
        await links.look(token("bob", "operations", plan_hash="0" * 64))
    with pytest.raises(ApprovalRefusedError, match="the plan that waits"):
        await links.decide(token("bob", "operations", plan_hash="0" * 64), "approve", "")
    with pytest.raises(ApprovalRefusedError, match="another estate"):
        await links.look(token("bob", "operations", estate="other"))
    await links.decide(token("bob", "operations"), "approve", "")
    assert (await fakes.rollbacks.result(started.rollback_id)).success
    with pytest.raises(ApprovalRefusedError, match="waits for no approval"):
        await links.look(token("cleo", "lead"))
