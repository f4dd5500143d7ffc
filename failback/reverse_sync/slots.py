"""Makes and drops the slots; changes when a server asks for something else there."""

import time

import psycopg
from psycopg import sql

from failback.errors import SlotBusyError
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.pgoutput import lsn_number

_CREATE_SECONDS = 60
_DROP_SECONDS = 10.0
_PAUSE_SECONDS = 0.05


def create(connection: Connection, name: str) -> int:
    """Make a logical slot; returns the position from which it tells every commit.

    Waits for transactions that are open now: none of them may be told in half.

    Raises:
        SlotBusyError: a transaction stays open for too long.
    """
    try:
        with connection.transaction():
            connection.execute(
                sql.SQL("SET LOCAL statement_timeout = {}").format(
                    sql.Literal(f"{_CREATE_SECONDS}s")
                )
            )
            row = connection.execute(
                "SELECT lsn::text FROM pg_create_logical_replication_slot(%s, 'pgoutput')", [name]
            ).fetchone()
    except psycopg.errors.QueryCanceled as error:
        oldest = connection.execute(
            "SELECT pid, usename, xact_start FROM pg_stat_activity"
            " WHERE backend_xid IS NOT NULL ORDER BY xact_start LIMIT 1"
        ).fetchone()
        who = f": pid {oldest[0]} of {oldest[1]} since {oldest[2]}" if oldest else ""
        raise SlotBusyError(
            f"The slot {name} could not be made in {_CREATE_SECONDS} s, because a transaction "
            f"stays open{who}.",
            "Let it end, or end it, then run the same command again.",
        ) from error
    if row is None:
        raise SlotBusyError(f"The server made no slot {name}.")
    return lsn_number(row[0])


def drop(connection: Connection, name: str) -> bool:
    """Drop a slot of this database; returns whether there was one.

    Raises:
        SlotBusyError: a session keeps reading it.
    """
    deadline = time.monotonic() + _DROP_SECONDS
    while True:
        try:
            found = connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                " WHERE slot_name = %s AND database = current_database()",
                [name],
            ).fetchone()
        except psycopg.errors.ObjectInUse as error:
            if time.monotonic() >= deadline:
                raise SlotBusyError(
                    f"The slot {name} cannot be dropped: {error.diag.message_primary}.",
                    "End the session that reads it, then run the same command again.",
                ) from error
            time.sleep(_PAUSE_SECONDS)
        else:
            return found is not None


def exists(connection: Connection, name: str) -> bool:
    """Whether this database has the slot."""
    row = connection.execute(
        "SELECT FROM pg_replication_slots WHERE slot_name = %s AND database = current_database()",
        [name],
    ).fetchone()
    return row is not None
