"""How long the source takes now, and how that compares with its baseline."""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import LiteralString

import httpx
import psycopg
from psycopg import sql

from failback.models.common import Outcome, Side
from failback.providers.validation.baseline import (
    RECORD,
    Baseline,
    Measurement,
    percentile,
)
from failback.providers.validation.looking import Look, unknown, worst
from failback.reverse_sync.connections import Connection, Servers
from failback.sections.validation import PerformanceConfig, StatementConfig

_UNCOUNTED = 2
"""Requests before the first that counts: they open connections and fill caches."""


@dataclass(frozen=True)
class Measured:
    """One path or statement: its times, or why there are none."""

    name: str
    times: Measurement | None = None
    problem: str = ""


class Performance:
    """Measures what the configuration names.

    Args:
        config: paths, statements and bounds.
        servers: how to reach the source's database.
        headers: sent with every request.
        seconds: for each path and each statement.
    """

    def __init__(
        self,
        config: PerformanceConfig,
        servers: Servers,
        headers: Mapping[str, str],
        seconds: float,
    ) -> None:
        self._config = config
        self._servers = servers
        self._headers = dict(headers)
        self._seconds = seconds

    async def measure(self) -> tuple[Measured, ...]:
        """Every path and every statement, one after another."""
        async with httpx.AsyncClient(
            base_url=self._config.source_url,
            headers=self._headers,
            timeout=self._seconds,
            trust_env=False,
        ) as http:
            found = [await self._path(http, path) for path in self._config.paths]
        if self._config.statements:
            found += await asyncio.to_thread(self._statements)
        return tuple(found)

    def compared(self, measured: Sequence[Measured], baseline: Baseline | None) -> Look:
        """Whether all are within their bounds."""
        if baseline is None:
            return unknown(f"no baseline was recorded; while the source is well: {RECORD}")
        return worst([self._compared(one, baseline) for one in measured])

    def _compared(self, measured: Measured, baseline: Baseline) -> Look:
        now = measured.times
        if now is None:
            return Look(Outcome.FAILED, f"{measured.name}: {measured.problem}")
        then = baseline.of(now)
        if then is None:
            return unknown(f"{now.name} is not in the baseline; record it again: {RECORD}")
        said = (
            f"{now.name}: p50 {now.p50_ms:.1f} ms (baseline {then.p50_ms:.1f}),"
            f" p95 {now.p95_ms:.1f} ms ({then.p95_ms:.1f})"
        )
        pairs = ((now.p50_ms, then.p50_ms), (now.p95_ms, then.p95_ms))
        if all(new <= self._bound(old) for new, old in pairs):
            return Look(Outcome.SUCCEEDED, said)
        return Look(
            Outcome.FAILED,
            f"{said}; {self._config.factor:g} × baseline + {self._config.slack_ms:g} ms is allowed",
        )

    def _bound(self, baseline_ms: float) -> float:
        return baseline_ms * self._config.factor + self._config.slack_ms

    async def _path(self, http: httpx.AsyncClient, path: str) -> Measured:
        name = f"GET {path}"
        times: list[float] = []
        slots = asyncio.Semaphore(self._config.parallel)

        async def ask(*, counted: bool = True) -> None:
            async with slots:
                began = time.perf_counter()
                answer = await http.get(path)
                took = (time.perf_counter() - began) * 1000
            if not answer.is_success:
                raise _NotWellError(f"HTTP {answer.status_code}")
            if counted:
                times.append(took)

        try:
            async with asyncio.timeout(self._seconds):
                for _ in range(_UNCOUNTED):
                    await ask(counted=False)
                async with asyncio.TaskGroup() as group:
                    for _ in range(self._config.requests):
                        group.create_task(ask())
        except TimeoutError:
            return Measured(name, problem=f"not measured within {self._seconds:g} s")
        except (_NotWellError, httpx.HTTPError) as error:
            return Measured(name, problem=_why(error))
        except ExceptionGroup as group_error:
            return Measured(name, problem=_why(group_error.exceptions[0]))
        return _measured(name, path, times)

    def _statements(self) -> list[Measured]:
        with (
            closing(self._servers.connect(Side.SOURCE, autocommit=True)) as session,
            self._servers.explaining(Side.SOURCE),
        ):
            session.execute(f"SET statement_timeout = {max(1, round(self._seconds * 1000))}")
            session.execute("SET search_path = public, pg_catalog")
            return [self._statement(session, one) for one in self._config.statements]

    def _statement(self, session: Connection, one: StatementConfig) -> Measured:
        name, times = f"statement {one.name}", []
        text: LiteralString = one.sql.strip().rstrip(";")
        deadline = time.monotonic() + self._seconds
        try:
            with session.transaction():
                session.execute("SET TRANSACTION READ ONLY")
                for number in range(self._config.requests + _UNCOUNTED):
                    if time.monotonic() > deadline:
                        return Measured(name, problem=f"not measured within {self._seconds:g} s")
                    began = time.perf_counter()
                    # One statement only: the extended protocol takes no second one.
                    session.execute(sql.SQL(text), binary=True).fetchall()
                    if number >= _UNCOUNTED:
                        times.append((time.perf_counter() - began) * 1000)
        except psycopg.errors.QueryCanceled:
            return Measured(name, problem=f"did not end within {self._seconds:g} s")
        except psycopg.Error as error:
            if session.closed:
                raise
            return Measured(name, problem=error.diag.message_primary or type(error).__name__)
        return _measured(name, text, times)


class _NotWellError(Exception):
    """A request was answered with something else than success."""


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, _NotWellError) else type(error).__name__


def _measured(name: str, what: str, times: Sequence[float]) -> Measured:
    return Measured(
        name,
        Measurement(
            name=name,
            what=hashlib.sha256(what.encode()).hexdigest(),
            count=len(times),
            p50_ms=percentile(times, 0.5),
            p95_ms=percentile(times, 0.95),
        ),
    )
