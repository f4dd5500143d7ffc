"""One warm session on each side for short questions: fences, status, canary, sequences.

Changes when such questions need something else of a session.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus

from failback.models.common import Side
from failback.reverse_sync.connections import Connection, Servers


class Control:
    """Sessions in autocommit mode, opened when first asked for and again after a failure."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._sessions: dict[Side, Connection] = {}
        self._locks = {side: threading.RLock() for side in Side}

    @contextmanager
    def session(self, side: Side) -> Iterator[Connection]:
        """A side's session, for one user at a time; its errors are put in failback's words."""
        with self._locks[side], self._servers.explaining(side):
            yield self._open(side)

    @contextmanager
    def both(self) -> Iterator[dict[Side, Connection]]:
        """Both sessions; locks are taken in one order, so that two users never wait in a ring."""
        with self._locks[Side.SOURCE], self._locks[Side.TARGET]:
            sessions = {}
            for side in Side:
                with self._servers.explaining(side):
                    sessions[side] = self._open(side)
            try:
                yield sessions
            except psycopg.Error as error:
                gone = [side for side, session in sessions.items() if session.closed]
                explained = self._servers.explained((gone or [Side.TARGET])[0], error)
                if explained is error:
                    raise
                raise explained from error

    def close(self) -> None:
        """Give the sessions back."""
        for side in Side:
            with self._locks[side]:
                session = self._sessions.pop(side, None)
                if session is not None:
                    session.close()

    def _open(self, side: Side) -> Connection:
        session = self._sessions.get(side)
        if session is not None:
            if not session.closed and session.info.transaction_status is TransactionStatus.IDLE:
                return session
            session.close()
        session = self._servers.connect(side, autocommit=True)
        self._sessions[side] = session
        return session
