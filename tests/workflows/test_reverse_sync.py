"""The continuous sync: stretches of batches, and a large backlog shared out between them."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from failback.models.catch_up import (
    CarryShareRequest,
    CatchUpPlan,
    CatchUpReport,
    CatchUpRequest,
    CatchUpShare,
    SettleCatchUpRequest,
    ShareOutcome,
    ShareReport,
)
from failback.models.requests import KeepSyncedReport, KeepSyncedRequest
from workers.composition import workflow_runner
from workflows.reverse_sync import ReverseSync, ReverseSyncRequest

from support.time_skipping import time_skipping

pytestmark = pytest.mark.servers

BACKLOG = 2**30
SHARES = tuple(CatchUpShare(number=n, label="public.item", keys=10) for n in range(1, 6))
PLAN = CatchUpPlan(run="one", shares=SHARES, of_shares=5, keys=50, at_once=2)


@dataclass
class Effects:
    """What activities were asked for, and what they answer."""

    plan: CatchUpPlan = PLAN
    settled: bool = True
    refused: int = 0
    """A share that cannot be carried."""
    broken: int = 0
    """A share that fails for good."""
    ends_by_itself: bool = False
    """The stretch is over when the cancel comes."""
    hand_overs: list[int] = field(default_factory=list)
    carried: list[int] = field(default_factory=list)
    settles: list[str] = field(default_factory=list)
    at_work: int = 0
    most_at_work: int = 0
    backlogs: deque[int] = field(default_factory=lambda: deque([BACKLOG]))
    stretches: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    shares: asyncio.Semaphore | None = None
    """Taken by each share before it ends, where it is to be held."""

    @activity.defn(name="keep_synced")
    async def keep_synced(self, request: KeepSyncedRequest) -> KeepSyncedReport:
        """One stretch; without a backlog it lasts until it is cancelled."""
        self.hand_overs.append(request.hand_over_bytes)
        self.stretches.release()
        if self.backlogs:
            return KeepSyncedReport(batches=1, keys=7, backlog_bytes=self.backlogs.popleft())
        while True:
            activity.heartbeat()
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                if self.ends_by_itself:
                    return KeepSyncedReport()
                raise

    @activity.defn(name="plan_catch_up")
    async def plan_catch_up(self, request: CatchUpRequest) -> CatchUpPlan:
        """The plan that the test wants."""
        del request
        return self.plan

    @activity.defn(name="carry_share")
    async def carry_share(self, request: CarryShareRequest) -> ShareReport:
        """Takes a moment, so that shares overlap."""
        assert request.run == "one"
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        if self.shares is not None:
            await self.shares.acquire()
        await asyncio.sleep(0.01)
        self.at_work -= 1
        if request.share == self.broken:
            raise ApplicationError("capture is lost", type="SlotLostError", non_retryable=True)
        if request.share == self.refused:
            return ShareReport(outcome=ShareOutcome.REFUSED, detail="drifted")
        self.carried.append(request.share)
        return ShareReport(outcome=ShareOutcome.CARRIED, keys=10, rows=9, bytes=100)

    @activity.defn(name="settle_catch_up")
    async def settle_catch_up(self, request: SettleCatchUpRequest) -> CatchUpReport:
        """As the test wants it to end."""
        self.settles.append(request.run)
        settled = self.settled and len(self.carried) == len(self.plan.shares)
        return CatchUpReport(settled=settled, position="0/50", keys=50)

    async def stretches_begun(self, count: int) -> None:
        """Wait until so many stretches have begun."""
        async with asyncio.timeout(20):
            while len(self.hand_overs) < count:
                await self.stretches.acquire()


@pytest.fixture
async def environment() -> AsyncIterator[WorkflowEnvironment]:
    """A server whose timers cost no time."""
    async with time_skipping() as made:
        yield made


class Running:
    """The workflow on a worker with these effects, cancelled at the end."""

    def __init__(self, client: Client, effects: Effects) -> None:
        self._client = client
        self._worker = Worker(
            client,
            task_queue="sync",
            workflows=[ReverseSync],
            activities=[
                effects.keep_synced,
                effects.plan_catch_up,
                effects.carry_share,
                effects.settle_catch_up,
            ],
            workflow_runner=workflow_runner(),
            # A cancel arrives with a heartbeat.
            max_heartbeat_throttle_interval=timedelta(milliseconds=50),
        )

    async def __aenter__(self) -> WorkflowHandle[ReverseSync, None]:
        await self._worker.__aenter__()
        self._handle = await self._client.start_workflow(
            ReverseSync.run, ReverseSyncRequest(estate="shop"), id="sync", task_queue="sync"
        )
        return self._handle

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(RPCError):
            await self._handle.cancel()
        try:
            with pytest.raises(WorkflowFailureError):
                await asyncio.wait_for(self._handle.result(), 10)
        except TimeoutError:
            await self._handle.terminate()
            raise
        finally:
            await self._worker.__aexit__(None, None, None)


async def test_backlog_when_large_then_it_is_shared_out_and_settled(
    environment: WorkflowEnvironment,
) -> None:
    effects = Effects()
    async with Running(environment.client, effects) as handle:
        await effects.stretches_begun(2)
        state = await handle.query(ReverseSync.progress)
    assert sorted(effects.carried) == [1, 2, 3, 4, 5]
    assert effects.most_at_work == PLAN.at_once
    assert effects.settles == ["one"]
    assert (state.catch_ups, state.keys, state.catch_up) == (1, 57, None)
    # The next stretch may hand over again.
    assert effects.hand_overs == [64 * 2**20] * 2


async def test_progress_when_asked_for_in_the_middle_then_it_tells_shares_rows_and_time_to_go(
    environment: WorkflowEnvironment,
) -> None:
    effects = Effects(shares=asyncio.Semaphore(2))
    assert effects.shares is not None
    async with Running(environment.client, effects) as handle:
        async with asyncio.timeout(20):
            while True:
                found = (await handle.query(ReverseSync.progress)).catch_up
                if found is not None and found.shares_carried == 2:
                    break
                await asyncio.sleep(0.02)
        assert (found.shares, found.keys, found.keys_carried) == (5, 50, 20)
        assert (found.rows, found.bytes) == (18, 200)
        assert found.seconds_to_go is not None
        assert "2 of 5 shares, 20 of 50 keys, 18 rows, 200 bytes" in found.told
        for _ in range(3):
            effects.shares.release()
        await effects.stretches_begun(2)


@pytest.mark.parametrize(
    "effects",
    [
        pytest.param(Effects(plan=CatchUpPlan(declined="few")), id="declined"),
        pytest.param(Effects(refused=1), id="refused"),
        pytest.param(Effects(broken=2), id="broken"),
        pytest.param(Effects(settled=False), id="not-settled"),
    ],
)
async def test_catch_up_when_it_does_not_end_well_then_batches_carry_the_backlog(
    environment: WorkflowEnvironment, effects: Effects
) -> None:
    effects.backlogs = deque([BACKLOG, 0])
    async with Running(environment.client, effects) as handle:
        await effects.stretches_begun(3)
        state = await handle.query(ReverseSync.progress)
    assert (state.catch_ups, state.catch_up) == (0, None)
    # One stretch carries whatever there is; afterwards a backlog may be handed over again.
    assert effects.hand_overs == [64 * 2**20, 0, 64 * 2**20]
    if effects.refused or effects.broken:
        assert len(effects.carried) < len(SHARES)


async def test_cancel_when_the_stretch_ends_by_itself_then_no_other_one_begins(
    environment: WorkflowEnvironment,
) -> None:
    effects = Effects(backlogs=deque())
    async with Running(environment.client, effects) as handle:
        await effects.stretches_begun(1)
        effects.ends_by_itself = True
        await handle.cancel()
    assert len(effects.hand_overs) == 1
