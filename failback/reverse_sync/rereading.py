"""Keeps short what a slot's every reading has to go through again.

Changes when a server offers a better way. Reading begins at the slot's `restart_lsn`, which moves
only past records of running transactions, and those are written every 15 seconds: after a burst
of writes each batch would read the whole burst again, the last one inside the fence as well.
"""

import contextlib

import psycopg
from psycopg import sql

from failback.reverse_sync.connections import Connection
from failback.reverse_sync.statements import statement

_WORTHWHILE_BYTES = 4 * 1024 * 1024
_PATIENCE = "100ms"


def shorten(helper: Connection, slot: str) -> bool:
    """Have a record of running transactions written where the slot stands far behind.

    The next advance of the slot makes use of it. Whatever goes wrong here costs time alone.

    Args:
        helper: a session in autocommit mode on the side that has the slot.
        slot: the slot's name.

    Returns:
        Whether a record was asked for.
    """
    row = helper.execute(statement("rereading"), {"slot": slot}).fetchone()
    if row is None or row[0] is None or row[0] < _WORTHWHILE_BYTES:
        return False
    if row[1]:
        helper.execute("SELECT pg_log_standby_snapshot()")
    else:
        _make_and_drop(helper, f"{slot}_brief")
    return True


def _make_and_drop(helper: Connection, name: str) -> None:
    """Without that right: the making of any logical slot begins with such a record.

    Then it waits for running transactions to end, which is of no interest here.
    """
    with (
        contextlib.suppress(
            psycopg.errors.QueryCanceled,
            psycopg.errors.ConfigurationLimitExceeded,
            psycopg.errors.DuplicateObject,
        ),
        helper.transaction(),
    ):
        helper.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(_PATIENCE)))
        helper.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput', true)", [name])
    helper.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
        " WHERE slot_name = %s AND temporary AND active_pid = pg_backend_pid()",
        [name],
    )
