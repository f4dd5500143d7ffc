"""Messages on their way: retried, measured, recorded, and never in a rollback's way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.worker import Worker

from activities.audit import AuditActivities
from activities.notifications import NotificationActivities
from failback.models.audit import AuditEntry, EntryKind
from failback.models.common import Level, Outcome, Side
from failback.models.messages import Delivery, DeliveryReport, Message, MessageKind
from failback.models.rollback import Decision, Phase, RollbackResult
from failback.providers.audit.fake import FakeAuditLog
from failback.providers.notify import ChannelNotifier, FakeNotifier
from failback.temporal import ids
from workers.composition import build_worker, workflow_runner
from workflows.notification import Notification

from support.fake_estate import FakeEstate, MakeEstate
from support.mail_server import mail_server
from support.messages import SECRETS, channels, message
from support.time_skipping import time_skipping
from support.vendors import vendors

pytestmark = pytest.mark.servers
ALICE = Decision(who="alice", role="engineering_lead")
KIND = MessageKind


class Post:
    """A notifier behind a real worker, on a server whose timers cost no time."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.notifier = FakeNotifier(channels=("chat", "pager"))
        self.audit = FakeAuditLog()

    async def told(self, **changes: Any) -> DeliveryReport:
        """Run one notification to its end."""
        one = message(**{"occurred_at": datetime.now(UTC), **changes})
        told = NotificationActivities(self.notifier, self.audit)
        async with Worker(
            self.client,
            task_queue="post",
            workflows=[Notification],
            activities=[told.plan_delivery, told.deliver, AuditActivities(self.audit).record],
            workflow_runner=workflow_runner(),
        ):
            return await self.client.execute_workflow(
                Notification.run,
                one,
                id=ids.notification_workflow(one.estate, one.key),
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                task_queue="post",
            )

    async def recorded(self) -> dict[str, Delivery]:
        """Deliveries by channel, as the audit log has them."""
        entries = await self.audit.read([EntryKind.NOTIFICATION])
        return {entry.who: Delivery.model_validate(entry.body["delivery"]) for entry in entries}


class PagerIsAway(FakeNotifier):
    """One channel that takes its eleventh try."""

    async def deliver(self, channel: str, message: Message) -> Delivery:
        """See `Notifier.deliver`."""
        tries = sum(call.arguments[0] == "pager" for call in self.called("deliver"))
        if channel == "pager" and tries < 10:
            self._record("deliver", (channel, message))
            return Delivery(
                channel=channel,
                kind=message.kind,
                delivered=False,
                retryable=True,
                occurred_at=message.occurred_at,
                detail="away",
            )
        return await super().deliver(channel, message)


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with time_skipping() as environment:
        yield Post(environment.client)


async def test_message_when_a_channel_fails_for_long_then_the_other_has_it_and_it_is_tried_on(
    post: Post,
) -> None:
    post.notifier = PagerIsAway(channels=("chat", "pager"))
    report = await post.told()
    assert sorted(one.channel for one in report.deliveries) == ["chat", "pager"]
    assert all(one.delivered and one.in_time for one in report.deliveries)
    recorded = await post.recorded()
    assert recorded["chat"].attempts == 1
    assert recorded["pager"].attempts == 11
    assert recorded == {one.channel: one for one in report.deliveries}


async def test_message_when_a_channel_stays_dead_then_given_up_after_an_hour_and_recorded(
    post: Post,
) -> None:
    post.notifier.channels = ("pager",)
    post.notifier.fail("deliver", times=None)
    report = await post.told()
    (delivery,) = report.deliveries
    assert (delivery.delivered, delivery.in_time) == (False, False)
    assert "does not answer" in delivery.detail
    assert delivery.attempts > 100
    assert (await post.recorded())["pager"] == delivery


async def test_message_when_a_vendor_refuses_it_then_not_tried_again(post: Post) -> None:
    post.notifier.retryable = False
    post.notifier.fail("deliver", times=None)
    report = await post.told()
    assert [one.attempts for one in report.deliveries] == [1, 1]
    assert len(post.notifier.called("deliver")) == 2


