"""What AlertResponse does about alerts: a real Temporal server, and fakes for all else."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from failback.errors import ApprovalRefusedError
from failback.models.alerts import Alert
from failback.models.audit import AuditEntry, EntryKind
from failback.models.common import Level
from failback.models.messages import MessageKind
from failback.models.responses import ActionKind, CloseInvestigation, ResponseStatus
from failback.models.rollback import Decision, Phase
from failback.temporal import ids
from failback.temporal.responses import Responses
from workers.composition import WORKFLOWS, build_worker, workflow_runner

from support.fake_estate import FakeEstate, MakeEstate
from support.responses import alert, resolved, response_until, send

pytestmark = pytest.mark.servers

CRITICAL = {"error_rate": 0.2}
WARNING = {"error_rate": 0.03}
INVESTIGATE = {"error_rate": 0.015}


def mode(name: str, **changes: Any) -> dict[str, Any]:
    return {"mode": name, "evaluate_seconds": 0.15, **changes}


async def tell(fakes: FakeEstate, *alerts: Alert) -> None:
    await send(fakes.client, fakes.estate.estate, fakes.estate.temporal.task_queue, *alerts)


async def until(fakes: FakeEstate, wanted: Callable[[ResponseStatus], Any]) -> ResponseStatus:
    return await response_until(fakes.client, fakes.estate.estate, wanted)


async def until_done(fakes: FakeEstate, kind: ActionKind) -> ResponseStatus:
    return await until(
        fakes, lambda status: status.decided is not None and status.decided.action.kind is kind
    )


async def recorded(
    fakes: FakeEstate, kind: EntryKind, wanted: Callable[[AuditEntry], Any], count: int = 1
) -> list[AuditEntry]:
    """Entries of the audit log, once there are enough of them."""
    deadline = time.monotonic() + 20
    while True:
        found = [one for one in fakes.audit.entries if one.kind is kind and wanted(one)]
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, [one.body for one in fakes.audit.entries[-5:]]
        await asyncio.sleep(0.02)


def told(fakes: FakeEstate, kind: MessageKind) -> list[Any]:
    return [one.message for one in fakes.notifier.told if one.message.kind is kind]


async def until_told(fakes: FakeEstate, kind: MessageKind) -> Any:
    deadline = time.monotonic() + 20
    while not told(fakes, kind):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    return told(fakes, kind)[0]


async def test_critical_when_automatic_then_traffic_goes_back_and_all_is_on_record(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    fakes.metrics.values |= CRITICAL
    one = alert()
    await tell(fakes, one)
    status = await until(fakes, lambda status: status.handling)
    assert status.handling is not None
    rollback_id = status.handling.rollback_id
    result = await fakes.rollbacks.result(rollback_id)

    assert result.success, result.error
    assert (result.level, result.requested_by) == (Level.TRAFFIC, "failback")
    assert "error_rate_critical" in result.reason
    assert len(status.automatic) == 1
    message = await until_told(fakes, MessageKind.AUTOMATIC_ROLLBACK_INITIATED)
    assert (message.rollback_id, message.alert) == (rollback_id, "CriticalErrorRateHigh")
    (entry,) = await recorded(fakes, EntryKind.ALERT, lambda entry: True)
    assert (entry.subject, entry.body["labels"]) == (one.key, one.labels)
    (decision, *_) = await recorded(fakes, EntryKind.DECISION, lambda entry: True)
    assert decision.body["action"] == "roll_back"
    assert {reading["verdict"] for reading in decision.body["readings"]} == {"fired", "clear"}
    (led,) = await recorded(
        fakes, EntryKind.ROLLBACK, lambda entry: entry.body["event"] == "alerts_started"
    )
    assert (led.subject, led.body["alerts"]) == (rollback_id, [one.key])
    (ended,) = await recorded(
        fakes, EntryKind.ROLLBACK, lambda entry: entry.body["event"] == "ended"
    )
    assert ended.body["success"] is True


@pytest.mark.parametrize("name", ["observe", "recommend"])
async def test_critical_when_only_told_then_nothing_starts(
    make_estate: MakeEstate, name: str
) -> None:
    fakes = await make_estate(decision=mode(name))
    fakes.metrics.values |= CRITICAL
    await tell(fakes, alert())
    status = await until_done(fakes, ActionKind(name))
    await recorded(fakes, EntryKind.DECISION, lambda entry: entry.body["action"] == name)
    if name == "recommend":
        message = await until_told(fakes, MessageKind.RECOMMENDATION)
        assert "IMMEDIATE_ROLLBACK" in message.subject
    assert status.handling is None
    assert fakes.effects() == []


async def test_critical_when_mode_approve_then_level_1_waits_for_people(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("approve"))
    fakes.metrics.values |= CRITICAL
    await tell(fakes, alert())
    waiting = await waiting_rollback(fakes)
    assert (waiting.level, waiting.approvals_needed) == (Level.TRAFFIC, 1)
    assert fakes.effects() == []


async def waiting_rollback(fakes: FakeEstate) -> Any:
    await until(fakes, lambda status: status.handling)
    return await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)


async def test_warning_when_it_becomes_critical_then_the_waiting_level_2_acts_at_once(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    fakes.metrics.values |= WARNING
    await tell(fakes, alert(1, severity="warning"))
    waiting = await waiting_rollback(fakes)
    assert waiting.level is Level.DATA_SYNC
    fakes.metrics.values |= CRITICAL
    result = await fakes.rollbacks.result(waiting.rollback_id)

    assert result.success, result.error
    assert result.escalated
    assert [child.level for child in result.children] == [Level.TRAFFIC]
    assert "catch_up" not in {step.name for step in result.steps}
    assert result.decisions[-1].verb == "escalate"
    message = await until_told(fakes, MessageKind.AUTOMATIC_ROLLBACK_INITIATED)
    assert message.rollback_id == waiting.rollback_id


async def test_warning_when_level_1_needs_people_then_critical_only_voids_their_approvals(
    make_estate: MakeEstate,
) -> None:
    approvals = {
        "people": {"alice": ["lead"], "bob": ["lead"]},
        "levels": {1: {"quorum": 1}, 2: {"quorum": 2}},
    }
    fakes = await make_estate(decision=mode("approve"), approvals=approvals)
    fakes.metrics.values |= WARNING
    await tell(fakes, alert(1))
    before = await waiting_rollback(fakes)
    await fakes.rollbacks.decide(
        before.rollback_id, "approve", decision("alice", plan_hash=before.plan_hash)
    )
    fakes.metrics.values |= CRITICAL
    after = await fakes.until(lambda status: status.plan_hash != before.plan_hash)

    assert (after.approvals_given, after.phase) == (0, Phase.WAITING_FOR_APPROVAL)
    assert "void" in after.decisions[0].why_not
    assert "IMMEDIATE_ROLLBACK" in after.reason
    with pytest.raises(ApprovalRefusedError, match="the plan that waits is"):
        await fakes.rollbacks.decide(
            before.rollback_id, "approve", decision("bob", plan_hash=before.plan_hash)
        )
    fakes.metrics.values |= WARNING
    await until(fakes, lambda status: status.decided and "warning" in status.decided.explanation)
    assert (await fakes.rollbacks.status(None)).plan_hash == after.plan_hash


def decision(who: str, **facts: Any) -> Decision:
    return Decision(who=who, role="lead", **facts)


async def test_alerts_when_a_person_began_a_rollback_then_they_join_it(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    started = await fakes.rollbacks.start(2, "wrong totals", "bob")
    fakes.metrics.values |= WARNING
    await tell(fakes, alert(1), alert(2))
    status = await until_done(fakes, ActionKind.JOIN)
    assert status.handling is not None
    assert (status.handling.rollback_id, status.handling.alerts) == (started.rollback_id, 2)
    (joined,) = await recorded(
        fakes, EntryKind.ROLLBACK, lambda entry: entry.body["event"] == "alerts_joined"
    )
    assert joined.subject == started.rollback_id
    assert joined.body["count"] == 2


async def test_storm_when_a_thousand_alerts_come_then_one_rollback_and_all_on_record(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    fakes.metrics.values |= CRITICAL
    storm = [alert(number) for number in range(1000)]
    await asyncio.gather(
        *(tell(fakes, *storm[first : first + 100]) for first in range(0, 1000, 100)),
        *(tell(fakes, *storm[first : first + 50]) for first in range(0, 1000, 50)),
    )
    status = await until(fakes, lambda status: status.handling and status.handling.alerts == 1000)
    assert status.handling is not None
    assert (await fakes.rollbacks.result(status.handling.rollback_id)).success
    entries = await recorded(fakes, EntryKind.ALERT, lambda entry: True, 1000)

    assert {entry.subject for entry in entries} == {one.key for one in storm}
    assert (status.received, status.firing, status.repeats) == (1000, 1000, 1000)
    assert len(status.automatic) == 1
    attributed = await recorded(fakes, EntryKind.ROLLBACK, lambda entry: "alerts" in entry.body)
    keys = [key for entry in attributed for key in entry.body["alerts"]]
    assert sorted(keys) == sorted(one.key for one in storm)
    assert len(await fakes.rollbacks.list()) == 1


async def test_immediate_when_a_rollback_ended_lately_then_people_are_asked(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    await fakes.rollbacks.start(1, "errors", "bob")
    await fakes.rollbacks.result(None)
    await traffic_to_target(fakes)
    fakes.metrics.values |= CRITICAL
    await tell(fakes, alert())
    status = await until(fakes, lambda status: status.handling)
    waiting = await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)

    assert (waiting.level, waiting.approvals_needed) == (Level.TRAFFIC, 1)
    assert status.automatic == ()
    (asked, *_) = await recorded(
        fakes, EntryKind.DECISION, lambda entry: entry.body["action"] == "ask"
    )
    assert "cool-down" in asked.body["why"]


async def traffic_to_target(fakes: FakeEstate) -> None:
    """Somebody tries the cut-over again."""
    routes = [backend for route in fakes.estate.plan(1).routes for backend in route.backends]
    await fakes.balancer.set_all_weights(routes, 0, 100)


async def test_immediate_when_it_flaps_then_people_are_asked(make_estate: MakeEstate) -> None:
    rules = mode("automatic", cool_down_seconds=0, automatic_at_most=1)
    fakes = await make_estate(decision=rules)
    fakes.metrics.values |= CRITICAL
    await tell(fakes, alert(1))
    first = await until(fakes, lambda status: status.handling)
    assert first.handling is not None
    await fakes.rollbacks.result(first.handling.rollback_id)
    await until_done(fakes, ActionKind.RECOMMEND)  # the source serves already
    await traffic_to_target(fakes)
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    (asked, *_) = await recorded(
        fakes, EntryKind.DECISION, lambda entry: entry.body["action"] == "ask"
    )
    assert "at most 1" in asked.body["why"]


async def test_people_when_they_decline_then_they_are_not_asked_again_at_once(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    fakes.metrics.values |= WARNING
    await tell(fakes, alert(1))
    waiting = await waiting_rollback(fakes)
    lead = decision("alice").model_copy(update={"role": "engineering_lead"})
    await fakes.rollbacks.decide(waiting.rollback_id, "reject", lead)
    status = await until_done(fakes, ActionKind.NOTHING)
    assert status.decided is not None
    assert "did not want it" in status.decided.action.why
    assert len(await fakes.rollbacks.list()) == 1


async def test_store_when_away_then_the_alerts_own_word_decides_and_says_so(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    fakes.metrics.away = "no answer"
    await tell(fakes, alert(1, severity="info", labels={}))
    nothing = await until_done(fakes, ActionKind.NOTHING)
    assert nothing.decided is not None
    assert not nothing.decided.conclusive
    await tell(fakes, alert(2))
    status = await until(fakes, lambda status: status.handling)
    assert status.handling is not None
    result = await fakes.rollbacks.result(status.handling.rollback_id)
    assert result.success
    assert "did not answer" in result.reason
    (entry, *_) = await recorded(
        fakes, EntryKind.DECISION, lambda entry: entry.body["action"] == "roll_back"
    )
    assert (entry.body["basis"], entry.body["conclusive"]) == ("alert", False)


async def test_warning_when_it_lasts_long_enough_later_then_acted_on_though_nobody_repeats_it(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    await tell(fakes, alert(1))
    await until_done(fakes, ActionKind.NOTHING)
    fakes.metrics.values |= WARNING
    assert (await waiting_rollback(fakes)).level is Level.DATA_SYNC


async def test_alerts_when_all_are_resolved_then_nobody_looks_any_more(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    one = alert(1)
    await tell(fakes, one)
    await until_done(fakes, ActionKind.NOTHING)
    await tell(fakes, resolved(one))
    status = await until(fakes, lambda status: status.firing == 0)
    assert status.received == 2
    await recorded(fakes, EntryKind.ALERT, lambda entry: entry.body["status"] == "resolved")
    asked = fakes.metrics.asked
    await tell(fakes, resolved(one))
    await until(fakes, lambda status: status.repeats == 1)
    assert fakes.metrics.asked <= asked + 1


async def test_investigate_when_decided_then_paused_until_a_person_closes_it(
    make_estate: MakeEstate,
) -> None:
    hook = {"pause_url": "http://127.0.0.1:1/pause"}
    fakes = await make_estate(decision=mode("automatic"), investigation=hook)
    fakes.metrics.values |= INVESTIGATE
    await tell(fakes, alert(1, severity="info"))
    status = await until(fakes, lambda status: status.investigation and status.investigation.paused)
    assert status.investigation is not None
    opened = status.investigation
    assert fakes.pause.paused == {opened.investigation_id}
    assert opened.rules == ("error_rate_investigate",)
    await until_told(fakes, MessageKind.INVESTIGATION_OPENED)
    responses = Responses(fakes.client, fakes.estate.estate)
    with pytest.raises(ApprovalRefusedError, match="Nobody known"):
        await responses.close_investigation(CloseInvestigation(who="mallory"))
    closed = await responses.close_investigation(
        CloseInvestigation(who="alice", comment="a crawler")
    )

    assert (closed.closed_by, closed.comment, closed.resumed) == ("alice", "a crawler", "resumed")
    assert fakes.pause.paused == set()
    (entry,) = await recorded(
        fakes, EntryKind.INVESTIGATION, lambda entry: entry.body["event"] == "closed"
    )
    assert entry.who == "alice"
    await until_done(fakes, ActionKind.NOTHING)
    assert (await responses.status()).investigation is None
    with pytest.raises(ApprovalRefusedError, match="No investigation is open"):
        await responses.close_investigation(CloseInvestigation(who="alice"))
    fakes.pause.fail("pause")
    await tell(fakes, alert(2))
    status = await until(fakes, lambda status: status.investigation and status.investigation.paused)
    assert status.investigation is not None
    assert status.investigation.paused.startswith("failed")


async def test_audit_when_its_store_is_away_then_no_rollback_waits_and_nothing_is_lost(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    fakes.audit.fail("append_all", times=None)
    fakes.metrics.values |= CRITICAL
    await tell(fakes, *(alert(number) for number in range(5)))
    status = await until(fakes, lambda status: status.handling)
    assert status.handling is not None
    assert (await fakes.rollbacks.result(status.handling.rollback_id)).success
    assert fakes.audit.entries == []
    fakes.audit.recover()
    await recorded(fakes, EntryKind.ALERT, lambda entry: True, 5)
    await recorded(fakes, EntryKind.ROLLBACK, lambda entry: entry.body["event"] == "ended")


async def test_worker_when_restarted_in_the_middle_then_no_verdict_changes(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(worker=False, decision=mode("automatic"))
    queue = fakes.estate.temporal.task_queue
    await tell(fakes, alert(1))
    async with build_worker(fakes.client, queue, fakes.ports, fakes.threads):
        await until_done(fakes, ActionKind.NOTHING)
    fakes.metrics.values |= WARNING
    await tell(fakes, alert(1), alert(2))
    async with build_worker(fakes.client, queue, fakes.ports, fakes.threads):
        waiting = await waiting_rollback(fakes)
        status = await until_done(fakes, ActionKind.JOIN)
    assert (status.received, status.repeats) == (2, 1)
    async with build_worker(fakes.client, queue, fakes.ports, fakes.threads):
        again = await until(fakes, lambda status: status.handling)
        assert len(await fakes.rollbacks.list()) == 1
    assert again.handling is not None
    assert again.handling.rollback_id == waiting.rollback_id
    for workflow_id in (ids.alert_response_workflow(fakes.estate.estate), "rollback/"):
        history = await history_of(fakes, workflow_id)
        await Replayer(
            workflows=WORKFLOWS,
            data_converter=pydantic_data_converter,
            workflow_runner=workflow_runner(),
        ).replay_workflow(history)


async def history_of(fakes: FakeEstate, workflow_id: str) -> WorkflowHistory:
    if workflow_id.endswith("/"):
        workflow_id += fakes.estate.estate
    return await fakes.client.get_workflow_handle(workflow_id).fetch_history()
