"""Sessions of verification: kept open between calls, all of a side reading one snapshot.

Changes when another way to share a snapshot or to keep connections is needed.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Self

import psycopg
from psycopg import sql

from failback.models.common import Side
from failback.reverse_sync.connections import Connection, Servers
from failback.reverse_sync.statements import statement

_OWN_SNAPSHOT = sql.SQL("")


class Sessions:
    """Open connections to both sides, for one verification at a time.

    Args:
        servers: how to reach the sides.
    """

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.lock = threading.Lock()
        """Held by whoever verifies."""
        self._open: dict[Side, list[Connection]] = {side: [] for side in Side}
        self._watchers: dict[Side, Connection] = {}

    def leader(self, side: Side) -> Connection:
        """The side's first session, in autocommit mode, opened or opened again where needed."""
        return self.at_least(side, 1)[0]

    def watcher(self, side: Side) -> Connection:
        """A session in autocommit mode that reads no snapshot: for the side's log and ledger."""
        session = self._watchers.get(side)
        if session is None or not _is_ready(session):
            if session is not None:
                session.close()
            session = self._watchers[side] = self.servers.connect(side, autocommit=True)
        return session

    def warm(self, per_side: int = 1) -> None:
        """Open sessions now, so that the next verification starts at once."""
        for side in Side:
            self.at_least(side, per_side)
            self.watcher(side)

    def close(self) -> None:
        """Close every session."""
        for connections in self._open.values():
            for connection in connections:
                connection.close()
            connections.clear()
        for connection in self._watchers.values():
            connection.close()
        self._watchers.clear()

    def at_least(self, side: Side, count: int, in_use: int = 0) -> list[Connection]:
        """So many live sessions; the first ones, when in use, are taken as they are."""
        connections = self._open[side]
        for connection in connections[in_use:]:
            if not _is_ready(connection):
                connection.close()
                connections.remove(connection)
        while len(connections) < count:
            connections.append(self.servers.connect(side, autocommit=True))
        return connections[:count]


def _is_ready(connection: Connection) -> bool:
    """Whether an idle session still answers: the server may have restarted meanwhile."""
    try:
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.rollback()
        connection.execute("SELECT")
    except psycopg.Error:
        return False
    return not connection.closed


class Snapshot:
    """One side as of one moment, read by one or several sessions.

    Use as a context manager around all that is read; a session is lent by `session`.
    """

    def __init__(self, sessions: Sessions, side: Side) -> None:
        self.side = side
        self._sessions = sessions
        self._free: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._all: list[Connection] = []
        self._stopped = False

    def __enter__(self) -> Self:
        leader = self._sessions.leader(self.side)
        self._begin(leader)
        # The snapshot is taken by the first query, not by BEGIN.
        leader.execute("SELECT")
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._all:
            with contextlib.suppress(psycopg.Error):
                connection.rollback()

    def widen(self, sessions: int) -> None:
        """Let so many sessions read the snapshot."""
        if sessions <= len(self._all):
            return
        with self.session() as leader:
            row = leader.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
            name = sql.Literal(row[0] if row else "")
            taken = len(self._all)
            for connection in self._sessions.at_least(self.side, sessions, taken)[taken:]:
                self._begin(connection, sql.SQL("SET TRANSACTION SNAPSHOT {};").format(name))

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """Lend a session; waits for one to be free. Server errors come in operators' words."""
        connection = self._free.get()
        try:
            if self._stopped:
                raise CancelledError
            with self._sessions.servers.explaining(self.side):
                yield connection
        finally:
            self._free.put(connection)

    def stop(self) -> None:
        """Stop what the sessions are doing, from another thread, and lend them no more."""
        self._stopped = True
        # A cancel that arrives between two statements of a session is lost: repeat it.
        while self._free.qsize() < len(self._all):
            for connection in self._all:
                with contextlib.suppress(psycopg.Error):
                    connection.cancel_safe(timeout=2.0)
            time.sleep(0.02)

    def _begin(self, connection: Connection, snapshot: sql.Composable = _OWN_SNAPSHOT) -> None:
        with self._sessions.servers.explaining(self.side):
            connection.execute(sql.SQL(statement("verify_begin")).format(snapshot=snapshot))
        self._all.append(connection)
        self._free.put(connection)
