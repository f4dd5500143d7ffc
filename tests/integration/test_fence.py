"""The fence against real writers: nothing is acknowledged after it, nothing before it is lost."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
import pytest

from failback.errors import FenceNotHeldError, NotArmedError, UnreachableError
from failback.lab.databases import DatabasePair
from failback.models.common import Outcome, Side
from failback.reverse_sync import fence
from failback.reverse_sync.catalogue import Table, read_tables
from failback.reverse_sync.connections import Connection, Servers

pytestmark = pytest.mark.servers

_SCHEMA = """
SET ROLE app_owner;
CREATE TABLE public.orders (id bigint PRIMARY KEY, amount int NOT NULL);
CREATE TABLE public.events (id bigint, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE public.events_1 PARTITION OF public.events
    FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
"""


@pytest.fixture
def servers(databases: DatabasePair) -> Servers:
    with psycopg.connect(databases.target_admin_dsn, autocommit=True) as admin:
        admin.execute(_SCHEMA)
    return Servers(databases.source_dsn, databases.target_dsn)


@pytest.fixture
def session(servers: Servers) -> Iterator[Connection]:
    with servers.connect(Side.TARGET, autocommit=True) as connection:
        yield connection


@pytest.fixture
def tables(session: Connection) -> tuple[Table, ...]:
    found = read_tables(session, ["public.*"])
    fence.install(session, found, always=True)
    return found


@contextmanager
def _product(databases: DatabasePair) -> Iterator[psycopg.Connection]:
    with psycopg.connect(databases.target_app_dsn) as connection:
        yield connection


def _eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


def _write(connection: psycopg.Connection, write: str) -> None:
    if write.startswith("COPY"):
        with connection.cursor().copy(write) as copy:
            copy.write("1\t1\n")
    else:
        connection.execute(write)


@dataclass
class Writer:
    """Inserts one row after another, and keeps the keys whose commit was acknowledged."""

    dsn: str
    isolation: psycopg.IsolationLevel
    keys: Iterator[int]
    acknowledged: list[int] = field(default_factory=list)
    refused: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with psycopg.connect(self.dsn) as connection:
            connection.isolation_level = self.isolation
            for number in itertools.count():
                if self.stop.is_set():
                    return
                key = next(self.keys)
                try:
                    connection.execute("INSERT INTO orders VALUES (%s, 1)", [key])
                    if number % 3 == 0:
                        connection.execute("UPDATE orders SET amount = 2 WHERE id = %s", [key])
                    connection.commit()
                    self.acknowledged.append(key)
                except psycopg.errors.ReadOnlySqlTransaction:
                    connection.rollback()
                    self.refused += 1


@pytest.mark.parametrize("repetition", range(5))
def test_fence_when_raised_under_writers_keeps_all_acknowledged_rows_and_no_later_one(
    databases: DatabasePair,
    servers: Servers,
    session: Connection,
    tables: tuple[Table, ...],
    repetition: int,
) -> None:
    levels = list(itertools.islice(itertools.cycle(list(psycopg.IsolationLevel)[1:]), 8))
    keys = itertools.count()
    writers = [Writer(databases.target_app_dsn, level, keys) for level in levels]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        _eventually(lambda: all(len(writer.acknowledged) >= 5 for writer in writers))
        report = fence.raise_(servers, Side.TARGET, 5.0, ["product"], connection=session)
        held = {row[0] for row in session.execute("SELECT id FROM public.orders")}
        refused = [writer.refused for writer in writers]
        _eventually(lambda: all(w.refused > r for w, r in zip(writers, refused, strict=True)))
    finally:
        for writer in writers:
            writer.stop.set()
        for thread in threads:
            thread.join(10)

    assert report.outcome is Outcome.SUCCEEDED
    assert report.terminated == ()
    assert {key for writer in writers for key in writer.acknowledged} <= held
    assert {row[0] for row in session.execute("SELECT id FROM public.orders")} == held
    flushed = session.execute(
        "SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", [report.position]
    ).fetchone()
    assert flushed == (True,)


def test_fence_when_raised_refuses_a_snapshot_from_before(
    databases: DatabasePair, servers: Servers, session: Connection, tables: tuple[Table, ...]
) -> None:
    with _product(databases) as writer:
        writer.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        writer.execute("SELECT count(*) FROM orders")
        fence.raise_(servers, Side.TARGET, connection=session)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            writer.execute("INSERT INTO orders VALUES (1, 1)")


def test_fence_when_raised_lets_a_transaction_commit_what_it_wrote_but_write_nothing_more(
    databases: DatabasePair, servers: Servers, session: Connection, tables: tuple[Table, ...]
) -> None:
    reports = []
    with _product(databases) as committing, _product(databases) as writing:
        committing.execute("INSERT INTO orders VALUES (1, 1)")
        writing.execute("INSERT INTO orders VALUES (2, 1)")
        raiser = threading.Thread(
            target=lambda: reports.append(fence.raise_(servers, Side.TARGET, 20.0))
        )
        raiser.start()
        _eventually(lambda: fence.is_up(session) is True)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            writing.execute("INSERT INTO orders VALUES (3, 1)")
        assert raiser.is_alive(), "it must wait for both transactions"
        writing.rollback()
        committing.commit()
        raiser.join(20)
    assert reports[0].outcome is Outcome.SUCCEEDED
    assert reports[0].terminated == ()
    assert session.execute("SELECT id FROM public.orders").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "write",
    [
        "INSERT INTO public.orders VALUES (1, 1)",
        "UPDATE public.orders SET amount = 3",
        "DELETE FROM public.orders",
        "TRUNCATE public.orders",
        "COPY public.orders FROM STDIN",
        "MERGE INTO public.orders o USING (SELECT 1) v (i) ON id = i WHEN MATCHED THEN DELETE",
        "INSERT INTO public.events VALUES (1, '2026-01-01')",
        "INSERT INTO public.events_1 VALUES (1, '2026-01-01')",
    ],
)
def test_fence_when_raised_refuses_replica_role_of_a_superuser(
    databases: DatabasePair,
    servers: Servers,
    session: Connection,
    tables: tuple[Table, ...],
    write: str,
) -> None:
    fence.raise_(servers, Side.TARGET, connection=session)
    with psycopg.connect(databases.target_admin_dsn, autocommit=True) as admin:
        admin.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            _write(admin, write)


def test_writer_when_it_sleeps_in_its_transaction_is_ended_after_the_grace_period(
    databases: DatabasePair, servers: Servers, session: Connection, tables: tuple[Table, ...]
) -> None:
    with _product(databases) as writer:
        writer.execute("SET application_name = 'sleeper'")
        writer.commit()
        writer.execute("INSERT INTO orders VALUES (1, 1)")
        pid = writer.info.backend_pid
        report = fence.raise_(servers, Side.TARGET, 0.05, connection=session)
        assert report.terminated == (f"{pid} product sleeper",)
        assert report.outcome is Outcome.SUCCEEDED
        with pytest.raises(psycopg.OperationalError):
            writer.commit()
    assert session.execute("SELECT count(*) FROM public.orders").fetchone() == (0,)


def test_reader_of_sequences_when_the_fence_is_raised_is_neither_awaited_nor_ended(
    databases: DatabasePair, servers: Servers, session: Connection, tables: tuple[Table, ...]
) -> None:
    with psycopg.connect(databases.target_admin_dsn) as backup:
        backup.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        backup.execute("SELECT * FROM pg_sequences")
        backup.execute("SELECT count(*) FROM public.orders")
        report = fence.raise_(servers, Side.TARGET, 20.0, connection=session)
        assert report.terminated == ()
        assert report.seconds < 20.0
        assert backup.execute("SELECT 1").fetchone() == (1,)


def test_prepared_transaction_when_it_holds_the_fence_is_named_and_the_fence_stays_up(
    databases: DatabasePair, servers: Servers, session: Connection, tables: tuple[Table, ...]
) -> None:
    with _product(databases) as writer:
        for key, gid in enumerate(("order 1", "order 2")):
            writer.execute("INSERT INTO orders VALUES (%s, 1)", [key])
            writer.execute(f"PREPARE TRANSACTION '{gid}'")
    with pytest.raises(FenceNotHeldError, match=r"order 1, order 2|order 2, order 1"):
        fence.raise_(servers, Side.TARGET, 0.05, connection=session)
    assert fence.is_up(session) is True

    with psycopg.connect(databases.target_app_dsn, autocommit=True) as writer:
        writer.execute("COMMIT PREPARED 'order 1'")
        writer.execute("ROLLBACK PREPARED 'order 2'")
    report = fence.raise_(servers, Side.TARGET, 0.05, connection=session)
    assert (report.outcome, report.changed) == (Outcome.SUCCEEDED, False)


def test_prepared_transaction_when_the_server_restarted_still_holds_the_fence(
    databases: DatabasePair, servers: Servers, tables: tuple[Table, ...]
) -> None:
    with _product(databases) as writer:
        writer.execute("INSERT INTO orders VALUES (1, 1)")
        writer.execute("PREPARE TRANSACTION 'kept over a crash'")
    databases.servers.target.stop(immediate=True)
    databases.servers.target.start()
    with pytest.raises(FenceNotHeldError, match="kept over a crash"):
        fence.raise_(servers, Side.TARGET, 0.05)
    with psycopg.connect(databases.target_app_dsn, autocommit=True) as writer:
        writer.execute("COMMIT PREPARED 'kept over a crash'")
    assert fence.raise_(servers, Side.TARGET, 0.05).outcome is Outcome.SUCCEEDED


def test_superuser_that_writes_when_failback_may_not_end_it_is_named(
    databases: DatabasePair, servers: Servers, session: Connection, tables: tuple[Table, ...]
) -> None:
    with psycopg.connect(databases.target_admin_dsn) as admin:
        admin.execute("INSERT INTO public.orders VALUES (1, 1)")
        with pytest.raises(FenceNotHeldError, match=str(admin.info.backend_pid)):
            fence.raise_(servers, Side.TARGET, 0.05, connection=session)
        assert fence.is_up(session) is True
        admin.commit()
    assert fence.raise_(servers, Side.TARGET, connection=session).outcome is Outcome.SUCCEEDED


def test_raiser_when_it_dies_after_the_first_step_leaves_the_fence_up_and_the_next_one_drains(
    databases: DatabasePair, servers: Servers, session: Connection, tables: tuple[Table, ...]
) -> None:
    with _product(databases) as writer:
        writer.execute("INSERT INTO orders VALUES (1, 1)")
        with servers.connect(Side.TARGET, autocommit=True) as dying:
            dying_pid = dying.info.backend_pid
            failures: list[UnreachableError] = []

            def raising() -> None:
                try:
                    fence.raise_(servers, Side.TARGET, 30.0, connection=dying)
                except UnreachableError as error:
                    failures.append(error)

            raiser = threading.Thread(target=raising)
            raiser.start()
            _eventually(lambda: fence.is_up(session) is True)
            session.execute("SELECT pg_terminate_backend(%s)", [dying_pid])
            raiser.join(10)
        assert "may be up" in str(failures[0])
        assert fence.is_up(session) is True

        report = fence.raise_(servers, Side.TARGET, 0.05, connection=session)
        assert report.changed is False
        assert len(report.terminated) == 1
        assert report.outcome is Outcome.SUCCEEDED
        with pytest.raises(psycopg.OperationalError):
            writer.commit()


def test_fence_when_the_server_crashes_is_still_up_afterwards(
    databases: DatabasePair, servers: Servers, tables: tuple[Table, ...]
) -> None:
    fence.raise_(servers, Side.TARGET)
    databases.servers.target.stop(immediate=True)
    databases.servers.target.start()
    with servers.connect(Side.TARGET, autocommit=True) as session:
        assert fence.is_up(session) is True
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            session.execute("DELETE FROM public.orders")
        assert fence.lift(servers, Side.TARGET, connection=session).raised is False
        session.execute("DELETE FROM public.orders")


def test_fence_when_lifted_and_raised_twice_says_what_changed(
    servers: Servers, session: Connection, tables: tuple[Table, ...]
) -> None:
    changes = [
        fence.raise_(servers, Side.TARGET, connection=session).changed,
        fence.raise_(servers, Side.TARGET, connection=session).changed,
        fence.lift(servers, Side.TARGET, connection=session).changed,
        fence.lift(servers, Side.TARGET, connection=session).changed,
    ]
    assert changes == [True, False, True, False]


def test_fence_when_not_installed_is_unknown_and_cannot_be_raised(
    servers: Servers, session: Connection
) -> None:
    assert fence.is_up(session) is None
    for act in (fence.raise_, fence.lift):
        with pytest.raises(NotArmedError, match="target"):
            act(servers, Side.TARGET)
