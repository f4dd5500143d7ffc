"""What audit logs keep, on the fake, on a file, and on a table of a real Postgres."""

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from failback.errors import AuditError, FailbackError, UnreachableError
from failback.models.audit import EntryKind, NewEntry
from failback.models.common import Side
from failback.ports import AuditLog
from failback.providers.audit import GENESIS, FakeAuditLog, FileAuditLog, PostgresAuditLog

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_estates = itertools.count(1)


@dataclass
class Subject:
    """A log, another process's way to the same log, and ways to tamper with it."""

    log: AuditLog
    another: Callable[[], AuditLog]
    run: Callable[[str], object]
    """A statement that somebody sends who has the file or the database."""
    table: str
    unguard: tuple[str, ...] = ()
    """What takes the triggers off."""


@pytest.fixture(params=["fake", "file", pytest.param("postgres", marks=pytest.mark.servers)])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    if request.param == "fake":
        fake = FakeAuditLog()
        yield Subject(fake, lambda: fake, lambda statement: None, "")
        return
    logs: list[AuditLog] = []

    def kept(log: AuditLog) -> AuditLog:
        logs.append(log)
        return log

    if request.param == "file":
        path = tmp_path / "state" / "audit.sqlite3"
        yield Subject(
            kept(FileAuditLog(path)),
            lambda: kept(FileAuditLog(path)),
            lambda statement: run_on_file(path, statement),
            "audit_log",
            ("DROP TRIGGER audit_log_keeps_entries", "DROP TRIGGER audit_log_changes_nothing"),
        )
    else:
        dsn = request.getfixturevalue("audit_dsn")
        estate = f"shop-{next(_estates)}"
        yield Subject(
            kept(PostgresAuditLog(dsn, estate)),
            lambda: kept(PostgresAuditLog(dsn, estate)),
            lambda statement: run_on_table(dsn, statement),
            "failback_audit.entries",
            ("ALTER TABLE failback_audit.entries DISABLE TRIGGER ALL",),
        )
        run_on_table(dsn, "DROP SCHEMA IF EXISTS failback_audit CASCADE")
    for log in logs:
        await log.aclose()


@pytest.fixture(scope="module")
def audit_dsn(postgres_pair: Any) -> str:
    """A superuser's connection string, whom privileges do not hold back."""
    return str(postgres_pair.server(Side.TARGET).admin_dsn())


