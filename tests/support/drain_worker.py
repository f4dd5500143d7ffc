"""A worker process that drains as activities do, and tells on its output when it begins to.

Run as `python -m support.drain_worker` with ADDRESS, ESTATE, SOURCE, TARGET and CHANGES set.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from activities.database import DatabaseActivities
    from failback.models.requests import DrainRequest
    from failback.models.sync import DrainReport
    from failback.reverse_sync.engine import ReverseSync
    from failback.reverse_sync.pulse import Progress
    from failback.reverse_sync.settings import SyncSettings

QUEUE = "drains"


@workflow.defn
class DrainBacklog:
    """Has the backlog drained, by whichever worker is alive."""

    @workflow.run
    async def run(self, deadline_seconds: float) -> DrainReport:
        """Drain; a worker that died is noticed by its missing heartbeats."""
        return await workflow.execute_activity_method(
            DatabaseActivities.catch_up,
            DrainRequest(rollback_id="test", step="drain", deadline_seconds=deadline_seconds),
            start_to_close_timeout=timedelta(seconds=deadline_seconds),
            heartbeat_timeout=timedelta(seconds=2),
            retry_policy=RetryPolicy(
                initial_interval=timedelta(milliseconds=50),
                maximum_interval=timedelta(milliseconds=200),
            ),
        )


class TellingSync(ReverseSync):
    """Tells when a drain begins."""

    def drain(self, deadline_seconds: float, progress: Progress | None = None) -> DrainReport:
        """See `ReverseSync.drain`."""
        print("draining", flush=True)  # noqa: T201 - the parent process waits for it
        return super().drain(deadline_seconds, progress)


async def main() -> None:
    """Work until killed."""
    client = await Client.connect(os.environ["ADDRESS"], data_converter=pydantic_data_converter)
    settings = SyncSettings(
        os.environ["ESTATE"],
        os.environ["SOURCE"],
        os.environ["TARGET"],
        batch_changes=int(os.environ["CHANGES"]),
    )
    with ThreadPoolExecutor(4) as threads:
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[DrainBacklog],
            activities=[DatabaseActivities(TellingSync(settings)).catch_up],
            activity_executor=threads,
        )
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
