"""Questions about Temporal: whether it answers, and whether a worker polls."""

import asyncio

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from failback.cli.readiness.findings import Finding, Part
from failback.config import Estate
from failback.errors import FailbackError
from failback.temporal.client import connect

POLLING = "a worker polls the task queue"
PATIENCE_SECONDS = 5.0
LOOK_SECONDS = 0.25
_KINDS = (
    (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, "workflow"),
    (TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY, "activity"),
)


async def examine_temporal(estate: Estate) -> list[Finding]:
    """Look at Temporal, its namespace and the task queue."""
    part = Part("temporal")
    config = estate.temporal
    try:
        client = await connect(estate)
    except FailbackError as error:
        part.refuse("Temporal answers", error)
        part.skip(POLLING, "Temporal was not reached")
        return part.findings
    try:
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=config.namespace)
        )
    except RPCError as error:
        _refused(part, config.namespace, error)
        part.skip(POLLING, "the namespace was not reached")
        return part.findings
    part.say("Temporal answers", True, f"{config.address}, namespace {config.namespace}")
    await _examine_workers(part, client, estate)
    return part.findings


async def _examine_workers(part: Part, client: Client, estate: Estate) -> None:
    """A worker that has just started is given a moment to appear."""
    config = estate.temporal
    patience = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    try:
        missing, workers = await _pollers(client, estate)
        while missing and asyncio.get_running_loop().time() < patience:
            await asyncio.sleep(LOOK_SECONDS)
            missing, workers = await _pollers(client, estate)
    except RPCError as error:
        part.say(POLLING, None, f"Temporal does not tell: {error.message}")
        return
    nobody = f"nobody polls {config.task_queue} for {' and '.join(missing)} tasks"
    part.say(
        POLLING,
        not missing,
        nobody if missing else f"{config.task_queue}: {'; '.join(workers)}",
        "Start one: failback worker",
    )


async def _pollers(client: Client, estate: Estate) -> tuple[list[str], list[str]]:
    """The kinds of tasks that nobody polls for, and the workers by their own names."""
    config = estate.temporal
    missing: list[str] = []
    workers: set[str] = set()
    for kind, name in _KINDS:
        described = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=config.namespace,
                task_queue=TaskQueue(name=config.task_queue),
                task_queue_type=kind,
            )
        )
        workers.update(poller.identity for poller in described.pollers)
        if not described.pollers:
            missing.append(name)
    return missing, sorted(workers)


def _refused(part: Part, namespace: str, error: RPCError) -> None:
    if error.status is RPCStatusCode.NOT_FOUND:
        part.say(
            "the namespace exists",
            False,
            f"Temporal has no namespace {namespace}.",
            f"temporal operator namespace create --namespace {namespace}",
        )
        return
    part.say(
        "Temporal answers",
        False,
        f"Temporal refused: {error.message}",
        "Check temporal.api_key, the certificates and the namespace's rights.",
    )