def run_on_file(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute(statement)
    finally:
        connection.close()


def run_on_table(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


def entry(key: str, **changes: Any) -> NewEntry:
    fields: dict[str, Any] = {
        "kind": EntryKind.ALERT,
        "key": key,
        "at": NOON,
        "who": "alertmanager",
        "subject": "rb1",
        "body": {"labels": {"b": 1.0, "a": [1, None, True, "é\u0000"]}, "big": 10**20, "e": 1e-7},
    }
    return NewEntry(**{**fields, **changes})


class TestAuditLogContract:
    async def test_entries_when_appended_then_chained_and_whole(self, subject: Subject) -> None:
        first = await subject.log.append(entry("a"))
        second, third = await subject.log.append_all((entry("b"), entry("c")))
        assert [first.sequence, second.sequence, third.sequence] == [1, 2, 3]
        assert first.previous_hash == GENESIS
        assert (second.previous_hash, third.previous_hash) == (first.hash, second.hash)
        assert await subject.another().read() == (first, second, third)
        verdict = await subject.log.verify()
        assert (verdict.intact, verdict.entries) == (True, 3)
        assert verdict.head == f"3:{third.hash}"
        assert first.body == entry("a").body

    async def test_entry_when_written_twice_then_stands_once_as_it_was(
        self, subject: Subject
    ) -> None:
        first = await subject.log.append(entry("a"))
        again = await subject.another().append(entry("a", who="somebody else"))
        assert again == first
        doubled = await subject.log.append_all((entry("b"), entry("b"), entry("a")))
        assert [one.sequence for one in doubled] == [2, 2, 1]
        other = await subject.log.append(entry("a", kind=EntryKind.EVENT))
        assert other.sequence == 3

    async def test_entries_when_several_processes_write_at_once_then_one_chain(
        self, subject: Subject
    ) -> None:
        logs = [subject.another() for _ in range(4)]
        await asyncio.gather(
            *(
                log.append_all([entry(f"{number}-{n}-{k}") for k in range(3)])
                for number, log in enumerate(logs)
                for n in range(10)
            ),
            *(log.append(entry("the same")) for log in logs),
        )
        verdict = await subject.log.verify()
        assert (verdict.intact, verdict.entries) == (True, 121), verdict.explanation

    async def test_entries_when_read_then_by_kind_time_and_subject_the_newest(
        self, subject: Subject
    ) -> None:
        for number in range(6):
            await subject.log.append(
                entry(
                    str(number),
                    at=NOON + timedelta(minutes=number),
                    kind=EntryKind.EVENT if number % 2 else EntryKind.ALERT,
                    subject="odd" if number % 2 else "even",
                )
            )

        async def keys(*arguments: Any, **options: Any) -> list[str]:
            return [one.key for one in await subject.log.read(*arguments, **options)]

        assert await keys((EntryKind.EVENT,)) == ["1", "3", "5"]
        assert await keys((EntryKind.EVENT, EntryKind.ALERT), limit=2) == ["4", "5"]
        assert await keys(subject="even") == ["0", "2", "4"]
        minutes = [NOON + timedelta(minutes=number) for number in range(6)]
        assert await keys((), minutes[1], minutes[3]) == ["1", "2", "3"]
        assert await keys((), minutes[5] + timedelta(seconds=1)) == []

    async def test_entry_when_it_holds_what_stores_refuse_then_kept_all_the_same(
        self, subject: Subject
    ) -> None:
        written = await subject.log.append(
            entry("a\x00b", who="x" * 5000, subject="\ud800", body={"text": "y" * 200_000})
        )
        assert "\x00" not in written.key
        assert len(written.who) == 1000
        assert written.body["bytes"] == 200_011
        assert (await subject.log.verify()).intact
        with pytest.raises(AuditError, match="JSON"):
            await subject.log.append(entry("c", body={"value": float("nan")}))

    async def test_head_when_it_is_of_another_log_then_noticed(self, subject: Subject) -> None:
        await subject.log.append_all([entry("a"), entry("b")])
        head = (await subject.log.verify()).head
        assert (await subject.log.verify(head)).intact
        assert not (await subject.log.verify(f"2:{GENESIS}")).intact
        cut_off = await subject.log.verify(f"3:{GENESIS}")
        assert (cut_off.intact, cut_off.broken_at) == (False, 3)
        with pytest.raises(AuditError, match="no head"):
            await subject.log.verify("3")


@pytest.fixture
def stored(subject: Subject) -> Subject:
    if not subject.table:
        pytest.skip("nobody can reach into the fake")
    return subject


class TestTampering:
    @pytest.mark.parametrize(
        "statement", ["UPDATE {} SET who = 'mallory' WHERE sequence = 2", "DELETE FROM {}"]
    )
    async def test_entry_when_somebody_changes_it_then_refused(
        self, stored: Subject, statement: str
    ) -> None:
        await stored.log.append_all([entry("a"), entry("b"), entry("c")])
        with pytest.raises((sqlite3.IntegrityError, psycopg.errors.InsufficientPrivilege)) as no:
            stored.run(statement.format(stored.table))
        assert "append-only" in str(no.value)
        assert (await stored.log.verify()).entries == 3

    @pytest.mark.parametrize(
        ("statement", "at"),
        [
            ("UPDATE {} SET who = 'mallory' WHERE sequence = 2", 2),
            ("UPDATE {} SET body = '{{}}' WHERE sequence = 1", 1),
            ("DELETE FROM {} WHERE sequence = 2", 2),
            ("DELETE FROM {} WHERE sequence = 3", 3),
        ],
    )
    async def test_entry_when_changed_past_the_guards_then_verify_names_it(
        self, stored: Subject, statement: str, at: int
    ) -> None:
        await stored.log.append_all([entry("a"), entry("b"), entry("c")])
        head = (await stored.log.verify()).head
        for unguard in stored.unguard:
            stored.run(unguard)
        stored.run(statement.format(stored.table))
        verdict = await stored.log.verify(head)
        assert (verdict.intact, verdict.broken_at) == (False, at), verdict.explanation


@pytest.mark.servers
async def test_table_when_truncated_then_refused_also_for_replicas(audit_dsn: str) -> None:
    log = PostgresAuditLog(audit_dsn, "truncated")
    await log.append(entry("a"))
    for role in ("origin", "replica"):
        with psycopg.connect(audit_dsn, autocommit=True) as connection:
            connection.execute(f"SET session_replication_role = {role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="TRUNCATE is refused"):
                connection.execute("TRUNCATE failback_audit.entries")
    assert (await log.verify()).entries == 1
    await log.aclose()


@pytest.mark.servers
async def test_table_when_its_role_may_only_insert_then_enough(databases: Any) -> None:
    """Made once by an owner; the worker's role needs no more than SELECT and INSERT."""
    owner = PostgresAuditLog(databases.admin_dsn(Side.TARGET), "shop")
    await owner.append(entry("a"))
    run_on_table(
        databases.admin_dsn(Side.TARGET),
        "GRANT USAGE ON SCHEMA failback_audit TO product;"
        "GRANT SELECT, INSERT ON failback_audit.entries TO product",
    )
    worker = PostgresAuditLog(databases.app_dsn(Side.TARGET), "shop")
    assert (await worker.append(entry("b"))).sequence == 2
    for log in (owner, worker):
        await log.aclose()


@pytest.mark.servers
async def test_table_when_the_server_cuts_the_session_then_the_next_call_works(
    audit_dsn: str,
) -> None:
    log = PostgresAuditLog(audit_dsn, "cut")
    await log.append(entry("a"))
    run_on_table(
        audit_dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'failback audit'",
    )
    with pytest.raises(UnreachableError):
        await log.append(entry("b"))
    assert (await log.append(entry("b"))).sequence == 2
    await log.aclose()


@pytest.mark.parametrize(
    ("dsn", "kind"), [("postgresql://127.0.0.1:1/x", UnreachableError), ("=", FailbackError)]
)
async def test_table_when_it_cannot_be_reached_then_says_so_without_the_dsn(
    dsn: str, kind: type[FailbackError]
) -> None:
    log = PostgresAuditLog(dsn, "shop")
    with pytest.raises(kind, match=r"audit") as refused:
        await log.append(entry("a"))
    assert dsn not in str(refused.value)


async def test_file_when_it_is_no_log_then_says_so_and_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite3"
    path.write_text("not a database, but somebody's notes" * 100)
    log = FileAuditLog(path)
    with pytest.raises(AuditError, match="no audit log"):
        await log.append(entry("a"))
    assert path.read_text().startswith("not a database")
    with pytest.raises(UnreachableError, match=r"audit\.file|cannot be"):
        await FileAuditLog(path / "below-a-file").append(entry("a"))
