"""Looks at the product's database as the product reaches it."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress

import psycopg
from psycopg.conninfo import conninfo_to_dict

from failback.errors import ConfigurationError
from failback.providers.checks.judging import CheckFailedError

_CANCEL_AGAIN_SECONDS = 0.01
_Connection = psycopg.AsyncConnection[tuple[object, ...]]


class DatabaseLook:
    """Asks for `SELECT 1`, over a new connection or one that is kept.

    Args:
        dsn: libpq connection string.

    Raises:
        ConfigurationError: the string is none.
    """

    def __init__(self, dsn: str) -> None:
        try:
            password = conninfo_to_dict(dsn).get("password")
        except psycopg.ProgrammingError as error:
            raise ConfigurationError(
                "checks.database_dsn is no connection string.",
                "Write postgresql://user:password@host:port/database.",
            ) from error
        self.secrets: tuple[str, ...] = (dsn, str(password or ""))
        self._dsn = dsn
        self._kept: _Connection | None = None
        self._lock = asyncio.Lock()

    async def anew(self) -> str:
        """Connect, ask, and disconnect."""
        return await _promptly(self._anew())

    async def again(self) -> str:
        """Ask over the kept connection.

        A kept one that turns out to be dead is replaced once, as a pool of connections
        would do it for the product; a new one that fails is a failure.
        """
        return await _promptly(self._again())

    async def aclose(self) -> None:
        """Close the kept connection."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.close()

    async def _anew(self) -> str:
        connection = await self._connect()
        try:
            await _ask(connection)
        finally:
            await connection.close()
        return "connected and answered"

    async def _again(self) -> str:
        async with self._lock:
            if self._kept is not None:
                with suppress(psycopg.OperationalError):
                    await _ask(self._kept)
                    return "answered"
                await self.aclose()
            self._kept = await self._connect()
            await _ask(self._kept)
            return "connected and answered"

    async def _connect(self) -> _Connection:
        return await psycopg.AsyncConnection.connect(
            self._dsn,
            autocommit=True,
            # Poolers that give a server per transaction know no prepared statements.
            prepare_threshold=None,
            application_name="failback checks",
        )


async def _promptly(look: Coroutine[object, object, str]) -> str:
    """Run a look so that a cancel ends it at once.

    psycopg answers the first cancel by asking the server to end the query, and waits up to
    ten seconds for that; a server that hangs would stretch every deadline. A second cancel
    makes it close the connection.
    """
    task = asyncio.create_task(look)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_AGAIN_SECONDS)
        if not task.cancelled():
            task.exception()  # Looked at, so that asyncio does not report it as lost.
        raise


async def _ask(connection: _Connection) -> None:
    cursor = await connection.execute("SELECT 1")
    if await cursor.fetchone() != (1,):
        raise CheckFailedError("SELECT 1 was not answered with 1")
