"""A rollback that only says what it would do: the real workflow on ports that do not write."""

from concurrent.futures import ThreadPoolExecutor

from temporalio.client import Client

from failback.config import Estate
from failback.models.common import Level
from failback.models.rollback import RollbackResult
from failback.providers.compose import compose, dry_run
from failback.providers.dry_run import DryRunJournal, DryRunSync
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.settings import SyncSettings
from failback.temporal.rollbacks import Rollbacks
from failback.temporal.starting import WORKFLOW_OF_LEVEL
from workers.composition import THREADS, WorkerPorts, build_worker
from workers.system import system_ports, told


async def rehearse(
    client: Client, estate: Estate, level: Level, reason: str, requested_by: str
) -> tuple[str, ...]:
    """What a rollback would do now, in order, as sentences.

    The workflow is the one that a real rollback runs, so that this cannot drift from it.
    It runs under an id and a task queue of its own, and asks nobody.

    Raises:
        UnreachableError: a server that is read does not answer.
    """
    request = await Rollbacks(client, estate).dry_run_request(level, reason, requested_by)
    journal = DryRunJournal()
    real = compose(estate)
    engine = ReverseSync(SyncSettings.of(estate))
    dry = dry_run(real, journal)
    queue = f"{estate.temporal.task_queue}-dry-run-{request.rollback_id}"
    try:
        with ThreadPoolExecutor(THREADS) as threads:
            async with (
                system_ports(estate, real, engine) as system,
                build_worker(
                    client,
                    queue,
                    WorkerPorts(
                        balancer=dry.balancer,
                        dns=dry.dns,
                        checks=dry.checks,
                        notifier=dry.notifier,
                        engine=DryRunSync(engine, journal),
                        system=told(system, journal),
                    ),
                    threads,
                ),
            ):
                result: RollbackResult = await client.execute_workflow(
                    WORKFLOW_OF_LEVEL[level],
                    request,
                    id=f"dry-run/{estate.estate}/{request.rollback_id}",
                    task_queue=queue,
                    result_type=RollbackResult,
                )
    finally:
        engine.close()
        await real.aclose()
    if result.error:
        return (*journal.sentences(), f"Then it would stop: {result.error}")
    return journal.sentences()
