"""Telling people from within a workflow: what is told goes its own way, and nobody waits for it."""

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import (
    ChildWorkflowCancellationType,
    ChildWorkflowHandle,
    ParentClosePolicy,
)

with workflow.unsafe.imports_passed_through():
    from temporalio.common import WorkflowIDReusePolicy

    from failback.models.messages import DeliveryReport, Message
    from failback.temporal import ids

Notified = ChildWorkflowHandle[object, DeliveryReport]


async def tell(message: Message) -> None:
    """Have a message delivered by a workflow of its own; returns once that one exists.

    The `Notification` outlives who started it, and is told of no cancel: a channel that never
    answers delays nobody, and a rollback that ends takes no message with it. A message whose key
    was told before is dropped, so that a caller may say the same thing twice.

    A caller that has something urgent to do does not even wait for the start:
    `told = asyncio.create_task(tell(message))`, then `await asyncio.sleep(0)` so that its command
    stands first, and `await told` before the caller ends.

    Args:
        message: without a secret in it; `key` unique for what happened.
    """
    await notification(message)


async def notification(message: Message) -> Notified | None:
    """As `tell`, for a caller that may listen; None where the message was told before."""
    try:
        return await workflow.start_child_workflow(
            "Notification",
            message,
            id=ids.notification_workflow(message.estate, message.key),
            result_type=DeliveryReport,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            parent_close_policy=ParentClosePolicy.ABANDON,
            cancellation_type=ChildWorkflowCancellationType.ABANDON,
            task_timeout=workflow.info().task_timeout,
        )
    except WorkflowAlreadyStartedError:
        workflow.logger.info("told before: %s", message.key)
        return None
