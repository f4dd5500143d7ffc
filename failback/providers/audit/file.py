"""The audit log in a SQLite file, for one machine: several processes may write to it at once."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from failback.errors import AuditError, UnreachableError
from failback.models.audit import AuditEntry, AuditVerdict, EntryKind, NewEntry
from failback.providers.audit.chain import (
    GENESIS,
    ChainCheck,
    canonical,
    chained,
    fitted,
    time_text,
)
from failback.providers.audit.statements import statement

R = TypeVar("R")

_BUSY_SECONDS = 5.0
_PAGE = 2_000
_COLUMNS = "sequence, kind, key, at, who, subject, body, previous_hash, hash"


class FileAuditLog:
    """Implements `AuditLog`. The file and its folder are made when first needed.

    A transaction takes the file's write lock before it reads the newest hash, so that two
    processes that append at once write one chain.

    Args:
        path: the file; on a local disk, because SQLite's locks are not safe on others.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    async def append(self, entry: NewEntry) -> AuditEntry:
        """See `AuditLog.append`."""
        return (await self.append_all((entry,)))[0]

    async def append_all(self, entries: Sequence[NewEntry]) -> tuple[AuditEntry, ...]:
        """See `AuditLog.append_all`."""
        wanted = [fitted(entry) for entry in entries]
        return await self._run(lambda connection: _append(connection, wanted))

    async def read(
        self,
        kinds: Sequence[EntryKind] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        subject: str = "",
        limit: int = 1000,
    ) -> tuple[AuditEntry, ...]:
        """See `AuditLog.read`."""
        asked = {
            "kinds": json.dumps([kind.value for kind in kinds]),
            "since": time_text(since) if since else None,
            "until": time_text(until) if until else None,
            "subject": subject,
            "limit": limit,
        }
        return await self._run(
            lambda connection: tuple(
                _entry(row) for row in connection.execute(statement("file_read"), asked)
            )
        )

    async def verify(self, known: str = "") -> AuditVerdict:
        """See `AuditLog.verify`."""
        check = ChainCheck(known)
        return await self._run(lambda connection: _follow(connection, check))

    async def aclose(self) -> None:
        """See `AuditLog.aclose`."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    async def _run(self, work: Callable[[sqlite3.Connection], R]) -> R:
        return await asyncio.to_thread(self._blocking, work)

    def _blocking(self, work: Callable[[sqlite3.Connection], R]) -> R:
        with self._lock, self._explaining():
            return work(self._opened())

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(statement("file_install"))
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise UnreachableError(
                f"The audit log {self._path} cannot be used: {error}.",
                "Give it room on a disk that failback's user may write to.",
            ) from error
        except (sqlite3.DatabaseError, ValueError, KeyError) as error:
            raise AuditError(
                f"{self._path} is no audit log, or is damaged: {error}.",
                "Keep the file as it is for whoever looks into it, and name another audit.file.",
            ) from error
        except OSError as error:
            raise UnreachableError(
                f"The audit log {self._path} cannot be opened: {error.strerror}.",
                "Name a file that failback's user may write to in audit.file.",
            ) from error


def _append(connection: sqlite3.Connection, entries: Sequence[NewEntry]) -> tuple[AuditEntry, ...]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        newest = connection.execute(
            "SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        sequence, before = newest or (0, GENESIS)
        written = []
        for entry in entries:
            found = _standing(connection, entry)
            if found is None:
                sequence += 1
                found = chained(entry, sequence, before)
                before = found.hash
                connection.execute(
                    f"INSERT INTO audit_log ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own column names
                    _row(found),
                )
            written.append(found)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return tuple(written)


def _standing(connection: sqlite3.Connection, entry: NewEntry) -> AuditEntry | None:
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM audit_log WHERE kind = ? AND key = ?",  # noqa: S608 - as above
        (entry.kind.value, entry.key),
    ).fetchone()
    return _entry(row) if row else None


def _follow(connection: sqlite3.Connection, check: ChainCheck) -> AuditVerdict:
    after = 0
    while rows := connection.execute(
        f"SELECT {_COLUMNS} FROM audit_log WHERE sequence > ? ORDER BY sequence LIMIT ?",  # noqa: S608 - as above
        (after, _PAGE),
    ).fetchall():
        check.follow(_entry(row) for row in rows)
        after = rows[-1][0]
    return check.verdict()


def _row(entry: AuditEntry) -> tuple[Any, ...]:
    return (
        entry.sequence,
        entry.kind.value,
        entry.key,
        time_text(entry.at),
        entry.who,
        entry.subject,
        canonical(entry.body),
        entry.previous_hash,
        entry.hash,
    )


def _entry(row: Sequence[Any]) -> AuditEntry:
    sequence, kind, key, at, who, subject, body, previous_hash, digest = row
    return AuditEntry(
        sequence=sequence,
        kind=EntryKind(kind),
        key=key,
        at=datetime.fromisoformat(at),
        who=who,
        subject=subject,
        body=json.loads(body),
        previous_hash=previous_hash,
        hash=digest,
    )
