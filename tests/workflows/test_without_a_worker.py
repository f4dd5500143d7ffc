"""What can be read, and what is told, while no worker runs."""

import pytest
from temporalio.client import WorkflowFailureError

from failback.errors import RollbackRunningError, UnreachableError
from failback.models.common import Level
from failback.models.recovery import GateAnswer, GateVerb
from failback.models.rollback import Decision, Phase, RollbackStatus
from failback.temporal import ids, recoveries, rollbacks
from workers.composition import build_worker

from support.fake_estate import FakeEstate, MakeEstate

pytestmark = pytest.mark.servers

ALICE = Decision(who="alice", role="engineering_lead", comment="no")


async def ask(fakes: FakeEstate) -> RollbackStatus:
    """The newest rollback's status as its workflow tells it."""
    handle = fakes.client.get_workflow_handle(ids.rollback_workflow(fakes.estate.estate))
    status: RollbackStatus = await handle.query("status", result_type=RollbackStatus)
    return status


def without_times(status: RollbackStatus) -> dict[str, object]:
    """A replay, which a query of an ended workflow is, measures its steps anew."""
    facts = status.model_dump(exclude={"result", "steps"})
    return {**facts, "steps": [(one.name, one.outcome, one.detail) for one in status.steps]}


@pytest.mark.parametrize("ending", ["done", "failed", "rejected"])
async def test_status_when_the_rollback_has_ended_then_it_is_what_the_workflow_said(
    make_estate: MakeEstate, ending: str
) -> None:
    fakes = await make_estate(worker=False, budgets={"verify": 0.5})
    level = 2 if ending == "rejected" else 1
    if ending == "failed":
        fakes.checks.fail("check", times=None)
    async with build_worker(
        fakes.client, fakes.estate.temporal.task_queue, fakes.ports, fakes.threads
    ):
        started = await fakes.rollbacks.start(level, "errors", "carol")
        if level == 2:
            await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
            await fakes.rollbacks.decide(started.rollback_id, "reject", ALICE)
        await fakes.rollbacks.result(started.rollback_id)
        told = await ask(fakes)
    assert told.phase is Phase(ending)

    stored = await fakes.rollbacks.status(started.rollback_id)

    assert without_times(stored) == without_times(told)
    assert (await fakes.rollbacks.list()) == [stored]
    assert (stored.result is None) == (told.result is None)


async def test_status_when_the_rollback_was_cancelled_then_it_says_so(
    make_estate: MakeEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollbacks, "_ANSWER_SECONDS", rollbacks._ANSWER_SECONDS / 5)
    fakes = await make_estate(worker=False)
    async with build_worker(
        fakes.client, fakes.estate.temporal.task_queue, fakes.ports, fakes.threads
    ):
        started = await fakes.rollbacks.start(2, "wrong totals", "carol")
        await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
        await fakes.rollbacks.cancel(started.rollback_id, ALICE)
        handle = fakes.client.get_workflow_handle(ids.rollback_workflow(fakes.estate.estate))
        with pytest.raises(WorkflowFailureError):
            await handle.result()

    status = await fakes.rollbacks.status(None)

    assert status.rollback_id == started.rollback_id
    assert (status.phase, status.level) == (Phase.CANCELLED, Level.DATA_SYNC)
    assert (status.reason, status.requested_by) == ("wrong totals", "carol")


async def test_start_when_no_worker_runs_then_it_says_that_the_rollback_waits_for_one(
    make_estate: MakeEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollbacks, "_ANSWER_SECONDS", rollbacks._ANSWER_SECONDS / 5)
    fakes = await make_estate(worker=False)

    with pytest.raises(UnreachableError, match=r"has started, and no worker") as told:
        await fakes.rollbacks.start(1, "errors", "carol")
    with pytest.raises(RollbackRunningError) as refused:
        await fakes.rollbacks.start(1, "errors again", "carol")

    running = told.value.cause.split()[1]
    assert running in refused.value.cause
    assert running in refused.value.cure
    assert "failback worker" in told.value.cure
    async with build_worker(
        fakes.client, fakes.estate.temporal.task_queue, fakes.ports, fakes.threads
    ):
        assert (await fakes.rollbacks.result(running)).success


async def test_answers_when_no_worker_runs_then_they_are_told_to_be_open(
    make_estate: MakeEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (rollbacks, recoveries):
        monkeypatch.setattr(module, "_ANSWER_SECONDS", rollbacks._ANSWER_SECONDS / 10)
    fakes = await make_estate(worker=False)
    with pytest.raises(UnreachableError) as started:
        await fakes.rollbacks.start(4, "the source is gone", "carol")
    rollback_id = started.value.cause.split()[1]

    with pytest.raises(UnreachableError, match="may still count"):
        await fakes.rollbacks.decide(rollback_id, "reject", ALICE)
    with pytest.raises(UnreachableError, match="may still count"):
        await fakes.recoveries.answer(
            rollback_id, GateAnswer(gate="1-activate", verb=GateVerb.GO_ON, who="alice")
        )
