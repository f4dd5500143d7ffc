"""Writing to the audit log from within a workflow: it goes its own way, and nobody waits for it."""

from collections.abc import Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.audit import AuditActivities
    from failback.models.audit import NewEntry, RecordReport, RecordRequest
from workflows import options

ENTRIES_AT_ONCE = 100
"""Entries of one `Recording`, so that its payload stays far below what Temporal takes."""


@workflow.defn(name="Recording")
class Recording:
    """Writes entries into the audit log, for as long as that takes.

    Its history holds the entries until the log has them: a store that is away for a day delays
    nobody and loses nothing.
    """

    @workflow.run
    async def run(self, request: RecordRequest) -> RecordReport:
        """Append until it is done; what stands there already is not written twice."""
        return await workflow.execute_activity_method(
            AuditActivities.record, request, **options.recorder()
        )


async def record(entries: Sequence[NewEntry]) -> None:
    """Have entries written by workflows of their own; returns once those exist.

    They outlive who started them, and are told of no cancel. A caller that has something urgent
    to do does not wait for the start: `asyncio.create_task(record(…))`.
    """
    for first in range(0, len(entries), ENTRIES_AT_ONCE):
        await workflow.start_child_workflow(
            Recording.run,
            RecordRequest(entries=tuple(entries[first : first + ENTRIES_AT_ONCE])),
            id=f"recording/{workflow.info().workflow_id}/{workflow.uuid4()}",
            parent_close_policy=ParentClosePolicy.ABANDON,
            cancellation_type=ChildWorkflowCancellationType.ABANDON,
            task_timeout=timedelta(seconds=5),
        )
