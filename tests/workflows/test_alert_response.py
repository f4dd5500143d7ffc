"""What AlertResponse does about alerts, mode by mode: a real Temporal, fakes for all else."""

from typing import Any

import pytest

from failback.errors import ApprovalRefusedError
from failback.models.audit import EntryKind
from failback.models.common import Level
from failback.models.messages import MessageKind
from failback.models.responses import ActionKind
from failback.models.rollback import Decision, Phase

from support.answers import (
    CRITICAL,
    WARNING,
    mode,
    recorded,
    tell,
    told,
    traffic_to_target,
    until,
    until_done,
    until_told,
    waiting_rollback,
)
from support.fake_estate import MakeEstate
from support.responses import alert

pytestmark = pytest.mark.servers


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


async def test_immediate_when_it_flaps_then_people_are_asked(make_estate: MakeEstate) -> None:
    rules = mode("automatic", cool_down_seconds=0, automatic_at_most=1)
    fakes = await make_estate(decision=rules)
    fakes.metrics.values |= CRITICAL
    await tell(fakes, alert(1))
    first = await until(fakes, lambda status: status.handling)
    assert first.handling is not None
    await fakes.rollbacks.result(first.handling.rollback_id)
    await until_done(fakes, ActionKind.NOTHING)  # the source serves already
    await traffic_to_target(fakes)
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    (asked, *_) = await recorded(
        fakes, EntryKind.DECISION, lambda entry: entry.body["action"] == "ask"
    )
    assert "at most 1" in asked.body["why"]


async def test_alert_when_it_stands_after_its_rollback_then_a_record_and_no_message(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=mode("automatic"))
    fakes.metrics.values |= CRITICAL
    await tell(fakes, alert(1))
    status = await until(fakes, lambda status: status.handling)
    assert status.handling is not None
    await fakes.rollbacks.result(status.handling.rollback_id)
    (entry, *_) = await recorded(
        fakes, EntryKind.DECISION, lambda entry: entry.body["action"] == "nothing"
    )
    assert status.handling.rollback_id in entry.body["why"]
    looks = fakes.metrics.asked
    await until(fakes, lambda status: fakes.metrics.asked > looks + 2)

    assert told(fakes, MessageKind.AUTOMATIC_ROLLBACK_INITIATED)
    assert told(fakes, MessageKind.RECOMMENDATION) == []


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
