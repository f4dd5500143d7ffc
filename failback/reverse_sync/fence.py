"""The fence: makes it impossible to acknowledge a write on one side, and proves it.

Changes when another way to refuse writes, to wait for those in flight or to prove it is needed.

A statement trigger on every table reads a sequence and lets a write pass only while it says 1.
Reading it also takes a ROW EXCLUSIVE lock on the sequence until the transaction's end. So
raising the fence is: set the sequence to 2 (no transaction can read the old value any more),
then wait until nobody holds that lock (everybody who read the old value has ended).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import LiteralString

import psycopg

from failback.errors import FenceNotHeldError, NotArmedError, UnreachableError
from failback.models.common import Outcome, Side
from failback.models.sync import FenceReport
from failback.reverse_sync.connections import Connection, Servers
from failback.reverse_sync.fence_triggers import (
    FenceInstallation,
    NamedTable,
    install,
    remove,
    uncovered,
)
from failback.reverse_sync.statements import statement

__all__ = [
    "FenceInstallation",
    "NamedTable",
    "install",
    "is_up",
    "lift",
    "raise_",
    "raising",
    "remove",
    "uncovered",
]

_TERMINATION_SECONDS = 5.0
_TABLES_PER_ROLE = 24


def is_up(connection: Connection) -> bool | None:
    """Whether this database refuses writes now; None where no fence is installed.

    Takes no lock that the raiser would wait for, so it may be asked inside a transaction.
    """
    row = connection.execute("SELECT pg_catalog.to_regclass('failback.fence')").fetchone()
    if row is None or row[0] is None:
        return None
    state = connection.execute("SELECT last_value, is_called FROM failback.fence").fetchone()
    return state != (1, True)


def raising(connection: Connection) -> int | None:
    """How often this fence was raised; None where it was installed without a count.

    The same number at two moments at which the fence is up means that it was up all the time
    between them. Whoever proves something reads the number first and then sees to the fence and to
    writers in flight; whoever relies on it sees to the fence first.
    """
    row = connection.execute("SELECT pg_catalog.to_regclass('failback.raisings')").fetchone()
    if row is None or row[0] is None:
        return None
    row = connection.execute("SELECT last_value + is_called::int FROM failback.raisings").fetchone()
    return int(row[0]) if row else None


def raise_(
    servers: Servers,
    side: Side,
    grace_seconds: float = 1.0,
    writer_roles: Sequence[str] = (),
    *,
    connection: Connection | None = None,
) -> FenceReport:
    """Refuse new writes, wait for those in flight, take the position, prove it.

    A transaction in flight may commit what it has written, but write nothing more: its next
    writing statement fails with SQLSTATE 25006. Once this has begun the fence is up whatever
    happens to failback; calling it again completes what was missing. A fence that was up
    already is drained and proved again.

    Args:
        servers: how to reach the side.
        side: the side to be fenced.
        grace_seconds: writers that outlast this are terminated.
        writer_roles: roles that the product writes as; a write as each must be refused.
        connection: a session in autocommit mode that is open already.

    Returns:
        `failed` when a write passed or a trigger is disabled, `inconclusive` when a proof could
        not be made, else `succeeded`. The fence is up in each case.

    Raises:
        NotArmedError: no fence is installed.
        FenceNotHeldError: a prepared transaction, or a writer that failback may not end, is
            still in flight; the fence is up.
        UnreachableError: the server went away; the fence may be up.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        with _session(servers, side, connection) as session:
            changed = _set(session, side, "fence_raise")
            terminated = _drain(session, side, grace_seconds)
            session.execute(statement("fence_flush"))
            outcome, proofs, problems = _prove(session, writer_roles)
            position = str(_value(session, "SELECT pg_catalog.pg_current_wal_flush_lsn()"))
    except UnreachableError as error:
        raise UnreachableError(
            f"{error.cause} The fence may be up there.",
            "Raise it again when the server is back; it stays on the safe side until then.",
        ) from error
    return FenceReport(
        outcome=outcome,
        side=side,
        raised=True,
        changed=changed,
        at=started,
        seconds=time.monotonic() - clock,
        position=position,
        terminated=terminated,
        proofs=proofs,
        detail=" ".join(problems),
    )