@pytest.mark.parametrize(("age_seconds", "in_time"), [(29, True), (31, False)])
async def test_delivery_when_measured_then_from_what_happened_to_the_vendor_s_answer(
    post: Post, age_seconds: float, in_time: bool
) -> None:
    post.notifier.channels = ("chat",)
    report = await post.told(occurred_at=datetime.now(UTC) - timedelta(seconds=age_seconds))
    (delivery,) = report.deliveries
    assert delivery.deadline_seconds == 30.0
    assert delivery.took_seconds is not None
    assert delivery.took_seconds >= age_seconds
    # A machine so slow that it takes a second makes the first case late as well.
    assert delivery.in_time == (delivery.took_seconds <= 30.0)
    assert in_time or not delivery.in_time


async def test_message_when_told_twice_then_delivered_once(post: Post) -> None:
    await post.told(key="k")
    with pytest.raises(WorkflowAlreadyStartedError):
        await post.told(key="k")
    assert len(post.notifier.told) == 2


async def test_start_when_a_channel_was_away_until_the_end_was_told_then_it_stays_unsaid(
    post: Post,
) -> None:
    post.notifier.channels = ("pager",)
    await post.told(kind=KIND.ROLLBACK_SUCCEEDED, key="end")
    post.notifier.fail("deliver")
    report = await post.told(kind=KIND.ROLLBACK_STARTED, key="start")
    (delivery,) = report.deliveries
    assert not delivery.delivered
    assert delivery.detail == "overtaken by ROLLBACK_SUCCEEDED"
    assert [told.message.key for told in post.notifier.told] == ["end"]


async def test_record_when_the_audit_log_is_away_then_written_later_and_not_told_again(
    post: Post,
) -> None:
    post.audit.fail("append_all", times=5)
    await post.told()
    assert len(post.notifier.told) == 2
    assert set(await post.recorded()) == {"chat", "pager"}


# In a rollback.


def kinds(fakes: FakeEstate) -> list[MessageKind]:
    return [told.kind for told in fakes.notifier.messages]


