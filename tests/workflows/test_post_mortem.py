"""Post-mortems: written at a rollback's end, asked for, measured, and never overwritten."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.audit import AuditActivities
from activities.notifications import NotificationActivities
from activities.post_mortem import PostMortemActivities, PostMortemWriter
from failback.models.audit import AuditEntry, EntryKind
from failback.models.messages import MessageKind
from failback.models.post_mortem import PostMortemRequest, PostMortemStatus
from failback.models.rollback import Decision, RollbackResult
from failback.providers.audit.fake import FakeAuditLog
from failback.providers.notify import FakeNotifier
from failback.providers.post_mortems import FakePostMortems
from failback.temporal import ids
from workers.composition import workflow_runner
from workflows.notification import Notification
from workflows.post_mortem import PostMortem
from workflows.recording import Recording

from support import sample_results as sample
from support.fake_estate import MakeEstate
from support.time_skipping import time_skipping

pytestmark = pytest.mark.servers
ALICE = Decision(who="alice", role="engineering_lead", comment="cause found")
HOUR = 3600.0


class Desk:
    """A worker for post-mortems, on a server whose timers cost no time."""

    def __init__(self, environment: WorkflowEnvironment) -> None:
        self.environment = environment
        self.client: Client = environment.client
        self.notifier = FakeNotifier()
        self.audit = FakeAuditLog()
        self.store = FakePostMortems()

    def worker(self, threads: ThreadPoolExecutor) -> Worker:
        told = NotificationActivities(self.notifier, self.audit)
        writer = PostMortemWriter(self.store, self.audit, None)
        return Worker(
            self.client,
            task_queue="desk",
            workflows=[PostMortem, Notification, Recording],
            activities=[
                told.plan_delivery,
                told.deliver,
                AuditActivities(self.audit).record,
                PostMortemActivities(writer).write_post_mortem,
            ],
            activity_executor=threads,
            workflow_runner=workflow_runner(),
        )

    async def begin(self) -> WorkflowHandle[PostMortem, PostMortemStatus]:
        result: RollbackResult = sample.level_2()
        now = await self.environment.get_current_time()
        moved = now - result.ended_at
        result = result.model_copy(
            update={"started_at": result.started_at + moved, "ended_at": result.ended_at + moved}
        )
        return await self.client.start_workflow(
            PostMortem.run,
            PostMortemRequest(result=result),
            id=ids.post_mortem_workflow(result.rollback_id),
            task_queue="desk",
        )

    @property
    def completions(self) -> list[AuditEntry]:
        return [one for one in self.audit.entries if one.kind is EntryKind.POST_MORTEM]

    @property
    def kinds(self) -> list[MessageKind]:
        return [told.kind for told in self.notifier.messages]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, for some time."""
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with time_skipping() as environment:
        made = Desk(environment)
        with ThreadPoolExecutor(2) as threads:
            async with made.worker(threads):
                yield made


async def test_post_mortem_when_completed_at_once_then_in_time_and_nobody_was_reminded(
    desk: Desk,
) -> None:
    handle = await desk.begin()
    answered = await handle.execute_update(PostMortem.mark_complete, ALICE)
    assert answered.completion is not None
    status = await handle.result()
    assert status.in_time is True
    assert (status.reminded, desk.kinds) == (0, [])
    last = desk.store.kept[-1]
    assert last.completion is not None
    assert last.completion.who == "alice"
    await until(lambda: len(desk.completions) > 0)
    assert [(one.who, one.body["in_time"]) for one in desk.completions] == [("alice", True)]


async def test_post_mortem_when_nobody_answers_for_two_days_then_reminded_late_and_on_record(
    desk: Desk,
) -> None:
    handle = await desk.begin()
    await desk.environment.sleep(timedelta(hours=30))
    status = await handle.query(PostMortem.status)
    assert (status.reminded, status.completion) == (2, None)
    await desk.environment.sleep(timedelta(hours=24))
    await handle.signal(PostMortem.complete, ALICE)
    status = await handle.result()
    assert (status.reminded, status.in_time) == (3, False)
    assert status.completion is not None
    await until(lambda: MessageKind.POST_MORTEM_COMPLETED in desk.kinds)
    assert desk.kinds.count(MessageKind.POST_MORTEM_DUE) == 3
    overdue = [told for told in desk.notifier.messages if "overdue" in told.subject]
    assert [told.severity for told in overdue] == ["warning"]


async def test_post_mortem_when_completed_twice_or_by_nobody_then_the_first_one_counts(
    desk: Desk,
) -> None:
    handle = await desk.begin()
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update(PostMortem.mark_complete, Decision(who=""))
    await handle.signal(PostMortem.complete, Decision(who=""))
    await handle.signal(PostMortem.complete, ALICE)
    await handle.signal(PostMortem.complete, Decision(who="bob"))
    status = await handle.result()
    assert status.completion is not None
    assert status.completion.who == "alice"


async def test_rollback_when_it_ends_then_its_post_mortem_is_written_and_stays_open(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    started = await fakes.rollbacks.start(1, "errors", "alice")
    result = await fakes.rollbacks.result(None)
    handle = fakes.client.get_workflow_handle_for(
        PostMortem.run, ids.post_mortem_workflow(started.rollback_id)
    )
    await until(lambda: len(fakes.post_mortems.kept) > 0)
    assert fakes.post_mortems.kept[0].result == result
    assert fakes.post_mortems.kept[0].evidence is not None
    status = await handle.execute_update(PostMortem.mark_complete, ALICE)
    assert status.completion is not None
    assert (await handle.result()).in_time is True
    assert status.ended_at <= datetime.now(UTC)


async def test_rollback_when_it_was_rejected_then_there_is_no_post_mortem(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    started = await fakes.rollbacks.start(2, "wrong totals", "bob")
    await fakes.rollbacks.decide(started.rollback_id, "reject", ALICE)
    await fakes.rollbacks.result(None)
    found = fakes.client.list_workflows(f'TaskQueue = "{fakes.estate.temporal.task_queue}"')
    assert "PostMortem" not in {run.workflow_type async for run in found}
