"""The estate that generated histories run on: two databases, armed, and what has to hold there.

Tables are made and armed anew only when an example has others than the one before.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from failback.errors import FenceNotHeldError
from failback.lab.databases import DatabasePair, PostgresPair, create_database, drop_database
from failback.models.common import Outcome, Side
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.settings import SyncSettings

from support.generated.schemas import Schema
from support.generated.sessions import Session
from support.generated.steps import End, Engine, Finish, History, Write
from support.generated.values import TYPES
from support.large import taken_for_large

T = TypeVar("T")
_numbers = itertools.count(1)
_PASSWORD = "test-only"
_BLOCKED = (
    "SELECT FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'failback' AND wait_event_type = 'Lock'"
)
_ENGINE_SECONDS = 60.0
_FENCED_STEPS = 3
Contents = dict[str, list[bytes]]


class World:
    """Both sides, armed for one schema at a time.

    Args:
        servers: where the databases are made.
    """

    def __init__(self, servers: PostgresPair) -> None:
        self._servers = servers
        self._databases: DatabasePair | None = None
        self._schema: Schema | None = None
        self._admins: dict[Side, psycopg.Connection[Any]] = {}
        self._engines: dict[int, ReverseSync] = {}
        self.settings: SyncSettings | None = None

    @contextmanager
    def armed(self, schema: Schema) -> Iterator["Estate"]:
        """An estate with these tables, empty and armed; made anew after a failure."""
        try:
            if schema != self._schema:
                self._make(schema)
            assert self._databases is not None
            assert self.settings is not None
            estate = Estate(self._databases, self.settings, self._admins, self._engines, schema)
            try:
                yield estate
                estate.empty()
            finally:
                estate.close()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Drop the databases."""
        self._give_engines_back()
        for admin in self._admins.values():
            admin.close()
        self._admins = {}
        self._schema = None
        databases, self._databases = self._databases, None
        if databases is not None:
            for side in Side:
                drop_database(self._servers.server(side), databases.name)

    def _make(self, schema: Schema) -> None:
        if self._databases is None:
            self._begin()
        elif self._schema is not None:
            self._clear()
        assert self._databases is not None
        for side in Side:
            with psycopg.connect(self._databases.dsn(side), autocommit=True) as connection:
                if side is Side.TARGET:
                    connection.execute("SET ROLE app_owner")
                for statement in schema.statements(side):
                    connection.execute(statement)
                if side is Side.TARGET:
                    connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO product")
        assert self.settings is not None
        engine = ReverseSync(self.settings)
        try:
            report = engine.arm()
            assert report.outcome is Outcome.SUCCEEDED, report
        finally:
            engine.close()
        self._schema = schema

    def _begin(self) -> None:
        databases = DatabasePair(f"generated_{next(_numbers)}", self._servers, _PASSWORD)
        for side in Side:
            create_database(self._servers.server(side), side, databases.name)
            with psycopg.connect(databases.dsn(side), autocommit=True) as connection:
                if side is Side.TARGET:
                    connection.execute("SET ROLE app_owner")
                for statement in TYPES:
                    connection.execute(statement)
            self._admins[side] = psycopg.connect(databases.admin_dsn(side), autocommit=True)
        self._databases = databases
        self.settings = SyncSettings(
            estate=databases.name.replace("_", "-"),
            source_dsn=databases.source_dsn,
            target_dsn=databases.target_dsn,
        )

    def _give_engines_back(self) -> None:
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()

    def _clear(self) -> None:
        self._give_engines_back()
        assert self.settings is not None
        assert self._schema is not None
        engine = ReverseSync(self.settings)
        try:
            engine.disarm()
        finally:
            engine.close()
        for admin in self._admins.values():
            for table in self._schema.tables:
                admin.execute(sql.SQL("DROP TABLE {} CASCADE").format(_quoted(table.name)))


