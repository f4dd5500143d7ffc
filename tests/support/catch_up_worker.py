"""A worker process of the continuous sync that tells on its output what it is at.

Run as `python -m support.catch_up_worker` with ADDRESS, ESTATE, SOURCE, TARGET and SHARE_KEYS set.
With HALT set, its first share stops for good when its rows are deleted and not yet inserted.
"""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from activities.catch_up import CatchUpActivities
from activities.database import DatabaseActivities
from failback.models.catch_up import ShareReport
from failback.reverse_sync import catch_up_share
from failback.reverse_sync.apply import Carrier, Work
from failback.reverse_sync.catch_up import CatchUp
from failback.reverse_sync.catch_up_plan import Sizes
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.pulse import Progress
from failback.reverse_sync.settings import SyncSettings
from workers.composition import workflow_runner
from workflows.reverse_sync import ReverseSync as ReverseSyncWorkflow

QUEUE = "sync"


def tell(word: str) -> None:
    """Tell the parent process, which waits for it."""
    print(word, flush=True)  # noqa: T201 - the parent process reads it


class HaltingCarrier(Carrier):
    """Never inserts what it has deleted."""

    def _copy(self, work: Work) -> tuple[int, int]:
        del work
        tell("halted")
        threading.Event().wait()
        return 0, 0


class TellingCatchUp(CatchUp):
    """Tells which shares it has carried."""

    def carry_share(self, run: str, share: int, progress: Progress | None = None) -> ShareReport:
        """See `CatchUp.carry_share`."""
        report = super().carry_share(run, share, progress)
        tell(f"{report.outcome} {share}")
        return report


async def main() -> None:
    """Work until killed."""
    client = await Client.connect(os.environ["ADDRESS"], data_converter=pydantic_data_converter)
    settings = SyncSettings(
        os.environ["ESTATE"], os.environ["SOURCE"], os.environ["TARGET"], batch_changes=2000
    )
    if os.environ.get("HALT"):
        catch_up_share.Carrier = HaltingCarrier  # type: ignore[misc] # this process is to be killed
    keys = int(os.environ["SHARE_KEYS"])
    shared = CatchUpActivities(TellingCatchUp(settings, Sizes(share_keys=keys, fewest_keys=1)))
    with ThreadPoolExecutor(8) as threads:
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[ReverseSyncWorkflow],
            activities=[
                DatabaseActivities(ReverseSync(settings)).keep_synced,
                shared.plan_catch_up,
                shared.carry_share,
                shared.settle_catch_up,
            ],
            activity_executor=threads,
            workflow_runner=workflow_runner(),
        )
        tell("ready")
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
