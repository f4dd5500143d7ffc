"""Puts the fence's trigger on tables and takes it off, without holding their writers up.

Changes when tables come in another kind, or may be locked in another way.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import psycopg
from psycopg import sql

from failback.errors import FenceNotHeldError, MissingRightError
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.statements import statement

TRIGGER = "failback_fence"
_LOCK_TIMEOUT_MS = 100
_INSTALL_SECONDS = 60.0


class NamedTable(Protocol):
    """What the fence has to know about a table."""

    @property
    def schema(self) -> str:
        """The schema's name."""

    @property
    def name(self) -> str:
        """The table's name."""


@dataclass(frozen=True)
class FenceInstallation:
    """Which tables refuse writes by themselves, as `schema.table`, partitions included."""

    covered: tuple[str, ...]
    at_the_door: tuple[str, ...] = ()
    """Tables that failback may not put a trigger on: routing and roles have to guard them."""


def install(
    connection: Connection,
    tables: Sequence[NamedTable],
    *,
    always: bool,
    allow_at_the_door: bool = False,
    patience_seconds: float = _INSTALL_SECONDS,
) -> FenceInstallation:
    """Put the fence on tables and everything below them; a fence that is up stays up.

    Idempotent. Each table is a short transaction of its own, and none waits for a lock for
    longer than 100 ms at a time, so that writers never queue behind a long transaction.

    Args:
        connection: a session in autocommit mode.
        tables: the tables; partitions and inheriting tables are found.
        always: fire under `session_replication_role = replica` too. On the side that is
            applied to this must be false, or the applier could not pass.
        allow_at_the_door: report tables without the right for a trigger instead of failing.
        patience_seconds: after so long a table that stays locked is an error.

    Raises:
        MissingRightError: the right to create the schema, or a table's trigger, is missing.
        FenceNotHeldError: somebody holds a lock on a table for too long; names who. Or this
            server does not keep the lock that the fence is drained by.
    """
    with (
        _naming_the_right(
            "failback's schema and its functions cannot be made",
            "GRANT CREATE ON DATABASE … TO failback's role, or let it own the schema failback.",
        ),
        connection.transaction(),
    ):
        connection.execute(statement("fence_install"))
    _probe(connection)
    wanted = "always" if always else "origin"
    covered, at_the_door = [], []
    for schema, name, guarded in _guarded(connection, tables):
        table = sql.Identifier(schema, name)
        try:
            if guarded != wanted:
                statements = _trigger_statements(table, always=always)
                patiently(connection, table, statements, patience_seconds)
            covered.append(f"{schema}.{name}")
        except MissingRightError:
            if not allow_at_the_door:
                raise
            at_the_door.append(f"{schema}.{name}")
    return FenceInstallation(tuple(covered), tuple(at_the_door))


def remove(connection: Connection, tables: Sequence[NamedTable] = ()) -> tuple[str, ...]:
    """Take the fence off every table of the database and drop it; returns the tables' names.

    Writes pass afterwards, whatever the fence's state was. Idempotent.

    Args:
        connection: a session in autocommit mode.
        tables: not needed to find the triggers; kept so that a caller says what it means.

    Raises:
        MissingRightError: a trigger belongs to a table that failback may not alter any more.
        FenceNotHeldError: somebody holds a lock on a table for too long; names who.
    """
    del tables
    removed = []
    for schema, name, trigger in connection.execute(statement("fence_triggers")).fetchall():
        table = sql.Identifier(schema, name)
        drop = sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(trigger), table)
        patiently(connection, table, [drop], _INSTALL_SECONDS)
        removed.append(f"{schema}.{name}")
    with connection.transaction():
        connection.execute(statement("fence_remove"))
    return tuple(removed)


def uncovered(
    connection: Connection, tables: Sequence[NamedTable], *, always: bool = False
) -> tuple[str, ...]:
    """Tables, new partitions included, that a write could reach past the fence.

    Args:
        connection: any session.
        tables: what should be covered; what lies below them is looked at too.
        always: count triggers that `session_replication_role = replica` passes as missing.
    """
    enough = {"always"} if always else {"always", "origin"}
    return tuple(
        f"{schema}.{name}"
        for schema, name, guarded in _guarded(connection, tables)
        if guarded not in enough
    )


def _guarded(connection: Connection, tables: Sequence[NamedTable]) -> list[tuple[str, str, str]]:
    """(schema, table, `always` | `origin` | `off` | `none`) for each table and its partitions."""
    rows = connection.execute(
        statement("fence_tables"),
        {"schemas": [table.schema for table in tables], "names": [table.name for table in tables]},
    )
    return [(schema, name, guarded) for schema, name, guarded in rows.fetchall()]


def _trigger_statements(table: sql.Identifier, *, always: bool) -> list[sql.Composed]:
    trigger = sql.Identifier(TRIGGER)
    enable = sql.SQL("ENABLE ALWAYS TRIGGER" if always else "ENABLE TRIGGER")
    return [
        sql.SQL(
            "CREATE OR REPLACE TRIGGER {} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {}"
            " FOR EACH STATEMENT EXECUTE FUNCTION failback.guard()"
        ).format(trigger, table),
        sql.SQL("ALTER TABLE ONLY {} {} {}").format(table, enable, trigger),
    ]


def patiently(
    connection: Connection,
    table: sql.Identifier,
    statements: Sequence[sql.Composed],
    seconds: float,
) -> None:
    """Run statements that lock a table, in one transaction, until the lock can be had soon."""
    name = table.as_string(connection)
    deadline, pause = time.monotonic() + seconds, 0.05
    while True:
        try:
            with (
                _naming_the_right(
                    f"failback may not put its trigger on {name} or take it off",
                    f"GRANT the role that owns {name} to failback's role.",
                ),
                connection.transaction(),
            ):
                connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
                for each in statements:
                    connection.execute(each)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            if time.monotonic() >= deadline:
                raise FenceNotHeldError(
                    f"The fence could not be put on {name} or taken off: the table has been "
                    f"locked for {seconds:.0f} s{_blocker(connection, name)}.",
                    "Let that transaction end, or end it, then run the same command again.",
                ) from error
            # Between two tries the writers that queued behind us get their turn.
            time.sleep(pause)
            pause = min(pause * 2, 1.0)
        else:
            return


def _blocker(connection: Connection, table: str) -> str:
    row = connection.execute(statement("fence_blocker"), {"table": table}).fetchone()
    return f" by {row[0]}" if row else ""


def _probe(connection: Connection) -> None:
    """What the fence relies on is not documented: see that this server does it."""
    with connection.transaction():
        connection.execute("SELECT pg_catalog.pg_sequence_last_value('failback.fence'::regclass)")
        row = connection.execute(statement("fence_probe")).fetchone()
    if row is None or not row[0]:
        raise FenceNotHeldError(
            "On this server reading a sequence keeps no lock, so that writers in flight could not "
            "be waited for.",
            "Report its version; failback knows Postgres 15 to 18.",
        )


@contextmanager
def _naming_the_right(what: str, cure: str) -> Iterator[None]:
    """Turn a refusal inside the block into an error that says what needs which right."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        why = error.diag.message_primary or "permission denied"
        raise MissingRightError(f"{what}: {why}.", cure) from error
