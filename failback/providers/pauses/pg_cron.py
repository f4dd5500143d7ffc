"""Jobs of pg_cron: those that are active are made inactive, and only those go on later."""

import asyncio
import fnmatch
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from importlib.resources import files
from typing import LiteralString, NamedTuple, TypeVar

from failback.errors import ConfigurationError
from failback.models.common import Outcome
from failback.providers.pauses.activity import Remembered, Seen, Told
from failback.reverse_sync.connections import Connection, Servers
from failback.sections.pauses import PauseCronConfig

R = TypeVar("R")

_POLL_SECONDS = 0.2


class _Job(NamedTuple):
    number: int
    name: str
    active: bool

    def __str__(self) -> str:
        return self.name or str(self.number)


class _Cron(NamedTuple):
    """What a database's pg_cron can do."""

    alters: bool
    tells_runs: bool


class CronActivity:
    """Implements `Activity` on one side's database.

    A job is changed by `cron.alter_job`; versions before 1.4 lack it, and their table is written.
    Runs that are under way are waited for, and named where they go on.

    Args:
        config: which jobs.
        servers: how to reach the databases.
    """

    def __init__(self, config: PauseCronConfig, servers: Servers) -> None:
        self._config = config
        self._servers = servers

    async def look(self) -> Remembered:
        """See `Activity.look`."""
        jobs = await self._with(lambda session, _: self._jobs(session))
        return {"jobs": [job.number for job in jobs if job.active]}

    async def stop(self, _told: Told, remembered: Remembered) -> Seen:
        """See `Activity.stop`."""
        return await self._with(lambda session, cron: self._stopped(session, cron, remembered))

    async def start(self, _told: Told, remembered: Remembered) -> Seen:
        """See `Activity.start`."""
        return await self._with(lambda session, cron: self._started(session, cron, remembered))

    async def running(self, remembered: Remembered) -> Seen | None:
        """See `Activity.running`."""
        jobs = await self._with(lambda session, _: _jobs(session))
        active = [job for job in jobs if job.active and job.number in _numbers(remembered)]
        return Seen(Outcome.FAILED, f"active again: {_listed(active)}") if active else None

    async def aclose(self) -> None:
        """See `Activity.aclose`. Each call has a connection of its own."""

    def _stopped(self, session: Connection, cron: _Cron, remembered: Remembered) -> Seen:
        # One that somebody has activated since it was looked is not remembered, and stays.
        meant = sorted(_numbers(remembered))
        stopping = [job for job in self._jobs(session) if job.active and job.number in meant]
        _set_active(session, cron, [job.number for job in stopping], active=False)
        left = [job for job in self._jobs(session) if job.active]
        if left:
            return Seen(Outcome.FAILED, f"still active: {_listed(left)}")
        going = self._waited(session, cron, meant)
        if going:
            return Seen(Outcome.INCONCLUSIVE, f"runs of jobs go on: {going}", bool(stopping))
        said = f"{len(meant)} jobs inactive" if meant else "no job was active"
        return Seen(Outcome.SUCCEEDED, said, bool(stopping))

    def _started(self, session: Connection, cron: _Cron, remembered: Remembered) -> Seen:
        wanted = _numbers(remembered)
        jobs = [job for job in _jobs(session) if job.number in wanted]
        starting = [job for job in jobs if not job.active]
        _set_active(session, cron, [job.number for job in starting], active=True)
        left = [job for job in _jobs(session) if job.number in wanted and not job.active]
        if left:
            return Seen(Outcome.FAILED, f"still inactive: {_listed(left)}")
        gone = wanted - {job.number for job in jobs}
        said = f"{len(jobs)} jobs active"
        if gone:
            said += f"; deleted meanwhile: {', '.join(map(str, sorted(gone)))}"
        return Seen(Outcome.SUCCEEDED, said, bool(starting))

    def _jobs(self, session: Connection) -> list[_Job]:
        """The jobs that are meant."""
        return [
            job
            for job in _jobs(session)
            if any(fnmatch.fnmatchcase(str(job), pattern) for pattern in self._config.jobs)
        ]

    def _waited(self, session: Connection, cron: _Cron, jobs: Sequence[int]) -> str:
        """Which of the jobs are in the middle of a run after the time that they are given."""
        if not cron.tells_runs or not jobs:
            return ""
        deadline = time.monotonic() + self._config.wait_seconds
        while True:
            rows = session.execute(_statement("cron_running"), {"jobs": list(jobs)}).fetchall()
            if not rows or time.monotonic() >= deadline:
                return ", ".join(str(row[0]) for row in rows)
            time.sleep(_POLL_SECONDS)

    async def _with(self, work: Callable[[Connection, _Cron], R]) -> R:
        return await asyncio.to_thread(self._blocking, work)

    def _blocking(self, work: Callable[[Connection, _Cron], R]) -> R:
        with self._session() as session:
            there = session.execute(_statement("cron_there")).fetchone()
            if there is None or not there[0]:
                raise ConfigurationError(
                    f"There is no pg_cron in the {self._servers.describe(self._config.side)}.",
                    "Name the database that it lives in with dsn, or take the activity out.",
                )
            return work(session, _Cron(alters=there[1], tells_runs=there[2]))

    @contextmanager
    def _session(self) -> Iterator[Connection]:
        side = self._config.side
        with (
            closing(self._servers.connect(side, autocommit=True)) as session,
            self._servers.explaining(side),
        ):
            yield session


def _jobs(session: Connection) -> list[_Job]:
    rows = session.execute(_statement("cron_jobs")).fetchall()
    return [_Job(number, name, bool(active)) for number, name, active in rows]


def _set_active(session: Connection, cron: _Cron, jobs: Sequence[int], *, active: bool) -> None:
    if jobs:
        name = "cron_alter" if cron.alters else "cron_update"
        session.execute(_statement(name), {"jobs": list(jobs), "active": active})


def _numbers(remembered: Remembered) -> set[int]:
    listed = remembered.get("jobs")
    return {one for one in listed if isinstance(one, int)} if isinstance(listed, list) else set()


def _listed(jobs: Sequence[_Job]) -> str:
    return ", ".join(map(str, jobs[:10])) + (f" and {len(jobs) - 10} more" if jobs[10:] else "")


@cache
def _statement(name: str) -> LiteralString:
    text: LiteralString = (
        files("failback.providers.pauses").joinpath("sql", f"{name}.sql").read_text("utf-8")
    )
    return text
