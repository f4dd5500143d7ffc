"""Level 1 on a real Temporal server, with fakes for everything else."""

import asyncio
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError

from failback.errors import ApprovalRefusedError, ConfigurationError, RollbackRunningError
from failback.models.common import Outcome, Service, Side
from failback.models.rollback import Decision, EmergencyAction, Phase
from failback.models.traffic import BackendRoute

from support.fake_estate import BACKENDS, FakeEstate, MakeEstate

pytestmark = pytest.mark.servers


async def until_cancel_was_seen(handle: WorkflowHandle[Any, Any]) -> None:
    """Wait for the workflow task that has the cancel in its history.

    Local activities keep one workflow task open, so a cancel waits for its heartbeat.
    """
    async with asyncio.timeout(20):
        while True:
            kinds = [event.event_type async for event in handle.fetch_history_events()]
            if EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED in kinds:
                asked = kinds.index(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
                if EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED in kinds[asked:]:
                    return
            await asyncio.sleep(0.05)


async def serving(fakes: FakeEstate) -> dict[str, frozenset[Side]]:
    return {name: fakes.balancer.serving(BackendRoute(backend=name)) for name in BACKENDS}


async def test_level_1_when_warm_then_moves_everything_in_the_right_order(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.engine.write(Side.TARGET, "a", "1")
    await fakes.rollbacks.start(1, "errors", "alice")
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    assert result.data_loss.lost_rows == 0
    assert result.data_loss.tail == "empty"
    assert result.synced_records == 1
    assert fakes.engine.database(Side.SOURCE).rows["a"] == "1"
    assert set((await serving(fakes)).values()) == {frozenset({Side.SOURCE})}
    assert fakes.effects() == [
        "close_door",
        "raise_fence:target",
        "drain",
        "set_all_weights",
        "lift_fence:source",
        "open_door",
    ]
    assert [step.name for step in result.steps] == [
        "hold",
        "fence",
        "drain",
        "load_balancer",
        "open_source",
        "dns",
        "verify",
        "notify",
    ]
    assert all(step.outcome is Outcome.SUCCEEDED for step in result.steps)
    assert result.write_gap_seconds is not None
    assert result.service_availability == 1.0
    assert fakes.notifier.messages


async def test_level_1_when_the_drain_is_late_then_flips_first_and_drains_afterwards(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.engine.write(Side.TARGET, "a", "1")
    fakes.engine.stalled = True
    await fakes.rollbacks.start(1, "errors", "alice")
    status = await fakes.until_phase(Phase.DRAINING_TAIL)
    assert status.result is None
    assert set((await serving(fakes)).values()) == {frozenset({Side.SOURCE})}
    fakes.engine.write(Side.SOURCE, "a", "newer")
    fakes.engine.stalled = False
    result = await fakes.rollbacks.result(None)

    assert result.success
    assert result.data_loss.tail == "empty"
    assert result.data_loss.parked_conflicts == 1
    assert fakes.engine.database(Side.SOURCE).rows["a"] == "newer"


async def test_level_1_when_the_tail_may_not_wait_then_the_source_stays_fenced_until_it_is_empty(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(sync={"flip_with_tail": False})
    fakes.engine.write(Side.TARGET, "a", "1")
    fakes.engine.stalled = True
    await fakes.rollbacks.start(1, "errors", "alice")
    await fakes.until_phase(Phase.DRAINING_TAIL)
    assert not fakes.engine.write(Side.SOURCE, "b", "too early")
    fakes.engine.stalled = False
    result = await fakes.rollbacks.result(None)

    assert result.success
    assert result.data_loss.tail == "empty"
    assert fakes.engine.write(Side.SOURCE, "b", "welcome")


async def test_level_1_when_the_target_is_down_then_flips_and_drains_when_it_is_back(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(budgets={"fence": 0.5})
    fakes.engine.write(Side.TARGET, "a", "1")
    fakes.engine.cut(Side.TARGET)
    await fakes.rollbacks.start(1, "target down", "alice")
    await fakes.until_phase(Phase.DRAINING_TAIL)
    assert set((await serving(fakes)).values()) == {frozenset({Side.SOURCE})}
    fakes.engine.mend(Side.TARGET)
    result = await fakes.rollbacks.result(None)

    assert result.success
    assert result.data_loss.tail == "empty"
    assert fakes.engine.database(Side.SOURCE).rows["a"] == "1"
    assert fakes.engine.fenced(Side.TARGET)
    assert not fakes.engine.fenced(Side.SOURCE)


async def test_level_1_when_the_fence_cannot_be_proved_then_the_tail_is_not_called_empty(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.engine.write(Side.TARGET, "a", "1")
    fakes.engine.unproved = True
    await fakes.rollbacks.start(1, "errors", "alice")
    result = await fakes.rollbacks.result(None)

    fence = next(step for step in result.steps if step.name == "fence")
    assert fence.outcome is Outcome.INCONCLUSIVE
    assert [step.name for step in result.steps][-1] == "drain_tail"
    assert result.data_loss.tail == "empty"
    assert fakes.engine.database(Side.SOURCE).rows["a"] == "1"


async def test_level_1_when_an_operator_accepts_the_tail_then_it_closes(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(budgets={"fence": 0.5})
    fakes.engine.cut(Side.TARGET)
    started = await fakes.rollbacks.start(1, "target gone for good", "alice")
    await fakes.until_phase(Phase.DRAINING_TAIL)
    with pytest.raises(ApprovalRefusedError, match="Nobody known is called 'mallory'"):
        await fakes.rollbacks.decide(started.rollback_id, "accept_tail", Decision(who="mallory"))
    await fakes.rollbacks.decide(
        started.rollback_id, "accept_tail", Decision(who="bob", role="operations")
    )
    result = await fakes.rollbacks.result(None)

    assert result.data_loss.tail == "accepted"
    assert result.data_loss.lost_rows is None
    assert result.decisions[-1].who == "bob"


@pytest.mark.parametrize("policy", ["proceed", "refuse"])
async def test_level_1_when_nothing_was_armed_then_the_estates_policy_decides(
    make_estate: MakeEstate, policy: str
) -> None:
    fakes = await make_estate(armed=False, sync={"unarmed": policy})
    await fakes.rollbacks.start(1, "errors", "alice")
    result = await fakes.rollbacks.result(None)

    moved = set((await serving(fakes)).values()) == {frozenset({Side.SOURCE})}
    assert moved is (policy == "proceed")
    assert result.data_loss.tail == "unknown"
    assert result.data_loss.lost_rows is None
    assert not await fakes.balancer.closed_doors()
    if policy == "refuse":
        assert not result.success
        assert "armed" in (result.error or "")


async def test_level_1_when_the_journey_fails_then_forces_the_failover_and_reports_failure(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(budgets={"verify": 1.0})
    fakes.checks.break_check("journey")
    await fakes.rollbacks.start(1, "errors", "alice")
    result = await fakes.rollbacks.result(None)

    assert not result.success
    assert result.emergency_action is EmergencyAction.FORCED_FAILOVER
    assert "journey" in (result.error or "")
    assert set((await serving(fakes)).values()) == {frozenset({Side.SOURCE})}
    assert [call for call in fakes.calls if call.method == "point"]


async def test_level_1_when_the_source_stumbles_at_first_then_checks_again(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.checks.break_check("response_time", times=2)
    await fakes.rollbacks.start(1, "errors", "alice")
    result = await fakes.rollbacks.result(None)

    assert result.success
    verify = next(step for step in result.steps if step.name == "verify")
    assert verify.attempts == 3


async def test_level_1_when_the_balancer_is_away_then_names_still_move(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(budgets={"load_balancer": 0.5, "hold": 0.3})
    for method in ("set_all_weights", "set_weights", "close_door"):
        fakes.balancer.fail(method, times=None)
    await fakes.rollbacks.start(1, "errors", "alice")
    result = await fakes.rollbacks.result(None)

    assert not result.success
    assert result.emergency_action is EmergencyAction.FORCED_FAILOVER
    forced = next(step for step in result.steps if step.name == "forced_failover")
    assert "name api." in forced.detail
    assert "backend database" in forced.detail


async def test_level_1_when_a_notification_channel_is_dead_then_succeeds_all_the_same(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.notifier.fail("deliver", times=None)
    await fakes.rollbacks.start(1, "errors", "alice")
    result = await fakes.rollbacks.result(None)

    assert result.success
    assert result.steps[-1].outcome is Outcome.INCONCLUSIVE


async def test_start_when_one_is_running_then_is_refused_with_its_id(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.engine.stalled = True
    fakes.engine.write(Side.TARGET, "a", "1")
    first = await fakes.rollbacks.start(1, "errors", "alice")
    with pytest.raises(RollbackRunningError, match=first.rollback_id):
        await fakes.rollbacks.start(1, "again", "bob")
    fakes.engine.stalled = False
    await fakes.rollbacks.result(None)
    assert [status.rollback_id for status in await fakes.rollbacks.list()] == [first.rollback_id]


@pytest.mark.parametrize(("level", "text"), [(0, "does not exist"), (7, "does not exist")])
async def test_start_when_the_level_is_out_of_range_then_nothing_starts(
    make_estate: MakeEstate, level: int, text: str
) -> None:
    fakes = await make_estate(worker=False)
    with pytest.raises(ConfigurationError, match=text):
        await fakes.rollbacks.start(level, "errors", "alice")
    assert await fakes.rollbacks.list() == []


async def test_cancel_when_the_fence_is_being_raised_then_everything_is_undone(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(budgets={"fence": 30.0})
    fakes.engine.hang("raise_fence")
    started = await fakes.rollbacks.start(1, "errors", "alice")
    handle = fakes.client.get_workflow_handle(f"rollback/{fakes.estate.estate}")
    await handle.cancel()
    await until_cancel_was_seen(handle)
    fakes.engine.release("raise_fence")
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()

    assert isinstance(caught.value.cause, CancelledError)
    assert not fakes.engine.fenced(Side.TARGET)
    assert fakes.engine.fenced(Side.SOURCE)
    assert not await fakes.balancer.closed_doors()
    assert set((await serving(fakes)).values()) == {frozenset({Side.TARGET})}
    assert fakes.engine.write(Side.TARGET, "b", "2")
    status = await fakes.rollbacks.status(started.rollback_id)
    assert status.phase is Phase.CANCELLED


async def test_cancel_when_traffic_has_moved_then_is_refused_and_the_rollback_ends_well(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.dns.hang("point")
    started = await fakes.rollbacks.start(1, "errors", "alice")
    await fakes.until(lambda status: status.step == "dns")
    with pytest.raises(ApprovalRefusedError, match="Traffic has moved"):
        await fakes.rollbacks.cancel(started.rollback_id, Decision(who="bob", role="operations"))
    handle = fakes.client.get_workflow_handle(f"rollback/{fakes.estate.estate}")
    await handle.cancel()
    fakes.dns.release("point")
    result = await fakes.rollbacks.result(None)

    assert result.success
    assert set((await serving(fakes)).values()) == {frozenset({Side.SOURCE})}
    assert Service.DATABASE not in await fakes.balancer.closed_doors()
