"""The audit log as a Postgres table, for several machines: each estate's chain has its lock."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg import conninfo

from failback.errors import (
    ConfigurationError,
    CredentialsError,
    FailbackError,
    MissingRightError,
    UnreachableError,
)
from failback.models.audit import AuditEntry, AuditVerdict, EntryKind, NewEntry
from failback.providers.audit.chain import GENESIS, ChainCheck, canonical, chained, fitted
from failback.providers.audit.statements import statement

_CONNECT_SECONDS = 5
_STATEMENT_MS = 10_000
_PAGE = 2_000
_INSTALL_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('failback_audit', 0))"
_CHAIN_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))"

Connection = psycopg.AsyncConnection[Any]


class PostgresAuditLog:
    """Implements `AuditLog`. Schema and table are made when first needed.

    Args:
        dsn: libpq connection string; best a database that is neither side of the migration.
        estate: whose chain is written and read.
    """

    def __init__(self, dsn: str, estate: str) -> None:
        self._dsn = dsn
        self._estate = estate
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()

    async def append(self, entry: NewEntry) -> AuditEntry:
        """See `AuditLog.append`."""
        return (await self.append_all((entry,)))[0]

    async def append_all(self, entries: Sequence[NewEntry]) -> tuple[AuditEntry, ...]:
        """See `AuditLog.append_all`."""
        wanted = [fitted(entry) for entry in entries]
        async with self._session() as connection, connection.transaction():
            # Taken before the newest hash is read, and kept until the commit.
            await connection.execute(_CHAIN_LOCK, (self._estate,))
            return await self._append(connection, wanted)

    async def _append(
        self, connection: Connection, entries: Sequence[NewEntry]
    ) -> tuple[AuditEntry, ...]:
        estate = {"estate": self._estate}
        keys = {
            "kinds": [entry.kind.value for entry in entries],
            "keys": [entry.key for entry in entries],
        }
        found = await connection.execute(statement("table_standing"), {**estate, **keys})
        standing = {(row[1], row[2]): _entry(row) for row in await found.fetchall()}
        newest = await (await connection.execute(statement("table_head"), estate)).fetchone()
        sequence, before = newest or (0, GENESIS)
        written, fresh = [], []
        for entry in entries:
            known = standing.get((entry.kind.value, entry.key))
            if known is None:
                sequence += 1
                known = chained(entry, sequence, before)
                before = known.hash
                standing[known.kind.value, known.key] = known
                fresh.append({**estate, **_row(known)})
            written.append(known)
        if fresh:
            async with connection.cursor() as cursor:
                await cursor.executemany(statement("table_append"), fresh)
        return tuple(written)

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
            "estate": self._estate,
            "kinds": [kind.value for kind in kinds],
            "since": since,
            "until": until,
            "subject": subject,
            "limit": limit,
        }
        async with self._session() as connection:
            found = await connection.execute(statement("table_read"), asked)
            return tuple(_entry(row) for row in await found.fetchall())

    async def verify(self, known: str = "") -> AuditVerdict:
        """See `AuditLog.verify`."""
        check = ChainCheck(known)
        after = 0
        async with self._session() as connection:
            while True:
                found = await connection.execute(
                    statement("table_page"),
                    {"estate": self._estate, "after": after, "limit": _PAGE},
                )
                rows = await found.fetchall()
                if not rows:
                    return check.verdict()
                check.follow(_entry(row) for row in rows)
                after = rows[-1][0]

    async def aclose(self) -> None:
        """See `AuditLog.aclose`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Connection]:
        """The one connection, for one caller at a time; given up when anything goes wrong."""
        async with self._lock:
            try:
                connection = await self._opened()
                yield connection
            except psycopg.Error as error:
                await self.aclose()
                raise self._explained(error) from error
            except BaseException:
                # A cancelled statement leaves a connection that is not worth mending.
                await self.aclose()
                raise

    async def _opened(self) -> Connection:
        if self._connection is None or self._connection.closed:
            connection = await psycopg.AsyncConnection.connect(
                **self._parameters(), autocommit=True
            )
            try:
                await connection.execute(f"SET statement_timeout = {_STATEMENT_MS}")
                await connection.execute("SET TimeZone = 'UTC'")
                async with connection.transaction():
                    await connection.execute(_INSTALL_LOCK)
                    await self._install(connection)
            except BaseException:
                await connection.close()
                raise
            self._connection = connection
        return self._connection

    async def _install(self, connection: Connection) -> None:
        """Make the table where it is missing; a role that may only insert finds it there."""
        there = await connection.execute("SELECT to_regclass('failback_audit.entries')")
        row = await there.fetchone()
        if row is None or row[0] is None:
            await connection.execute(statement("table_install"))

    def _parameters(self) -> dict[str, Any]:
        try:
            given = conninfo.conninfo_to_dict(self._dsn)
        except psycopg.ProgrammingError as error:
            # The parser quotes what it could not read, which may be the password.
            raise ConfigurationError(
                "audit.dsn is no libpq connection string.",
                "Write it as postgresql://user:password@host:port/database.",
            ) from error
        return {"connect_timeout": _CONNECT_SECONDS, **given, "application_name": "failback audit"}

    def _explained(self, error: psycopg.Error) -> FailbackError:
        text = " ".join((error.diag.message_primary or str(error)).split())[:300]
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            return MissingRightError(
                f"The audit log's database refuses: {text}.",
                "Grant CREATE on the database once, then SELECT and INSERT on the table.",
            )
        if "authentication failed" in text or "no password supplied" in text:
            return CredentialsError(
                f"The audit log's database refused the login: {text}.",
                "Correct user and password in audit.dsn.",
            )
        return UnreachableError(
            f"The audit log's database does not answer: {text}.",
            "Check that it runs and that the network lets it through (audit.dsn).",
        )


def _row(entry: AuditEntry) -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "kind": entry.kind.value,
        "key": entry.key,
        "at": entry.at,
        "who": entry.who,
        "subject": entry.subject,
        "body": canonical(entry.body),
        "previous_hash": entry.previous_hash,
        "hash": entry.hash,
    }


def _entry(row: Sequence[Any]) -> AuditEntry:
    sequence, kind, key, at, who, subject, body, previous_hash, digest = row
    return AuditEntry(
        sequence=sequence,
        kind=EntryKind(kind),
        key=key,
        at=at,
        who=who,
        subject=subject,
        body=json.loads(body),
        previous_hash=previous_hash,
        hash=digest,
    )
