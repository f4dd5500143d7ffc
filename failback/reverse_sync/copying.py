"""Reads what COPY sends in blocks of rows.

Changes when libpq does. psycopg's own reader waits for each row anew, which for short rows costs
more than all the rest; this one takes every row that has arrived before it waits.
"""

import select
from collections.abc import Iterator

import psycopg
from psycopg import pq, sql
from psycopg.errors import error_from_result

from failback.reverse_sync.connections import Connection

_BLOCK_BYTES = 256 * 1024
_COPY_HEADER = 19
_TRAILER_BYTES = 2


def copied_out(connection: Connection, query: sql.Composed) -> Iterator[list[bytes]]:
    """The rows that `COPY … TO STDOUT` sends, a list of at most a few hundred kilobytes a time.

    The server sends each row as a message of its own, so each item is one row; in the binary
    format the first has the header before it, and the last is the trailer. Left before the end,
    the session is in the middle of its statement and can only be closed.

    Args:
        connection: a session that is not at work.
        query: the COPY statement.

    Raises:
        psycopg.Error: as the server has it.
    """
    pgconn = connection.pgconn
    pgconn.send_query(query.as_bytes(connection))
    _flush(pgconn)
    _expect(connection, pq.ExecStatus.COPY_OUT)
    while True:
        block, over = _block(pgconn)
        if block:
            yield block
        if over:
            break
    _expect(connection, pq.ExecStatus.COMMAND_OK)
    while _result(pgconn) is not None:
        pass


def without_frame(blocks: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    """Rows of a binary COPY without the header before the first and the trailer after the last."""
    first = True
    for block in blocks:
        rows = block
        if first:
            rows[0] = rows[0][_COPY_HEADER:]
            first = False
        if len(rows[-1]) <= _TRAILER_BYTES:
            rows = rows[:-1]
        if rows and not rows[0]:
            # The header came by itself.
            rows = rows[1:]
        if rows:
            yield rows


def send(connection: Connection, query: sql.Composed) -> None:
    """Have a session carry out a statement, and do not wait for it; `collect` has to be next.

    Args:
        connection: a session in autocommit mode that is not at work.
        query: one statement without parameters.
    """
    connection.pgconn.send_query(query.as_bytes(connection))
    _flush(connection.pgconn)


def collect(connection: Connection) -> None:
    """Wait for what was sent; how it ended is nobody's concern, and a lost session shows later."""
    while _result(connection.pgconn) is not None:
        pass


def _block(pgconn: pq.abc.PGconn) -> tuple[list[bytes], bool]:
    """What has arrived, at least one row, and whether that was the end."""
    rows: list[bytes] = []
    size = 0
    while size < _BLOCK_BYTES:
        count, data = pgconn.get_copy_data(1)
        if count > 0:
            rows.append(bytes(data))
            size += count
        elif count < 0:
            return rows, True
        elif rows:
            break
        else:
            _wait(pgconn)
    return rows, False


def _expect(connection: Connection, status: pq.ExecStatus) -> None:
    """Take the next result; an error of the server is raised when the session is at rest."""
    pgconn = connection.pgconn
    result = _result(pgconn)
    if result is not None and result.status == status:
        return
    while (further := _result(pgconn)) is not None:
        result = further
    if result is None:
        raise psycopg.OperationalError("The server sent no result.")
    raise error_from_result(result, connection.info.encoding)


def _result(pgconn: pq.abc.PGconn) -> pq.abc.PGresult | None:
    while pgconn.is_busy():
        _wait(pgconn)
    return pgconn.get_result()


def _flush(pgconn: pq.abc.PGconn) -> None:
    while pgconn.flush():
        _poll(pgconn, select.POLLIN | select.POLLOUT)
        pgconn.consume_input()


def _wait(pgconn: pq.abc.PGconn) -> None:
    """Wait until the server has sent something; a lost connection raises."""
    _poll(pgconn, select.POLLIN)
    pgconn.consume_input()


def _poll(pgconn: pq.abc.PGconn, events: int) -> None:
    poll = select.poll()
    poll.register(pgconn.socket, events)
    poll.poll()
