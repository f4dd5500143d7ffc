"""One warm session on each side for short questions: fences, status, canary, sequences.

Changes when such questions need something else of a session.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus

from failback.models.common import Side
from failback.reverse_sync.connections import Connection, Servers, is_lost


class Control:
    """Sessions in autocommit mode, opened when first asked for and again after a failure."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._sessions: dict[Side, Connection] = {}
        self._locks = {side: threading.RLock() for side in Side}

    @contextmanager
    def session(self, side: Side) -> Iterator[Connection]:
        """A side's session, for one user at a time; its errors are put in failback's words."""
        with self._locks[side]:
            with self._servers.explaining(side):
                session = self._open(side)
            try:
                yield session
            except psycopg.Error as error:
                if is_lost(error) and not session.closed:
                    raise  # it was another one, whose user says which
                explained = self._servers.explained(side, error)
                if explained is error:
                    raise
                raise explained from error

    @contextmanager
    def both(self) -> Iterator[dict[Side, Connection]]:
        """Both sessions; locks are taken in one order, so that two users never wait in a ring."""
        with self.session(Side.SOURCE) as source, self.session(Side.TARGET) as target:
            yield {Side.SOURCE: source, Side.TARGET: target}

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
