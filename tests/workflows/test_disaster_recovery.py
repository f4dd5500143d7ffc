"""Level 4 on a real Temporal server, with fakes for everything else."""

import pytest

from failback.errors import GateRefusedError
from failback.models.audit import EntryKind
from failback.models.common import Level, Outcome, Side
from failback.models.recovery import (
    Condition,
    GateAnswer,
    GateVerb,
    Part,
    RecoveryService,
)
from failback.models.rollback import Decision, Phase

from support.fake_estate import FakeEstate, MakeEstate
from support.gates import answered, waiting_gate

pytestmark = pytest.mark.servers

ALICE = Decision(who="alice", role="engineering_lead", comment="go")
RECOVERY = {
    "standby_dsn": "postgresql://127.0.0.1:1/unused",
    "stability_seconds": 0.05,
    "look_seconds": 0.01,
    "patience_seconds": 2.0,
    "roles": ["engineering_lead"],
}
GATES = ["activate", "restore", "rebuild", "validate", "return_services"]


async def begun(fakes: FakeEstate) -> str:
    started = await fakes.rollbacks.start(4, "the source is gone", "bob")
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    await fakes.rollbacks.decide(started.rollback_id, "approve", ALICE)
    return started.rollback_id


async def led(fakes: FakeEstate, rollback_id: str, gates: int = len(GATES)) -> None:
    for _ in range(gates):
        await answered(fakes, rollback_id)


