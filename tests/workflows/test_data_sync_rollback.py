"""Level 2 on a real Temporal server, with fakes for everything else."""

import asyncio
import json
import time

import pytest

from failback.decision.matrix import DATA_CORRUPTION
from failback.errors import ApprovalRefusedError, FailbackError
from failback.lab.binaries import temporal_program
from failback.models.audit import EntryKind
from failback.models.common import Level, Outcome, Side
from failback.models.rollback import Decision, EmergencyAction, Phase

from support.fake_estate import FakeEstate, MakeEstate

pytestmark = pytest.mark.servers

ALICE = Decision(who="alice", role="engineering_lead", comment="go")


async def approved(fakes: FakeEstate, requested_by: str = "bob") -> str:
    """Start level 2, and let alice approve it."""
    started = await fakes.rollbacks.start(2, "wrong totals", requested_by)
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    await fakes.rollbacks.decide(started.rollback_id, "approve", ALICE)
    return started.rollback_id


async def test_level_2_when_approved_then_does_the_steps_in_the_right_order(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.engine.write(Side.TARGET, "a", "1")
    await approved(fakes)
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    assert [step.name for step in result.steps] == [
        "catch_up",
        "hold",
        "fence",
        "sync_back",
        "verify_integrity",
        "traffic_rollback",
        "resume",
    ]
    assert fakes.effects() == [
        "drain",
        "close_door",
        "raise_fence:target",
        "drain",
        "set_all_weights",
        "lift_fence:source",
        "open_door",
    ]
    assert result.children[0].level is Level.TRAFFIC
    assert result.children[0].success
    assert result.synced_records == 1
    assert result.data_loss.lost_rows == 0
    assert result.verification is not None
    assert result.verification.missing == 0
    assert result.write_gap_seconds is not None
    assert result.service_availability == 1.0
    assert fakes.engine.write(Side.SOURCE, "b", "2")


async def test_level_2_when_waiting_then_touches_nothing(make_estate: MakeEstate) -> None:
    fakes = await make_estate()
    started = await fakes.rollbacks.start(2, "wrong totals", "bob")
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    for decision, why in (
        (Decision(who="mallory", role="engineering_lead"), "Nobody known"),
        (Decision(who="alice", role="operations"), "does not hold the role"),
        (Decision(who="bob", role="intern"), "does not approve this level"),
        (Decision(who="bob", role="operations"), "cannot approve it alone"),
    ):
        with pytest.raises(ApprovalRefusedError, match=why):
            await fakes.rollbacks.decide(started.rollback_id, "approve", decision)
    assert fakes.effects() == []
    await fakes.rollbacks.decide(
        started.rollback_id, "reject", Decision(who="alice", role="engineering_lead")
    )
    result = await fakes.rollbacks.result(None)

    assert not result.success
    assert "rejected by alice" in (result.error or "")
    assert fakes.effects() == []
    assert (await fakes.rollbacks.status(None)).phase is Phase.REJECTED


async def test_level_2_when_nobody_approves_in_time_then_ends_without_acting(
    make_estate: MakeEstate,
) -> None:
    policy = {"people": {}, "levels": {2: {"quorum": 1, "expires_seconds": 0.2}}}
    fakes = await make_estate(approvals=policy)
    await fakes.rollbacks.start(2, "wrong totals", "bob")
    result = await fakes.rollbacks.result(None)

    assert not result.success
    assert "nobody approved" in (result.error or "")
    assert fakes.effects() == []


async def test_level_2_when_signalled_by_the_temporal_cli_then_goes_on(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    await fakes.rollbacks.start(2, "wrong totals", "bob")
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    for who in ("nobody", "alice"):
        signal = await asyncio.create_subprocess_exec(
            temporal_program(),
            *("workflow", "signal", "--address", fakes.estate.temporal.address),
            *("--workflow-id", f"rollback/{fakes.estate.estate}", "--name", "approve"),
            *("--input", json.dumps({"who": who, "role": "engineering_lead"})),
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await signal.wait() == 0
    result = await fakes.rollbacks.result(None)

    assert result.success
    assert [(entry.who, entry.counted) for entry in result.decisions] == [
        ("nobody", False),
        ("alice", True),
    ]
    assert "Nobody known" in result.decisions[0].why_not


async def test_level_2_when_the_source_goes_away_during_the_drain_then_drains_when_it_is_back(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(budgets={"open_source": 0.5})
    fakes.engine.write(Side.TARGET, "a", "1")
    fakes.engine.hang("raise_fence")
    await approved(fakes)
    await fakes.until(lambda status: status.step == "fence")
    fakes.engine.write(Side.TARGET, "b", "2")
    fakes.engine.cut(Side.SOURCE)
    fakes.engine.release("raise_fence")
    await fakes.until_phase(Phase.DRAINING_TAIL)
    fakes.engine.mend(Side.SOURCE)
    result = await fakes.rollbacks.result(None)

    assert not result.success
    assert result.emergency_action is EmergencyAction.IMMEDIATE_TRAFFIC_ROLLBACK_WITHOUT_SYNC
    assert result.data_loss.lost_rows == 0
    assert result.data_loss.tail == "empty"
    assert fakes.engine.database(Side.SOURCE).rows == {"a": "1", "b": "2"}
    assert fakes.engine.write(Side.SOURCE, "c", "3")


async def test_level_2_when_rows_differ_then_flips_at_once_and_reports_the_loss(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.engine.write(Side.TARGET, "a", "1")
    fakes.engine.corrupt(Side.TARGET, "silent", "x")
    await approved(fakes)
    result = await fakes.rollbacks.result(None)

    assert not result.success
    assert result.emergency_action is EmergencyAction.IMMEDIATE_TRAFFIC_ROLLBACK_WITHOUT_SYNC
    assert result.data_loss.lost_rows == 1
    verify = next(step for step in result.steps if step.name == "verify_integrity")
    assert verify.outcome is Outcome.FAILED
    # The decision counts it like a corruption that somebody else has reported.
    deadline = time.monotonic() + 20
    while not (events := await fakes.audit.read((EntryKind.EVENT,), subject=DATA_CORRUPTION)):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert events[0].body["rollback_id"] == result.rollback_id


async def test_level_2_when_cancelled_while_verifying_then_the_target_serves_as_before(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.engine.hang("verify")
    rollback_id = await approved(fakes)
    await fakes.until(lambda status: status.step == "verify_integrity")
    assert not fakes.engine.write(Side.TARGET, "a", "1")
    await fakes.rollbacks.cancel(rollback_id, Decision(who="bob", role="operations"))
    fakes.engine.release("verify")
    await fakes.until_phase(Phase.CANCELLED)

    assert fakes.engine.write(Side.TARGET, "a", "1")
    assert not fakes.engine.write(Side.SOURCE, "a", "1")
    assert not await fakes.balancer.closed_doors()


async def test_level_2_when_cancelled_while_waiting_then_ends_and_another_may_start(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    started = await fakes.rollbacks.start(2, "wrong totals", "bob")
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    await fakes.rollbacks.cancel(started.rollback_id, ALICE)
    await fakes.until_phase(Phase.CANCELLED)
    with pytest.raises(FailbackError, match="cancelled"):
        await fakes.rollbacks.result(started.rollback_id)
    assert fakes.effects() == []
    again = await fakes.rollbacks.start(1, "errors", "bob")

    assert again.rollback_id != started.rollback_id
    assert (await fakes.rollbacks.result(again.rollback_id)).success


async def test_level_2_when_the_target_is_down_then_flips_and_carries_the_tail_later(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(budgets={"fence": 0.5, "catch_up": 1.0})
    fakes.engine.write(Side.TARGET, "a", "1")
    fakes.engine.cut(Side.TARGET)
    await approved(fakes)
    await fakes.until_phase(Phase.DRAINING_TAIL)
    fakes.engine.mend(Side.TARGET)
    result = await fakes.rollbacks.result(None)

    assert not result.success
    assert result.emergency_action is EmergencyAction.IMMEDIATE_TRAFFIC_ROLLBACK_WITHOUT_SYNC
    assert result.data_loss.tail == "empty"
    assert result.data_loss.lost_rows == 0
    assert fakes.engine.database(Side.SOURCE).rows["a"] == "1"
    assert fakes.engine.fenced(Side.TARGET)
