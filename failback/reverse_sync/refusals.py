"""Why a batch cannot go on as it is, and what it does instead.

Changes when another cause ends an attempt, or when a refusal gets other words. A cause that one
table has stops that table alone; the batch begins again without it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus

from failback.models.common import Side
from failback.models.sync import TableProblem
from failback.reverse_sync import position
from failback.reverse_sync.apply import Work
from failback.reverse_sync.lane import Lane
from failback.reverse_sync.pgoutput import ProtocolError

_REFUSALS = (
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.ProgrammingError,
    psycopg.NotSupportedError,
)


class Stale(Exception):  # noqa: N818 - not an error: the batch begins again
    """A catalogue changed under the batch."""


class Refused(Exception):  # noqa: N818 - becomes Stopped after the rollback
    """A side refused to read or to take rows of the table in its argument."""


class Stopped(Exception):  # noqa: N818 - not an error: the batch begins again without the table
    """The table of the problem in its argument cannot be carried over for now."""

    def __init__(self, problem: TableProblem) -> None:
        self.problem = problem
        super().__init__(problem.table)


class Torn(Exception):  # noqa: N818 - not an error: the batch begins again
    """Part of the stream was read, and the rows read so far do not fit without the rest."""


@contextmanager
def refusing(work: Work, *, torn: bool) -> Iterator[None]:
    """Turn what the receiver refuses of a table inside the block into the batch's own words."""
    try:
        yield
    except (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation) as error:
        if torn:
            raise Torn from error
        raise Refused(work.pair.qualified) from error
    except _REFUSALS as error:
        raise Refused(work.pair.qualified) from error
    except ProtocolError as error:
        raise Stopped(key_changed(work.pair.qualified)) from error


def refusing_side(lane: Lane) -> Side:
    """Whose statement failed: the sender's, or else the receiver's, which then has no rows."""
    if lane.reader.info.transaction_status is TransactionStatus.INERROR:
        return lane.direction.sender
    return lane.direction.receiver


def refusal(lane: Lane, table: str, side: Side, error: psycopg.Error) -> TableProblem:
    """Why rows of a table were refused.

    Raises:
        Stale: the schemas differ by now, which the next attempt sees.
    """
    why = (error.diag.message_primary or str(error)).rstrip(".")
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        sending = side is lane.direction.sender
        user = lane.servers.user(side)
        return TableProblem(
            table=table,
            problem=f"may not be {'read' if sending else 'written'} on the {side.value}: {why}",
            cure=f"On the {side.value} run GRANT SELECT{'' if sending else ', INSERT, DELETE'} "
            f"ON {table} TO {user}",
        )
    lane.forget()
    names = position.armed_names(lane.writer, lane.direction)
    if table in lane.armed(lambda: names, "").stopped:
        raise Stale from error
    return TableProblem(
        table=table,
        problem=f"has rows that the {side.value} refuses: {why}",
        cure=f"Change what refuses them on the {side.value}; nothing is lost meanwhile",
    )


def key_changed(table: str) -> TableProblem:
    """The problem of a table whose stream carries other key columns than it did."""
    return TableProblem(
        table=table,
        problem="is keyed by other columns than when it was armed",
        cure="Run `failback arm` again",
    )
