"""Level 3 on a real Temporal server, with fakes for everything else."""

import pytest

from failback.errors import ApprovalRefusedError, SafetyRuleError
from failback.models.common import Level, Outcome, Side
from failback.models.recovery import Condition, GateVerb, Part
from failback.models.rollback import Decision, EmergencyAction, Phase

from support.fake_estate import FakeEstate, MakeEstate
from support.gates import answered

pytestmark = pytest.mark.servers

ALICE = Decision(who="alice", role="engineering_lead", comment="go")
SIDE_BY_SIDE = {"sync_back", "verify_integrity", "functions", "auth", "storage", "configuration"}


async def approved(fakes: FakeEstate, level: int = 3) -> str:
    started = await fakes.rollbacks.start(level, "logins break", "bob")
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    await fakes.rollbacks.decide(started.rollback_id, "approve", ALICE)
    return started.rollback_id


async def test_level_3_when_approved_then_the_whole_product_is_on_the_source(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.engine.write(Side.TARGET, "a", "1")
    await approved(fakes)
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    assert result.level is Level.FULL_SYSTEM
    names = [step.name for step in result.steps]
    assert names[0] == "pause_activities"
    assert set(names[1:4]) == {"prepare_auth", "prepare_storage", "catch_up"}
    assert names[4:6] == ["hold", "fence"]
    assert set(names[6:12]) == SIDE_BY_SIDE
    assert names[12:] == ["traffic_rollback", "resume", "validate_system"]
    assert all(step.outcome is Outcome.SUCCEEDED for step in result.steps), result.steps
    system = fakes.system
    assert set(system.functions.live.values()) == {Side.SOURCE}
    assert system.configuration.side is Side.SOURCE
    assert len(system.storage.called("sync")) == 2
    assert system.pauses.held
    assert result.paused == ("forward_sync",)
    assert result.validation is not None
    assert {item.name for item in result.validation.items} == {"auth_flow", "refresh", "user"}
    assert fakes.engine.write(Side.SOURCE, "b", "2")
    assert result.data_loss.lost_rows == 0
    assert result.write_gap_seconds is not None


async def test_level_3_when_run_then_sessions_are_asked_for_only_after_their_rows_came(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    await approved(fakes)
    await fakes.rollbacks.result(None)

    order = [str(call) for call in fakes.calls]
    assert order.index("auth.open_session") < order.index("balancer.close_door")
    assert order.index("sync.verify") < order.index("auth.accepts")
    assert order.index("auth.accepts") < order.index("auth.refreshes")
    assert order.index("auth.refreshes") < order.index("auth.close_session")


@pytest.mark.parametrize(
    ("port", "method"),
    [("functions", "bring_back"), ("storage", "sync"), ("configuration", "switch")],
)
async def test_level_3_when_a_part_fails_then_all_is_put_back_and_a_recovery_begins(
    make_estate: MakeEstate, port: str, method: str
) -> None:
    fakes = await make_estate()
    fakes.system.recovery.conditions[Part.DATABASE] = Condition.HEALTHY
    getattr(fakes.system, port).spoil(method, times=2 if port == "storage" else 1)
    rollback_id = await approved(fakes)
    status = await fakes.until(lambda now: now.step == "disaster_recovery")

    assert status.phase is Phase.RUNNING
    gate = await answered(fakes, rollback_id, GateVerb.ABORT, "we stay")
    assert f"{port}:" in gate.evidence[0]
    result = await fakes.rollbacks.result(None)

    assert not result.success
    assert result.emergency_action is EmergencyAction.DISASTER_RECOVERY_INITIATED
    assert set(fakes.system.functions.live.values()) == {Side.TARGET}
    assert fakes.system.configuration.side is Side.TARGET
    # Customers are where they were, and the migration stays paused.
    assert fakes.engine.write(Side.TARGET, "b", "2")
    assert fakes.system.pauses.held
    (child,) = result.children
    assert child.recovery is not None
    assert child.recovery.manual_intervention_required
    assert "aborted at gate" in child.recovery.runbook or "What is left" in child.recovery.runbook


async def test_level_3_when_cancelled_before_traffic_moves_then_everything_is_undone(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.engine.hang("verify")
    rollback_id = await approved(fakes)
    await fakes.until(lambda now: now.step == "verify_integrity")
    await fakes.rollbacks.cancel(rollback_id, ALICE)
    fakes.engine.release("verify")
    status = await fakes.until_phase(Phase.CANCELLED)

    assert "cancelled" in status.detail
    assert set(fakes.system.functions.live.values()) == {Side.TARGET}
    assert fakes.system.configuration.side is Side.TARGET
    assert not fakes.system.pauses.held
    assert fakes.engine.write(Side.TARGET, "b", "2")


async def test_level_3_when_nothing_is_configured_then_it_is_a_level_2_that_says_so(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(system=False)
    await approved(fakes)
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    unknown = {step.name for step in result.steps if step.outcome is Outcome.INCONCLUSIVE}
    assert unknown == {
        "pause_activities",
        "prepare_auth",
        "prepare_storage",
        "functions",
        "auth",
        "storage",
        "configuration",
        "validate_system",
    }


async def test_level_2_when_raised_while_it_waits_then_level_3_asks_its_own_people(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    started = await fakes.rollbacks.start(2, "wrong totals", "bob")
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    with pytest.raises(ApprovalRefusedError, match="Nobody known"):
        await fakes.rollbacks.raise_level(started.rollback_id, 3, Decision(who="mallory"))
    await fakes.rollbacks.raise_level(
        started.rollback_id, 3, Decision(who="bob", role="operations", comment="logins, too")
    )
    status = await fakes.until(lambda now: now.level is Level.FULL_SYSTEM)
    assert status.rollback_id == started.rollback_id
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    await fakes.rollbacks.decide(started.rollback_id, "approve", ALICE)
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    assert result.level is Level.FULL_SYSTEM
    assert [one.rollback_id for one in await fakes.rollbacks.list()] == [started.rollback_id]


async def test_level_2_when_raised_while_it_runs_then_what_it_did_is_kept(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.engine.write(Side.TARGET, "a", "1")
    fakes.engine.hang("verify")
    rollback_id = await approved(fakes, level=2)
    await fakes.until(lambda now: now.step == "verify_integrity")
    await fakes.rollbacks.raise_level(rollback_id, 3, Decision(who="bob", role="operations"))
    fakes.engine.release("verify")
    await fakes.until(
        lambda now: now.level is Level.FULL_SYSTEM and now.phase is Phase.WAITING_FOR_APPROVAL
    )
    await fakes.rollbacks.decide(rollback_id, "approve", ALICE)
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    assert [step.name for step in result.steps if step.name in ("fence", "sync_back")] == []
    assert result.children[0].level is Level.DATA_SYNC
    assert result.synced_records == 1
    assert set(fakes.system.functions.live.values()) == {Side.SOURCE}
    assert fakes.engine.write(Side.SOURCE, "b", "2")


async def test_level_3_when_most_of_a_bucket_would_be_deleted_then_it_stops_before_the_gap(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    refused = SafetyRuleError("no-mass-delete: 90 of 100 objects.", "Look at them first.")
    fakes.system.storage.fail("sync", error=refused)
    rollback_id = await approved(fakes)
    await fakes.until(lambda now: now.step == "disaster_recovery")
    gate = await answered(fakes, rollback_id, GateVerb.ABORT, "look at the bucket")
    result = await fakes.rollbacks.result(None)

    assert "no-mass-delete" in gate.evidence[0]
    assert not result.success
    assert "close_door" not in fakes.effects()
    assert fakes.engine.write(Side.TARGET, "b", "2")
    accepted = await fakes.rollbacks.start(3, "logins break", "bob", deletes_accepted_by="alice")
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    await fakes.rollbacks.decide(accepted.rollback_id, "approve", ALICE)
    assert (await fakes.rollbacks.result(None)).success
    assert [call.arguments for call in fakes.system.storage.called("sync")][1:] == [("alice",)] * 2