def notifications(fakes: FakeEstate) -> list[AuditEntry]:
    return [entry for entry in fakes.audit.entries if entry.kind is EntryKind.NOTIFICATION]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, for some time."""
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


async def until_told(fakes: FakeEstate, *wanted: MessageKind) -> None:
    """Wait until exactly these kinds were told, in any order."""
    await until(lambda: sorted(kinds(fakes)) == sorted(wanted))


async def test_level_1_when_it_runs_then_people_hear_of_its_start_and_its_end(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    started = await fakes.rollbacks.start(1, "errors", "alice")
    result = await fakes.rollbacks.result(None)
    await until_told(fakes, KIND.ROLLBACK_STARTED, KIND.ROLLBACK_SUCCEEDED)
    step = next(step for step in result.steps if step.name == "notify")
    assert (step.outcome, step.detail) == (Outcome.SUCCEEDED, "1 channels told")
    assert {told.rollback_id for told in fakes.notifier.messages} == {started.rollback_id}
    await until(lambda: len(notifications(fakes)) == 2)
    assert {entry.subject for entry in notifications(fakes)} == {started.rollback_id}


async def test_level_2_when_it_runs_then_approval_start_flip_and_end_are_told_once_each(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    started = await fakes.rollbacks.start(2, "wrong totals", "bob")
    await until_told(fakes, KIND.APPROVAL_NEEDED)
    (asked,) = fakes.notifier.messages
    assert started.rollback_id in asked.facts["approve"]
    await fakes.rollbacks.decide(started.rollback_id, "approve", ALICE)
    await fakes.rollbacks.result(None)
    await until_told(
        fakes,
        KIND.APPROVAL_NEEDED,
        KIND.ROLLBACK_STARTED,
        KIND.TRAFFIC_RESTORED,
        KIND.ROLLBACK_SUCCEEDED,
    )


async def test_level_2_when_rejected_then_people_hear_that_nothing_moved(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    started = await fakes.rollbacks.start(2, "wrong totals", "bob")
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    await fakes.rollbacks.decide(started.rollback_id, "reject", ALICE)
    await fakes.rollbacks.result(None)
    await until_told(fakes, KIND.APPROVAL_NEEDED, KIND.ROLLBACK_WITHDRAWN)


async def test_level_2_when_rows_differ_then_people_hear_of_the_failure_at_once(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.engine.corrupt(Side.TARGET, "silent", "x")
    started = await fakes.rollbacks.start(2, "wrong totals", "bob")
    await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
    await fakes.rollbacks.decide(started.rollback_id, "approve", ALICE)
    result = await fakes.rollbacks.result(None)
    assert not result.success
    await until(lambda: KIND.ROLLBACK_FAILED in kinds(fakes))


async def test_level_1_when_a_channel_never_answers_then_it_ends_and_delivery_outlives_it(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    fakes.notifier.channels = ("dead",)
    fakes.notifier.hang("deliver")
    started = await fakes.rollbacks.start(1, "errors", "alice")
    result = await fakes.rollbacks.result(None)
    assert result.success
    step = next(step for step in result.steps if step.name == "notify")
    assert (step.outcome, fakes.notifier.told) == (Outcome.INCONCLUSIVE, [])
    assert "delivery goes on" in step.detail
    assert result.execution_seconds < (step.ended_at or result.ended_at).timestamp() - (
        result.started_at.timestamp()
    )
    handle = fakes.client.get_workflow_handle(
        ids.notification_workflow(fakes.estate.estate, f"{started.rollback_id}/ended")
    )
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    fakes.notifier.release("deliver")
    await until_told(fakes, KIND.ROLLBACK_STARTED, KIND.ROLLBACK_SUCCEEDED)


async def test_level_1_when_told_by_every_vendor_then_all_on_record_in_time_and_no_secret_is(
    make_estate: MakeEstate, tmp_path: Path
) -> None:
    async with vendors() as hosts, mail_server(tmp_path) as mail:
        hosts.statuses["pagerduty"] = [500, 400]
        hosts.statuses["slack"] = [403]
        fakes = await make_estate(worker=False)
        notifier = ChannelNotifier(channels(hosts, mail))
        ports = replace(fakes.ports, notifier=notifier)
        queue = fakes.estate.temporal.task_queue
        async with build_worker(fakes.client, queue, ports, fakes.threads):
            await fakes.rollbacks.start(1, "known-reason", "alice")
            await fakes.rollbacks.result(None)
            found: dict[str, bytes] = {}
            async with asyncio.timeout(20):
                while sum(key.startswith("notify/") for key in found) < 2:
                    found = await _histories(fakes)
        await notifier.aclose()
        assert {one["status"] for one in hosts.incidents} == {"resolved"}
        assert len(mail.mails) == 2
    recorded = [Delivery.model_validate(entry.body["delivery"]) for entry in notifications(fakes)]
    assert {one.channel for one in recorded if one.in_time} >= {"email", "statuspage", "slack-bot"}
    assert {one.deadline_seconds for one in recorded} == {30.0, 60.0}
    assert any(b"known-reason" in text for text in found.values())
    assert any(b"HTTP 403" in text for text in found.values())
    assert [
        (secret, where)
        for where, text in found.items()
        for secret in SECRETS
        if secret.encode() in text
    ] == []


async def test_rehearsal_when_it_ends_then_it_told_by_itself_and_left_no_workflow_behind(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate()
    request = await fakes.rollbacks.dry_run_request(Level.TRAFFIC, "rehearsal", "alice")
    result: RollbackResult = await fakes.client.execute_workflow(
        "TrafficRollback",
        request,
        id=f"dry-run/{request.rollback_id}",
        task_queue=fakes.estate.temporal.task_queue,
        result_type=RollbackResult,
    )
    assert result.success, result.error
    assert kinds(fakes) == [KIND.ROLLBACK_SUCCEEDED]
    assert set(await _histories(fakes)) == {f"dry-run/{request.rollback_id}"}
    assert not fakes.post_mortems.kept


async def _histories(fakes: FakeEstate) -> dict[str, bytes]:
    """Every ended workflow's history, as it is stored."""
    found = {}
    query = f'TaskQueue = "{fakes.estate.temporal.task_queue}" AND ExecutionStatus = "Completed"'
    async for run in fakes.client.list_workflows(query):
        handle = fakes.client.get_workflow_handle(run.id, run_id=run.run_id)
        events = (await handle.fetch_history()).events
        found[run.id] = b"\n".join(event.SerializeToString() for event in events)
    return found
