"""Jobs of pg_cron that run, vanish or come while they are paused, on a real server."""

import psycopg
import pytest

from failback.errors import ConfigurationError
from failback.lab.databases import DatabasePair
from failback.models.common import Outcome, Side
from failback.providers.pauses import Told
from failback.providers.pauses.pg_cron import CronActivity
from failback.reverse_sync.connections import Servers
from failback.sections.pauses import PauseCronConfig

from support.pausable import cron_in

pytestmark = pytest.mark.servers
TOLD = Told("rb-1", "why", "key")


async def test_run_under_way_then_it_is_waited_for_and_told(databases: DatabasePair) -> None:
    cron = cron_in(databases, alters=True)
    activity = cron.activity()
    remembered = await activity.look()
    with psycopg.connect(cron.dsn, autocommit=True) as running:
        run = "INSERT INTO cron.job_run_details (jobid, runid, job_pid, status) VALUES"
        running.execute(f"{run} (1, 1, pg_backend_pid(), 'running'), (3, 2, 0, 'running')")
        seen = await activity.stop(TOLD, remembered)
        assert (seen.outcome, seen.detail) == (Outcome.INCONCLUSIVE, "runs of jobs go on: 1")
    patient = cron.activity(wait_seconds=20)
    assert (await patient.stop(TOLD, remembered)).outcome is Outcome.SUCCEEDED


async def test_job_when_activated_after_the_look_then_it_is_not_stopped_unremembered(
    databases: DatabasePair,
) -> None:
    cron = cron_in(databases, alters=True)
    activity = cron.activity()
    remembered = await activity.look()
    cron.run("UPDATE cron.job SET active = true WHERE jobid = 2")
    seen = await activity.stop(TOLD, remembered)
    assert (seen.outcome, seen.detail) == (Outcome.FAILED, "still active: nightly_off")
    assert cron.active() == {2, 4}


async def test_job_when_deleted_while_paused_then_the_others_go_on(
    databases: DatabasePair,
) -> None:
    cron = cron_in(databases, alters=True)
    activity = cron.activity()
    remembered = await activity.look()
    await activity.stop(TOLD, remembered)
    cron.run("DELETE FROM cron.job WHERE jobid = 3")
    seen = await activity.start(TOLD, remembered)
    assert (seen.outcome, seen.detail) == (
        Outcome.SUCCEEDED,
        "1 jobs active; deleted meanwhile: 3",
    )
    assert cron.active() == {1, 4}


async def test_pg_cron_when_it_is_not_there_then_it_says_where(databases: DatabasePair) -> None:
    servers = Servers(databases.admin_dsn(Side.SOURCE), databases.target_dsn)
    activity = CronActivity(PauseCronConfig(), servers)
    with pytest.raises(ConfigurationError, match="There is no pg_cron in the target database"):
        await activity.look()
