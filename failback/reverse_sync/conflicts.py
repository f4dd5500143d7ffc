"""Parked conflicts: rows that both sides changed after the flip, with both images.

Changes when something else has to be known about a conflict, or it is settled in another way.
"""

from collections.abc import Sequence

import psycopg

from failback.models.common import Side
from failback.models.sync import Conflict
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.statements import statement


def install(connection: Connection) -> None:
    """Make the table that conflicts are parked in. Idempotent; the schema is there already."""
    connection.execute(statement("conflicts"))


def read(
    connection: Connection,
    *,
    include_settled: bool = False,
    side: Side = Side.SOURCE,
    ids: Sequence[int] | None = None,
) -> tuple[Conflict, ...]:
    """Conflicts of the receiver, oldest first; none where nothing was ever armed.

    The reason is told as the beginning of `resolution`.

    Args:
        connection: a session in autocommit mode on the receiver.
        include_settled: also those that somebody has settled.
        side: whose session it is.
        ids: none but these.
    """
    try:
        rows = connection.execute(
            statement("conflicts_read"),
            {"settled": include_settled, "ids": None if ids is None else list(ids)},
        ).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return ()
    return tuple(
        Conflict(
            id=row[0],
            table=row[1],
            key=row[2],
            source_image=row[3],
            target_image=row[4],
            parked_at=row[5],
            settled_at=row[6],
            settled_by=row[7],
            resolution=row[8],
            kept=None if row[9] is None else Side(row[9]),
            stored_on=side,
            key_image=row[10],
        )
        for row in rows
    )
