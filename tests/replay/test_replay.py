"""Recorded histories of every released version replay on the workflows as they are now."""

from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from failback.models.rollback import RollbackRequest, RollbackResult
from workers.composition import WORKFLOWS, workflow_runner
from workflows.traffic_rollback import TrafficRollback

HISTORIES = sorted((Path(__file__).parent / "histories").rglob("*.json"))


def history_of(path: Path) -> WorkflowHistory:
    """A recorded history, under the id that its workflow had."""
    name = path.stem.removesuffix("-child").removesuffix("-response")
    workflow_id = f"rollback/{name}"
    if path.stem.endswith("-child"):
        workflow_id = f"rollback/{name}/traffic"
    elif path.stem.endswith("-response"):
        workflow_id = f"alerts/{name}"
    return WorkflowHistory.from_json(workflow_id, path.read_text())


def replayer(*workflows: type) -> Replayer:
    return Replayer(
        workflows=workflows,
        data_converter=pydantic_data_converter,
        workflow_runner=workflow_runner(),
    )


def test_histories_when_looked_for_then_some_are_there() -> None:
    assert len(HISTORIES) >= 8


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_history_when_replayed_then_the_workflow_decides_as_it_did(path: Path) -> None:
    await replayer(*WORKFLOWS).replay_workflow(history_of(path))


@workflow.defn(name="TrafficRollback", sandboxed=False)
class NamesBeforeTraffic(TrafficRollback):
    """A level 1 whose author moved DNS before the balancer: the gate must see it."""

    @workflow.init
    def __init__(self, request: RollbackRequest) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: RollbackRequest) -> RollbackResult:
        """The steps in another order."""
        await self._shift_dns()
        return await super().run(request)


@pytest.mark.parametrize(
    "path", [path for path in HISTORIES if path.stem.startswith("traffic")], ids=lambda p: p.stem
)
async def test_history_when_a_workflow_was_broken_then_the_replay_fails(path: Path) -> None:
    with pytest.raises(NondeterminismError):
        await replayer(NamesBeforeTraffic).replay_workflow(history_of(path))
