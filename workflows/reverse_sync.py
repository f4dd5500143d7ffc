"""ReverseSync: keeps the source about a second behind while the migration is live."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.database import DatabaseActivities
    from failback.models.common import Payload
    from failback.models.requests import KeepSyncedRequest
from workflows import options

_STRETCH_SECONDS = 300.0
"""One activity's share; the position lives on the source, so nothing is carried between."""


class ReverseSyncRequest(Payload):
    """Starts the continuous sync, or carries it over a continue-as-new."""

    estate: str
    interval_seconds: float = 1.0
    keys: int = 0
    batches: int = 0
    paused: bool = False


@workflow.defn(name="ReverseSync")
class ReverseSync:
    """Runs batches until it is cancelled; may be paused and resumed by signal."""

    @workflow.init
    def __init__(self, request: ReverseSyncRequest) -> None:
        self._state = request
        self._position = ""

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
                ),
                **options.persistent(),
            )
            self._position = report.position
            self._state = self._state.model_copy(
                update={
                    "keys": self._state.keys + report.keys,
                    "batches": self._state.batches + report.batches,
                }
            )
            workflow.set_current_details(
                f"{self._state.batches} batches, {self._state.keys} keys, at {self._position}"
            )
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(self._state)

    @workflow.signal
    def pause(self) -> None:
        """Stop after the running stretch; the slot keeps what is not carried over."""
        self._state = self._state.model_copy(update={"paused": True})

    @workflow.signal
    def resume(self) -> None:
        """Go on."""
        self._state = self._state.model_copy(update={"paused": False})

    @workflow.query
    def progress(self) -> ReverseSyncRequest:
        """Totals so far, the running stretch not included."""
        return self._state