def lift(servers: Servers, side: Side, *, connection: Connection | None = None) -> FenceReport:
    """Let writes in again. Whether that is allowed is the caller's question.

    Raises:
        NotArmedError: no fence is installed.
        UnreachableError: the server went away; the fence may be up or down.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    with _session(servers, side, connection) as session:
        changed = not _set(session, side, "fence_lift")
        up = is_up(session)
        position = str(_value(session, "SELECT pg_catalog.pg_current_wal_insert_lsn()"))
    return FenceReport(
        outcome=Outcome.FAILED if up else Outcome.SUCCEEDED,
        side=side,
        raised=bool(up),
        changed=changed,
        at=started,
        seconds=time.monotonic() - clock,
        position=position,
        detail="Somebody raised the fence again at the same moment." if up else "",
    )


def _set(session: Connection, side: Side, name: str) -> bool:
    """Set the state durably; returns whether the fence was down before."""
    try:
        row = session.execute(statement(name)).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise NotArmedError(
            f"No fence is installed on the {side.value}.", "Run `failback arm` first."
        ) from error
    return bool(row and row[0])


def _drain(session: Connection, side: Side, grace_seconds: float) -> tuple[str, ...]:
    """Wait for, then end, the writers in flight; returns whom it ended."""
    found = session.execute(
        "SELECT kind, who FROM failback.drain_writers(%s, %s)",
        [grace_seconds, _TERMINATION_SECONDS],
    ).fetchall()
    prepared = [who for kind, who in found if kind == "prepared"]
    writers = [who for kind, who in found if kind == "writer"]
    if prepared:
        raise FenceNotHeldError(
            f"The {side.value}'s fence is up, but prepared transactions are still in flight: "
            f"{', '.join(prepared)}.",
            "Decide each with COMMIT PREPARED or ROLLBACK PREPARED, then raise the fence again.",
        )
    if writers:
        raise FenceNotHeldError(
            f"The {side.value}'s fence is up, but writers are still in flight that failback may "
            f"not end: {', '.join(writers)}.",
            "End them as a superuser with pg_terminate_backend, then raise the fence again.",
        )
    return tuple(who for kind, who in found if kind == "terminated")


def _prove(
    session: Connection, roles: Sequence[str]
) -> tuple[Outcome, tuple[str, ...], tuple[str, ...]]:
    """Outcome, what was proved, and what stands in the way."""
    proved: dict[tuple[str, str], int] = {}
    failed, unsure, notes = [], [], []
    own = "failback's own role"
    rows = session.execute(
        "SELECT role, relation, result FROM failback.prove_fence(%s, %s)",
        [list(dict.fromkeys(roles)), _TABLES_PER_ROLE],
    )
    for role, relation, result in rows.fetchall():
        who = own if role is None else f"role {role}"
        if result == "passed":
            failed.append(f"A write to {relation} as {who} was not refused.")
        elif result == "disabled":
            failed.append(f"The fence's trigger on {relation} is disabled.")
        elif result == "subscription":
            notes.append(f"Subscription {relation} applies its changes past the fence.")
        elif result in {"refused", "no right", "no such role", "may not act as it"}:
            proved[who, result] = proved.get((who, result), 0) + 1
        else:
            unsure.append(f"A write to {relation} as {who} ended with SQLSTATE {result}.")
    refused = sum(count for (_, result), count in proved.items() if result == "refused")
    if not is_up(session):
        failed.append("The fence was lifted by somebody else at the same moment.")
    if not refused and not failed:
        unsure.append("No table is fenced, so that nothing could be proved.")
    proofs = tuple(_proof(who, result, count) for (who, result), count in proved.items())
    outcome = Outcome.SUCCEEDED
    if failed or unsure:
        outcome = Outcome.FAILED if failed else Outcome.INCONCLUSIVE
    return outcome, proofs, (*failed, *unsure, *notes)


def _proof(who: str, result: str, count: int) -> str:
    """One proof as a phrase."""
    if result == "refused":
        return f"{who}: refused on {count} table{'s' if count > 1 else ''} (25006)"
    if result == "may not act as it":
        return f"{who}: not tried, failback may not act as it"
    if result == "no such role":
        return f"{who}: does not exist on this side"
    return f"{who}: has no right to write {count} table{'s' if count > 1 else ''}"


def _value(session: Connection, query: LiteralString) -> object:
    row = session.execute(query).fetchone()
    return row[0] if row else None


@contextmanager
def _session(servers: Servers, side: Side, connection: Connection | None) -> Iterator[Connection]:
    """The given session, or one of our own for the length of the block."""
    with servers.explaining(side):
        if connection is not None:
            yield connection
            return
        with servers.connect(side, autocommit=True) as opened:
            yield opened
