"""Activities that can be paused: a fake, a hook, programs, and jobs of pg_cron."""

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from aiohttp import web

from failback.lab.databases import DatabasePair
from failback.models.common import Side
from failback.providers.audit.file import FileAuditLog
from failback.providers.pauses import Activity, EstatePauses, FakeActivity, PauseMemory
from failback.providers.pauses.command import CommandActivity
from failback.providers.pauses.hook import HookActivity
from failback.providers.pauses.pg_cron import CronActivity
from failback.reverse_sync.connections import Servers
from failback.sections.pauses import PauseCommandConfig, PauseCronConfig, PauseHookConfig

from support.settings_places import served

TOKEN, SECRET = "hook-token", "whsec_c2lnbmVkIGJ5IGZhaWxiYWNr"
NAME = "sync"


@dataclass
class Pausable:
    """One activity of an estate whose workers come and go."""

    log: Path
    make: Callable[[], Activity]
    runs: Callable[[], bool]
    run_again: Callable[[], None]
    """Somebody lets it run behind our back."""
    break_it: Callable[[], None]
    """From now on it cannot be asked."""

    def worker(self, *, configured: bool = True) -> EstatePauses:
        """The pauses as a new process has them."""
        activities = {NAME: self.make()} if configured else {}
        return EstatePauses(activities, PauseMemory(FileAuditLog(self.log)))


@asynccontextmanager
async def a_fake(folder: Path) -> AsyncIterator[Pausable]:
    activity = FakeActivity()

    def break_it() -> None:
        for method in ("look", "stop", "start", "running"):
            activity.fail(method, None)

    yield Pausable(
        folder / "audit.sqlite3",
        lambda: activity,
        lambda: bool(activity.running_jobs),
        lambda: activity.running_jobs.update({1, 2}),
        break_it,
    )


@dataclass
class SyncServer:
    """Something that migrates, with hooks to pause it."""

    paused: bool = False
    down: bool = False
    deaf: bool = False
    """Whether it says yes and does nothing."""
    calls: list[tuple[dict[str, Any], dict[str, str], bytes]] = field(default_factory=list)

    async def told(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.calls.append((json.loads(body), dict(request.headers), body))
        if self.down or request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=503 if self.down else 401)
        if not self.deaf:
            self.paused = request.path == "/pause"
        return web.Response(status=202)

    async def status(self, _request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=503)
        return web.json_response({"paused": self.paused})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[PauseHookConfig]:
        app = web.Application()
        app.router.add_post("/pause", self.told)
        app.router.add_post("/resume", self.told)
        app.router.add_get("/status", self.status)
        async with served(app) as url:
            yield PauseHookConfig.model_validate(
                {
                    "pause_url": f"{url}/pause",
                    "resume_url": f"{url}/resume",
                    "status_url": f"{url}/status",
                    "token": TOKEN,
                    "signing_secret": SECRET,
                }
            )


@asynccontextmanager
async def a_hook(folder: Path) -> AsyncIterator[Pausable]:
    server = SyncServer()
    made: list[Activity] = []

    def make() -> Activity:
        made.append(HookActivity("shop", NAME, config, pause_seconds=0.001))
        return made[-1]

    async with server.running() as config:
        yield Pausable(
            folder / "audit.sqlite3",
            make,
            lambda: not server.paused,
            lambda: setattr(server, "paused", False),
            lambda: setattr(server, "down", True),
        )
        for one in made:
            await one.aclose()


@asynccontextmanager
async def a_program(folder: Path) -> AsyncIterator[Pausable]:
    flag = folder / "paused"
    config = PauseCommandConfig.model_validate(
        {
            "pause": ["touch", str(flag)],
            "resume": ["rm", "-f", str(flag)],
            "status": ["test", "-e", str(flag)],
        }
    )
    broken = config.model_copy(
        update={"pause": ("/nowhere",), "resume": ("/nowhere",), "status": ("/nowhere",)}
    )
    state = {"config": config}
    yield Pausable(
        folder / "audit.sqlite3",
        lambda: CommandActivity("shop", NAME, state["config"]),
        lambda: not flag.exists(),
        flag.unlink,
        lambda: state.update(config=broken),
    )


CRON = """
CREATE SCHEMA cron;
CREATE TABLE cron.job (
    jobid bigint PRIMARY KEY, schedule text NOT NULL, command text NOT NULL,
    nodename text NOT NULL DEFAULT 'localhost', nodeport int NOT NULL DEFAULT 5432,
    database text NOT NULL DEFAULT current_database(), username text NOT NULL DEFAULT current_user,
    active boolean NOT NULL DEFAULT true, jobname text
);
CREATE TABLE cron.job_run_details (
    jobid bigint, runid bigint PRIMARY KEY, job_pid int, database text, username text,
    command text, status text, return_message text, start_time timestamptz, end_time timestamptz
);
INSERT INTO cron.job (jobid, schedule, command, active, jobname) VALUES
    (1, '* * * * *', 'SELECT 1', true, 'nightly_fill'),
    (2, '* * * * *', 'SELECT 1', false, 'nightly_off'),
    (3, '* * * * *', 'SELECT 1', true, NULL),
    (4, '* * * * *', 'SELECT 1', true, 'product''s own');
"""
"""pg_cron's tables as its versions 1.4 and later make them."""
ALTER_JOB = """
CREATE FUNCTION cron.alter_job(
    job_id bigint, schedule text DEFAULT NULL, command text DEFAULT NULL,
    database text DEFAULT NULL, username text DEFAULT NULL, active boolean DEFAULT NULL
) RETURNS void LANGUAGE sql AS
$$ UPDATE cron.job SET active = alter_job.active WHERE jobid = job_id $$;
"""


@dataclass
class Cron:
    """pg_cron's schema in one side's database."""

    dsn: str
    servers: Servers

    def active(self) -> set[int]:
        with psycopg.connect(self.dsn) as session:
            return {row[0] for row in session.execute("SELECT jobid FROM cron.job WHERE active")}

    def run(self, statement: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as session:
            session.execute(statement)

    def activity(self, **config: Any) -> CronActivity:
        fields = {"side": "source", "jobs": ["nightly_*", "3"], "wait_seconds": 0, **config}
        return CronActivity(PauseCronConfig.model_validate(fields), self.servers)


def cron_in(databases: DatabasePair, *, alters: bool) -> Cron:
    """Make pg_cron's schema on the source, with or without `alter_job`."""
    cron = Cron(
        databases.admin_dsn(Side.SOURCE),
        Servers(databases.admin_dsn(Side.SOURCE), databases.target_dsn),
    )
    cron.run(CRON)
    if alters:
        cron.run(ALTER_JOB)
    return cron


@asynccontextmanager
async def cron_jobs(
    folder: Path, databases: DatabasePair, *, alters: bool
) -> AsyncIterator[Pausable]:
    cron = cron_in(databases, alters=alters)

    def runs() -> bool:
        active = cron.active()
        assert 4 in active, "a job that is not meant was changed"
        assert 2 not in active, "a job that was inactive before was resumed"
        return bool({1, 3} & active)

    yield Pausable(
        folder / "audit.sqlite3",
        cron.activity,
        runs,
        lambda: cron.run("UPDATE cron.job SET active = true WHERE jobid = 1"),
        lambda: cron.run("DROP SCHEMA cron CASCADE"),
    )


PYTHON = sys.executable