class Estate:
    """An armed estate while one history runs on it.

    Args:
        databases: both sides.
        settings: the engine's.
        admins: a superuser's session on each side.
        engines: by how many changes they take at once; examples after this one go on with them.
        schema: its tables.
    """

    def __init__(
        self,
        databases: DatabasePair,
        settings: SyncSettings,
        admins: dict[Side, psycopg.Connection[Any]],
        engines: dict[int, ReverseSync],
        schema: Schema,
    ) -> None:
        self._databases = databases
        self._settings = settings
        self._admins = admins
        self._schema = schema
        self._prepared: list[str] = []
        self._held: set[str] = set()
        self._sessions = [
            Session(databases.app_dsn(Side.TARGET), self._prepared, self._held, number)
            for number in range(4)
        ]
        self._fenced = False
        self._fenced_steps = 0
        self._freed = False
        self._engines = engines
        self._limit = settings.batch_changes
        self.compared = 0
        self.written = 0

    @property
    def engine(self) -> ReverseSync:
        """The engine at work."""
        if self._limit not in self._engines:
            changed = replace(self._settings, batch_changes=self._limit)
            self._engines[self._limit] = ReverseSync(changed)
        return self._engines[self._limit]

    def run(self, history: History) -> None:
        """Take the steps, then the end that every history has: fence, drain, compare, lift."""
        self._limit = history.limit
        with taken_for_large(packed=history.packed) if history.large else nullcontext():
            self._run(history)

    def _run(self, history: History) -> None:
        for step in history.steps:
            self._let_through_again()
            match step:
                case Write():
                    self._write(step)
                case End():
                    self._sessions[step.session].end(step)
                case Finish():
                    if self._prepared:
                        self._sessions[0].finish_prepared(commit=step.commit)
                case Engine():
                    self._ask(step.action)
        for session in self._sessions:
            session.finish(commit=True)
        while self._prepared:
            self._sessions[0].finish_prepared(commit=True)
        self._fence()
        self._prove()
        self._lift()

    def _let_through_again(self) -> None:
        """Lift a fence that has been up for some steps: most of a history is to pass."""
        self._fenced_steps = self._fenced_steps + 1 if self._fenced else 0
        if self._fenced_steps > _FENCED_STEPS:
            self._lift()

    def empty(self) -> None:
        """Leave the tables without rows on both sides, for the next example."""
        for table in self._schema.tables:
            self._admins[Side.TARGET].execute(
                sql.SQL("TRUNCATE {} CASCADE").format(_quoted(table.name))
            )
        self._limit = self._settings.batch_changes
        self._drain()
        assert not any(self._contents(Side.SOURCE).values())

    def close(self) -> None:
        """Give everything back."""
        for session in self._sessions:
            session.close()

    def _write(self, step: Write) -> None:
        session = self._sessions[step.session]
        done = session.write(self._schema, step)
        assert not (done and self._fenced), f"{step} was let through by the fence"
        self.written += done

    def _ask(self, action: str) -> None:
        self._freed = False
        match action:
            case "batch":
                report = self._unblocked(self.engine.run_batch)
                if report.caught_up:
                    self._compare()
            case "drain":
                self._drain()
                self._compare()
            case "status":
                assert self._unblocked(self.engine.status).armed
            case "verify":
                self._unblocked(self.engine.verify)
            case "restart":
                self._restart()
            case "fence":
                self._fence()
                self._prove()
            case "lift":
                self._lift()

    def _restart(self) -> None:
        """As if the process had ended, and another one had been started."""
        self.engine.close()
        del self._engines[self._limit]

    def _drain(self) -> None:
        report = self._unblocked(lambda: self.engine.drain(_ENGINE_SECONDS))
        assert report.outcome is Outcome.SUCCEEDED, report

    def _fence(self) -> None:
        """Raise the target's fence; prepared transactions keep it from holding until they end."""
        if self._fenced:
            return
        try:
            report = self.engine.raise_fence(Side.TARGET, 0.02)
        except FenceNotHeldError as error:
            if not any(gid in error.cause for gid in self._prepared):
                raise
            while self._prepared:
                self._sessions[0].finish_prepared(commit=True)
            report = self.engine.raise_fence(Side.TARGET, 0.02)
        for session in self._sessions:
            session.refresh()
        assert report.outcome is Outcome.SUCCEEDED, report
        self._fenced = True

    def _prove(self) -> None:
        """Behind the fence: drained, equal by plain SQL, and equal by the product's own proof."""
        self._drain()
        self._compare()
        report = self._unblocked(self.engine.verify)
        assert report.exact
        assert report.outcome is Outcome.SUCCEEDED, report
        assert (report.missing, report.extra, report.different) == (0, 0, 0), report
        assert len(report.tables) == len(self._schema.tables)

    def _lift(self) -> None:
        if self._fenced:
            assert self.engine.lift_fence(Side.TARGET).outcome is Outcome.SUCCEEDED
        self._fenced = False

    def _compare(self) -> None:
        """The source holds, row by row, what is committed on the target."""
        if self._exclusive():
            return  # nobody can read the target now
        if self._freed:
            return  # something was committed behind the back of what the engine answered
        self.compared += 1
        source, target = self._contents(Side.SOURCE), self._contents(Side.TARGET)
        for name, rows in target.items():
            assert source[name] == rows, f"{name} differs"

    def _contents(self, side: Side) -> Contents:
        """Every table as text that the server makes, column by column by name, sorted here."""
        found: Contents = {}
        admin = self._admins[side]
        admin.execute("SET TimeZone = 'UTC'")
        for table in self._schema.tables:
            columns = [*table.key, *table.written]
            names = [column.name for column in columns]
            if table.generated and table.columns:
                names.append("made")
            query = f"COPY (SELECT {', '.join(names)} FROM {table.name}) TO STDOUT"
            with admin.cursor().copy(query.encode()) as copy:
                found[table.name] = sorted(bytes(line) for line in copy)
        return found

    def _exclusive(self) -> bool:
        return bool(self._held) or any(session.exclusive for session in self._sessions)

    def _unblocked(self, work: Callable[[], T]) -> T:
        """What the engine answers. Where it waits for a TRUNCATE, that transaction commits."""
        if not self._exclusive():
            return work()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(work)
            deadline = time.monotonic() + _ENGINE_SECONDS
            while not answer.done() and time.monotonic() < deadline:
                wait([answer], 0.02)
                if self._admins[Side.TARGET].execute(_BLOCKED).fetchone() is not None:
                    self._free()
            return answer.result(timeout=0)

    def _free(self) -> None:
        self._freed = True
        for session in self._sessions:
            if session.exclusive:
                session.finish(commit=True)
        while self._held:
            self._sessions[0].finish_prepared(commit=True)


def _quoted(name: str) -> sql.SQL:
    """A generated table's name, which is quoted already where it has to be."""
    return sql.SQL(name)
