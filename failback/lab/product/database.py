"""The product's database: a pool that reconnects, and requests that never hang."""

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from failback.lab.product.metrics import Metrics

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Statement = LiteralString | sql.SQL | sql.Composed
Parameters = dict[str, Any] | list[Any] | tuple[Any, ...]

_WAIT_SECONDS = 1.5
"""How long a request waits for a free connection before it is answered 503."""
_DEADLINE_SECONDS = 5.0
"""How long a request may keep a connection before its socket is cut."""


class Database:
    """Runs statements on pooled connections, each in its own transaction (autocommit).

    Args:
        dsn: libpq connection string of the product's role.
        metrics: counts the connections asked for and given.
        size: most connections at once.
    """

    def __init__(self, dsn: str, metrics: Metrics, *, size: int = 12) -> None:
        self._metrics = metrics
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            kwargs={"autocommit": True, "connect_timeout": 2, "application_name": "product"},
            min_size=2,
            max_size=size,
            timeout=_WAIT_SECONDS,
            # Short, so that a database that comes back is found within a second: after giving
            # up, the pool connects anew for the next request instead of backing off further.
            reconnect_timeout=1.0,
            check=_still_open,
            open=False,
        )

    async def open(self) -> None:
        """Start connecting; does not wait, so that the product starts without its database."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close(timeout=2.0)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one request.

        A request that outlasts its deadline, on a database that is frozen or cut off, has its
        socket shut down: the statement then fails as for a server that went away. (Cancelling
        would ask that same server for an answer.)

        Raises:
            psycopg.Error: no connection was free in time, or the work failed.
        """
        self._metrics.connection_attempts.inc()
        async with self._pool.connection() as connection:
            self._metrics.connection_success.inc()
            loop = asyncio.get_running_loop()
            deadline = loop.call_later(_DEADLINE_SECONDS, _cut, connection)
            try:
                yield connection
            finally:
                deadline.cancel()

    async def rows(
        self, statement: Statement, parameters: Parameters | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement and fetch its rows."""
        async with self.connection() as connection:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []

    async def row(
        self, statement: Statement, parameters: Parameters | None = None
    ) -> tuple[Any, ...] | None:
        """Run one statement and fetch its first row; None when it has none."""
        found = await self.rows(statement, parameters)
        return found[0] if found else None


async def _still_open(connection: Connection) -> None:
    """Refuse a pooled connection whose server has closed it, without a round trip.

    Raises:
        psycopg.OperationalError: the connection is gone.
    """
    poller = select.poll()
    poller.register(connection.pgconn.socket, select.POLLIN)
    if poller.poll(0):
        connection.pgconn.consume_input()
    if connection.closed:
        raise psycopg.OperationalError("the server closed the connection")


def _cut(connection: Connection) -> None:
    """Shut a connection's socket down under the statement that waits on it."""
    if connection.closed:
        return
    # A duplicate descriptor, because closing the socket object must not close libpq's own.
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)
