"""ReverseSync: keeps the source about a second behind while the migration is live."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.catch_up import CatchUpActivities
    from activities.database import DatabaseActivities
    from failback.models.catch_up import (
        CarryShareRequest,
        CatchUpPlan,
        CatchUpProgress,
        CatchUpRequest,
        CatchUpShare,
        SettleCatchUpRequest,
        ShareOutcome,
        ShareReport,
    )
    from failback.models.common import Payload
    from failback.models.requests import KeepSyncedRequest
from workflows import options

_STRETCH_SECONDS = 300.0
"""One activity's share; the position lives on the source, so nothing is carried between."""
_LARGE_BYTES = 64 * 2**20


class ReverseSyncRequest(Payload):
    """Starts the continuous sync, or carries it over a continue-as-new."""

    estate: str
    interval_seconds: float = 1.0
    keys: int = 0
    batches: int = 0
    paused: bool = False
    catch_up_bytes: int = _LARGE_BYTES
    """From so much log behind the target, the backlog is shared out; 0 leaves it to batches."""
    catch_ups: int = 0
    """Backlogs that were carried in shares."""
    catch_up: CatchUpProgress | None = None
    """The one that is being carried now."""


@workflow.defn(name="ReverseSync")
class ReverseSync:
    """Runs batches until it is cancelled; may be paused and resumed by signal.

    A large backlog is cut into shares, which any worker on the task queue may carry. Where that
    does not end well, the next stretch carries it in batches.
    """

    @workflow.init
    def __init__(self, request: ReverseSyncRequest) -> None:
        self._state = request.model_copy(update={"catch_up": None})
        self._position = ""
        self._hand_over = request.catch_up_bytes

    @workflow.run
    async def run(self, request: ReverseSyncRequest) -> None:
        """Stretch after stretch, with a fresh history every now and then."""
        while not workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(lambda: not self._state.paused)
            report = await workflow.execute_activity_method(
                DatabaseActivities.keep_synced,
                KeepSyncedRequest(
                    estate=self._state.estate,
                    interval_seconds=self._state.interval_seconds,
                    run_seconds=_STRETCH_SECONDS,
                    hand_over_bytes=self._hand_over,
                ),
                **options.persistent(),
            )
            self._heed_cancel()
            self._position = report.position
            self._state = self._state.model_copy(
                update={
                    "keys": self._state.keys + report.keys,
                    "batches": self._state.batches + report.batches,
                }
            )
            self._tell()
            self._hand_over = self._state.catch_up_bytes
            if report.backlog_bytes and not await self._caught_up():
                # So that a backlog which cannot be shared out is carried all the same.
                self._hand_over = 0
            self._heed_cancel()
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(self._state)

    @staticmethod
    def _heed_cancel() -> None:
        """End here where a cancel was delivered to an activity that had just ended by itself."""
        if workflow.cancellation_reason() is not None and workflow.patched("heed-cancel"):
            raise asyncio.CancelledError

    async def _caught_up(self) -> bool:
        """Have the backlog carried in shares; False where batches have to go on with it."""
        try:
            plan = await workflow.execute_activity_method(
                CatchUpActivities.plan_catch_up,
                CatchUpRequest(estate=self._state.estate),
                **options.persistent(),
            )
            if not plan.run:
                workflow.logger.info("no catch-up: %s", plan.declined)
                return False
            await self._carry(plan)
            self._heed_cancel()
            report = await workflow.execute_activity_method(
                CatchUpActivities.settle_catch_up,
                SettleCatchUpRequest(estate=self._state.estate, run=plan.run),
                **options.persistent(),
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            # The next stretch meets the same cause, and says what to do about it.
            workflow.logger.warning("a catch-up failed: %s", error.cause)
            return False
        finally:
            self._state = self._state.model_copy(update={"catch_up": None})
            self._tell()
        if not report.settled:
            workflow.logger.info("a catch-up was left to batches: %s", report.detail)
            return False
        self._position = report.position
        self._state = self._state.model_copy(
            update={
                "keys": self._state.keys + report.keys,
                "catch_ups": self._state.catch_ups + 1,
            }
        )
        self._tell()
        return True

    async def _carry(self, plan: CatchUpPlan) -> None:
        """So many shares at once, the largest first, until all are carried or one cannot be."""
        progress = CatchUpProgress(
            run=plan.run,
            shares=plan.of_shares,
            shares_carried=plan.of_shares - len(plan.shares),
            keys=plan.keys,
            keys_carried=plan.keys_carried,
            started_at=workflow.now(),
        )
        self._state = self._state.model_copy(update={"catch_up": progress})
        self._tell()
        left = list(plan.shares)

        async def hand() -> None:
            while left and workflow.cancellation_reason() is None:
                await workflow.wait_condition(lambda: not self._state.paused)
                if not left:
                    return
                share = left.pop(0)
                try:
                    report = await self._carried(plan, share)
                except BaseException:
                    left.clear()
                    raise
                if report.outcome is not ShareOutcome.CARRIED:
                    workflow.logger.info("share %s: %s", share.number, report.detail)
                    left.clear()
                    return
                self._note(report, plan)

        hands = [hand() for _ in range(max(1, min(plan.at_once, len(left))))]
        for ended in await asyncio.gather(*hands, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended

    async def _carried(self, plan: CatchUpPlan, share: CatchUpShare) -> ShareReport:
        return await workflow.execute_activity_method(
            CatchUpActivities.carry_share,
            CarryShareRequest(estate=self._state.estate, run=plan.run, share=share.number),
            summary=f"{share.label}, {share.keys} keys",
            **options.persistent(),
        )

    def _note(self, report: ShareReport, plan: CatchUpPlan) -> None:
        """Count a share that was carried, and reckon how long the others take."""
        progress = self._state.catch_up
        if progress is None or progress.started_at is None:
            return
        done = progress.keys_carried + report.keys
        fresh = done - plan.keys_carried
        seconds = (workflow.now() - progress.started_at).total_seconds()
        self._state = self._state.model_copy(
            update={
                "catch_up": progress.model_copy(
                    update={
                        "shares_carried": progress.shares_carried + 1,
                        "keys_carried": done,
                        "rows": progress.rows + report.rows,
                        "bytes": progress.bytes + report.bytes,
                        "seconds_to_go": (plan.keys - done) * seconds / fresh if fresh else None,
                    }
                )
            }
        )
        self._tell()

    def _tell(self) -> None:
        """The story so far, in Temporal's own UI."""
        told = f"{self._state.batches} batches, {self._state.keys} keys, at {self._position}"
        if self._state.catch_up is not None:
            told = f"{told}; {self._state.catch_up.told}"
        workflow.set_current_details(told)

    @workflow.signal
    def pause(self) -> None:
        """Stop after the running stretch or share; capture keeps what is not carried over."""
        self._state = self._state.model_copy(update={"paused": True})

    @workflow.signal
    def resume(self) -> None:
        """Go on."""
        self._state = self._state.model_copy(update={"paused": False})

    @workflow.query
    def progress(self) -> ReverseSyncRequest:
        """Totals so far, the running stretch not included, and the catch-up at work."""
        return self._state
