"""The continuous archiving: it goes on whatever stands in its way, and people hear of it once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from failback.models.archive import ArchivingRequest, KeepArchivedReport, KeepArchivedRequest
from failback.models.messages import DeliveryReport, Message
from workers.composition import workflow_runner
from workflows.archiving import Archiving

from support.time_skipping import time_skipping

pytestmark = pytest.mark.servers

WELL = KeepArchivedReport(rounds=5, last_position="0/50")
AWAY = KeepArchivedReport(failed=3, problem="The store is away.", cure="Mend it.")
GAP = KeepArchivedReport(rounds=1, last_position="0/90", gap="There is a gap before 0/80.")

AGAIN = timedelta(seconds=31)

TOLD: list[Message] = []


@workflow.defn(name="Notification", sandboxed=False)
class Told:
    """Stands for the delivery of messages."""

    @workflow.run
    async def run(self, message: Message) -> DeliveryReport:
        """Only remembers."""
        TOLD.append(message)
        return DeliveryReport()


@dataclass
class Stretches:
    """What stretches come to, one after the other; the last one lasts until it is cancelled."""

    reports: deque[KeepArchivedReport | str]
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn(name="keep_archived")
    async def keep_archived(self, request: KeepArchivedRequest) -> KeepArchivedReport:
        """One stretch."""
        assert (request.interval_seconds, request.alert_seconds) == (2.0, 30.0)
        if self.reports:
            report = self.reports.popleft()
            if isinstance(report, str):
                raise ApplicationError(report, type="ArchiveError", non_retryable=True)
            return report
        self.over.set()
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.05)


@pytest.fixture
async def environment() -> AsyncIterator[WorkflowEnvironment]:
    """A server whose timers cost no time."""
    TOLD.clear()
    async with time_skipping() as made:
        yield made


async def _run(
    environment: WorkflowEnvironment, *reports: KeepArchivedReport | str
) -> ArchivingRequest:
    """Let the stretches come to this, and cancel; returns what is known in the end."""
    client, stretches = environment.client, Stretches(deque(reports))
    async with Worker(
        client,
        task_queue="archive",
        workflows=[Archiving, Told],
        activities=[stretches.keep_archived],
        workflow_runner=workflow_runner(),
        # A cancel arrives with a heartbeat.
        max_heartbeat_throttle_interval=timedelta(milliseconds=50),
    ):
        handle = await client.start_workflow(
            Archiving.run,
            ArchivingRequest(estate="shop", interval_seconds=2.0, alert_seconds=30.0),
            id="archive/shop",
            task_queue="archive",
        )
        async with asyncio.timeout(20):
            over = asyncio.create_task(stretches.over.wait())
            while not over.done():
                # The pause after a stretch that did not go well; none passes in an activity.
                pause = asyncio.create_task(environment.sleep(AGAIN))
                await asyncio.wait((over, pause), return_when=asyncio.FIRST_COMPLETED)
                pause.cancel()
        state = await handle.query(Archiving.progress)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await asyncio.wait_for(handle.result(), 10)
    return state


async def test_archiving_when_the_store_stays_away_then_people_are_told_once_and_it_goes_on(
    environment: WorkflowEnvironment,
) -> None:
    state = await _run(environment, WELL, AWAY, AWAY, WELL, AWAY)
    assert [message.subject for message in TOLD] == ["changes are not archived"] * 2
    assert "Mend it." in TOLD[0].text
    assert TOLD[0].facts == {"archived up to": "0/50"}
    assert (state.rounds, state.problem) == (10, "The store is away.")


async def test_archiving_when_a_gap_appears_then_people_are_told_but_not_of_an_old_one(
    environment: WorkflowEnvironment,
) -> None:
    await _run(environment, WELL, GAP, GAP)
    assert [message.subject for message in TOLD] == ["changes are missing from the archive"]
    assert GAP.gap in TOLD[0].text


async def test_archiving_when_the_gap_is_older_than_it_then_nobody_is_told(
    environment: WorkflowEnvironment,
) -> None:
    state = await _run(environment, GAP, GAP)
    assert TOLD == []
    assert state.gap == GAP.gap


async def test_archiving_when_an_attempt_fails_for_good_then_it_goes_on_all_the_same(
    environment: WorkflowEnvironment,
) -> None:
    state = await _run(environment, "The archive cannot be read.", WELL)
    assert [message.text for message in TOLD] == ["The archive cannot be read."]
    assert (state.rounds, state.problem) == (5, "")