async def test_level_4_when_led_through_every_gate_then_services_return_in_order(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(recovery=RECOVERY)
    rollback_id = await begun(fakes)
    first = await waiting_gate(fakes, rollback_id)
    assert first.gate == "1-activate"
    assert any("database is gone" in line for line in first.evidence)
    assert any("20260101T000000" in line for line in first.evidence)
    await led(fakes, rollback_id)
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    assert result.level is Level.DISASTER_RECOVERY
    recovery = result.recovery
    assert recovery is not None
    assert [gate.step for gate in recovery.gates] == GATES
    assert [one.service for one in recovery.services] == list(RecoveryService)
    assert all(one.stable_at is not None for one in recovery.services)
    assert recovery.loss_seconds == 0.0
    assert result.data_loss.lost_rows == 0
    assert not recovery.manual_intervention_required
    order = [str(call) for call in fakes.calls]
    # The target serves until everything but its last changes is restored.
    first_replay = order.index("recovery.replay")
    fence = order.index("sync.raise_fence")
    assert order.index("recovery.restore") < first_replay < fence
    assert fence < order.index("archive.archive_once")
    last_replay = len(order) - 1 - order[::-1].index("recovery.replay")
    assert order.index("archive.archive_once") < last_replay
    assert last_replay < order.index("recovery.rebuild") < order.index("recovery.verify")
    assert order.index("recovery.verify") < order.index("recovery.enable")
    # No service gets its traffic before what was restored has been validated.
    assert not fakes.balancer.called("set_all_weights")
    answers = [one for one in await fakes.audit.read((EntryKind.APPROVAL,)) if "gate" in one.body]
    assert [one.body["verb"] for one in answers] == ["go_on"] * len(GATES)


async def test_gate_when_answered_wrongly_then_says_why_and_goes_on_waiting(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(recovery=RECOVERY)
    rollback_id = await begun(fakes)
    await answered(fakes, rollback_id)
    gate = await waiting_gate(fakes, rollback_id)
    good = {"who": "alice", "role": "engineering_lead"}
    for answer, why in (
        ({"gate": "1-activate", **good}, "answered already: go_on by alice"),
        ({"gate": "7-nothing", **good}, "There is no gate"),
        ({"gate": gate.gate, "who": "mallory"}, "Nobody known"),
        ({"gate": gate.gate, "who": "alice", "role": "intern"}, "does not hold the role"),
        ({"gate": gate.gate, "who": "bob", "role": "operations"}, "does not answer gates"),
        ({"gate": gate.gate, **good, "verb": "skip"}, "needs a reason"),
    ):
        with pytest.raises(GateRefusedError, match=why):
            await fakes.recoveries.answer(
                rollback_id, GateAnswer.model_validate({"verb": "go_on", **answer})
            )
    assert (await waiting_gate(fakes, rollback_id)).gate == gate.gate
    # The same by the raw signal of Temporal's own tools: it is recorded, and changes nothing.
    handle = fakes.client.get_workflow_handle(f"rollback/{fakes.estate.estate}")
    await handle.signal(
        "answer_gate", {"gate": gate.gate, "verb": "go_on", "who": "bob", "role": "operations"}
    )
    assert (await waiting_gate(fakes, rollback_id)).gate == gate.gate
    await handle.signal("answer_gate", {"gate": gate.gate, "verb": "go_on", **good})
    await led(fakes, rollback_id, gates=len(GATES) - 2)
    assert (await fakes.rollbacks.result(None)).success


async def test_step_when_it_fails_then_it_is_repeated_and_the_rest_goes_on(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(recovery=RECOVERY)
    fakes.system.recovery.spoil("restore")
    rollback_id = await begun(fakes)
    await led(fakes, rollback_id, gates=2)
    gate = await waiting_gate(fakes, rollback_id)
    assert gate.last_outcome is Outcome.FAILED
    assert "restore_database" in gate.last_detail
    with pytest.raises(GateRefusedError, match="Repeat it, skip it with a reason, or abort"):
        await answered(fakes, rollback_id)
    await answered(fakes, rollback_id, GateVerb.REPEAT)
    await led(fakes, rollback_id, gates=3)
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    assert [step.name for step in result.steps].count("restore_database") == 2


async def test_steps_when_skipped_then_the_result_names_who_and_why(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(recovery=RECOVERY)
    fakes.system.recovery.spoil("verify")
    rollback_id = await begun(fakes)
    await answered(fakes, rollback_id, GateVerb.SKIP, "the standby is known to be there")
    await led(fakes, rollback_id, gates=3)
    await answered(fakes, rollback_id, GateVerb.SKIP, "the broken rule is from last year")
    await led(fakes, rollback_id, gates=1)
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    assert result.recovery is not None
    assert [item.name for item in result.recovery.left] == ["activate", "validate"]
    assert "skipped by alice: the standby" in result.recovery.left[0].detail
    assert "left by alice: the broken rule" in result.recovery.left[1].detail
    assert not fakes.system.recovery.called("activate")


async def test_recovery_when_aborted_then_people_get_a_runbook_and_the_target_serves(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(recovery=RECOVERY)
    rollback_id = await begun(fakes)
    await led(fakes, rollback_id, gates=2)
    await answered(fakes, rollback_id, GateVerb.ABORT, "the vendor restores it")
    result = await fakes.rollbacks.result(None)

    assert not result.success
    assert result.error == "aborted at gate 3-rebuild by alice: the vendor restores it"
    recovery = result.recovery
    assert recovery is not None
    assert recovery.manual_intervention_required
    assert "- restore_database: succeeded" in recovery.runbook
    assert "Point pools" in recovery.runbook
    assert "authentication, database_read" in recovery.runbook
    # It was fenced for its last changes; nothing else serves, so it takes writes again.
    assert fakes.engine.write(Side.TARGET, "b", "2")


async def test_service_when_not_stable_then_it_is_held_and_later_ones_wait(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(recovery=RECOVERY)
    fakes.system.recovery.spoil("look", times=3)
    rollback_id = await begun(fakes)
    await led(fakes, rollback_id)
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    assert result.recovery is not None
    first = result.recovery.services[0]
    assert (first.service, first.holds) == (RecoveryService.AUTHENTICATION, 3)


async def test_service_when_never_stable_then_only_it_is_repeated(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(recovery=RECOVERY)
    fakes.system.recovery.spoil("enable")
    rollback_id = await begun(fakes)
    await led(fakes, rollback_id)
    gate = await waiting_gate(fakes, rollback_id)
    assert gate.gate.endswith("-end")
    assert "return:authentication" in gate.last_detail
    await answered(fakes, rollback_id, GateVerb.REPEAT)
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    enabled = [call.arguments[0] for call in fakes.system.recovery.called("enable")]
    assert enabled.count(RecoveryService.AUTHENTICATION) == 2
    assert enabled[2:] == list(RecoveryService)[1:]


async def test_target_when_it_cannot_be_fenced_then_the_loss_is_said_and_bounded(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(recovery=RECOVERY)
    fakes.engine.fail("raise_fence", times=None)
    fakes.system.recovery.target_answers = False
    rollback_id = await begun(fakes)
    await led(fakes, rollback_id)
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    assert result.recovery is not None
    assert result.recovery.loss_seconds is not None
    assert 0.0 <= result.recovery.loss_seconds <= 15.0
    assert result.data_loss.lost_rows is None
    assert "could not be fenced" in result.data_loss.detail


async def test_archive_when_there_is_none_then_the_backups_age_is_the_loss(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(recovery=RECOVERY)
    fakes.system.archive.empty = True
    fakes.system.recovery.target_answers = False
    rollback_id = await begun(fakes)
    await led(fakes, rollback_id)
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    outcomes = {step.name: step.outcome for step in result.steps}
    assert outcomes["last_changes"] is Outcome.INCONCLUSIVE
    assert (result.data_loss.lost_rows, result.data_loss.tail) == (None, "unknown")
    assert result.recovery is not None
    assert result.recovery.loss_seconds is not None
    assert 0.0 < result.recovery.loss_seconds < 60.0


async def test_source_when_only_its_objects_are_gone_then_rows_are_drained_not_restored(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(recovery=RECOVERY)
    recovery = fakes.system.recovery
    recovery.conditions.update({Part.DATABASE: Condition.HEALTHY, Part.STORAGE: Condition.GONE})
    fakes.engine.write(Side.TARGET, "a", "1")
    rollback_id = await begun(fakes)
    await led(fakes, rollback_id)
    result = await fakes.rollbacks.result(None)

    assert result.success, result.error
    assert [call.arguments[0] for call in recovery.called("restore")] == [Part.STORAGE]
    assert not recovery.called("rebuild")
    assert result.synced_records >= 1
    assert fakes.engine.write(Side.SOURCE, "b", "2")


async def test_gates_when_automatic_then_nobody_is_asked_and_a_failure_ends_it(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(recovery={**RECOVERY, "gates": "automatic"})
    fakes.system.recovery.spoil("verify")
    await begun(fakes)
    result = await fakes.rollbacks.result(None)

    assert not result.success
    assert result.recovery is not None
    assert result.recovery.manual_intervention_required
    assert "validate_restored" in (result.error or "")
    assert [gate.answer.who for gate in result.recovery.gates if gate.answer] == ["failback"] * 5
