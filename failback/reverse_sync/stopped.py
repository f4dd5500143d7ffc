"""Tables that are stopped while the others go on, kept with the position so that none is forgotten.

Changes when something else has to be known of such a table. Its changes are passed over, so it is
marked as not proven in the same transaction: when it goes on, it is compared by checksum, and
what differs is carried over. Until then a drain is not over.
"""

from collections.abc import Mapping

from failback.models.sync import TableProblem
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.statements import statement


def keep(connection: Connection, direction: Direction, stopped: Mapping[str, TableProblem]) -> None:
    """Write down which tables are stopped, and no others. In a batch's transaction."""
    problems = tuple(stopped.values())
    connection.execute(
        statement("stopped_keep"),
        {
            "stream": direction.name,
            "names": [each.table for each in problems],
            "problems": [each.problem for each in problems],
            "cures": [each.cure for each in problems],
        },
    )


def read(connection: Connection, direction: Direction) -> tuple[TableProblem, ...]:
    """The tables that the last batch left out."""
    rows = connection.execute(
        "SELECT name, stopped, cure FROM failback.stream_table"
        " WHERE stream = %s AND stopped <> '' ORDER BY name",
        [direction.name],
    )
    return tuple(
        TableProblem(table=name, problem=problem, cure=cure) for name, problem, cure in rows
    )
