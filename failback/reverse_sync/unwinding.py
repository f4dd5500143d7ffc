"""What is left of work that failed: nothing on either side, and an error in an operator's words.

Changes when a failure leaves a session in another state.
"""

import psycopg
from psycopg.pq import TransactionStatus

from failback.reverse_sync.lane import Lane


def abandon(lane: Lane) -> None:
    """Roll both sides back; a session that cannot be is closed, and opened anew when needed."""
    for session, _ in lane.sessions():
        try:
            if session.info.transaction_status is TransactionStatus.ACTIVE:
                session.close()
            elif session.info.transaction_status is not TransactionStatus.IDLE:
                session.execute("ROLLBACK")
        except psycopg.Error:
            session.close()
    lane.settle(committed=False)


def explained(lane: Lane, error: psycopg.Error) -> Exception:
    """The operator's error for one that a server raised; that one where there is none.

    Called before `abandon`, which takes away what tells whose error it was.
    """
    sessions = lane.sessions()
    suspects = [side for session, side in sessions if session.closed] or [
        side
        for session, side in sessions
        if session.info.transaction_status is TransactionStatus.INERROR
    ]
    side = suspects[0] if suspects else lane.direction.sender
    return lane.servers.explained(side, error)
