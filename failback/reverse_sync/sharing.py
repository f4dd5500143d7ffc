"""Who may carry shares of a catch-up now: locks that end with the transaction of a share.

Changes when a share and whoever takes the stream over agree in another way.

A share holds `_SHARES` in common with the others, and takes it before its snapshot of the sender.
Whoever takes the stream over takes it alone: that waits for the shares in flight, and afterwards no
share with an older snapshot is left that could overwrite rows which a newer batch has carried.
"""

import time

from failback.errors import SlotBusyError
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.statements import statement

# Advisory locks are pairs of 32-bit numbers: see `position` for the first space, in which 4 is the
# agreement about shares. In the second one each share has its own number.
SPACE, _SHARES = 0x6661696C, 4
_SHARE_SPACE = 0x6661696D
_PAUSE_SECONDS = 0.005
_PATIENCE_SECONDS = 1.0
"""So long a share is waited for; it looks for who waits ten times a second."""
_END_SECONDS = 5.0
_SHARED, _ALONE = "ShareLock", "ExclusiveLock"


def void(connection: Connection, *, patient: bool) -> bool:
    """Take an open catch-up away, in the transaction that takes the stream over.

    What its shares have carried stays: the rows are newer than the position, and their keys come
    again.

    Args:
        connection: in that transaction, on the receiver.
        patient: wait for shares in flight; without, stand aside where there are some.

    Returns:
        False where there are shares in flight, and this consumer is not patient.

    Raises:
        SlotBusyError: a share does not end.
    """
    if patient:
        end_shares(connection)
    elif not none_at_work(connection):
        return False
    connection.execute(statement("catch_up_forget"))
    return True


def end_shares(connection: Connection) -> None:
    """Wait for the shares in flight; then none begins until the transaction ends.

    A share that does not end by itself is ended, as when its worker's machine is frozen.

    Raises:
        SlotBusyError: a share does not end.
    """
    if not _ended(connection, (SPACE, _SHARES), _SHARED, _PATIENCE_SECONDS):
        raise SlotBusyError(
            f"A share of a catch-up has held the stream for {_END_SECONDS:g} s.",
            "It goes on by itself when that share has ended; its session can be ended on the "
            "server with pg_terminate_backend.",
        )


def none_at_work(connection: Connection) -> bool:
    """Whether no share is in flight; then none begins until the transaction ends."""
    return _taken(connection, (SPACE, _SHARES), 0.0)


def join(connection: Connection) -> bool:
    """Become one of those who carry shares, until the transaction ends.

    Returns:
        False where somebody is taking the stream over.
    """
    row = connection.execute(
        "SELECT pg_try_advisory_xact_lock_shared(%s, %s)", [SPACE, _SHARES]
    ).fetchone()
    return bool(row and row[0])


def claim(connection: Connection, share: int) -> bool:
    """Become the only one who carries a share, until the transaction ends.

    The newest attempt is the one that counts: an earlier one is not heard of any more, and is ended
    where it still works.

    Returns:
        False where the earlier one cannot be ended.
    """
    return _ended(connection, (_SHARE_SPACE, share), _ALONE, 0.0)


def _taken(connection: Connection, pair: tuple[int, int], seconds: float) -> bool:
    """Try to take a lock alone until so many seconds have passed."""
    deadline = time.monotonic() + seconds
    while True:
        row = connection.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", pair).fetchone()
        if row is not None and row[0]:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_SECONDS)


def _ended(connection: Connection, pair: tuple[int, int], mode: str, patience: float) -> bool:
    """As `_taken`; whoever holds the lock after a while is ended."""
    if _taken(connection, pair, patience):
        return True
    for (pid,) in connection.execute(
        statement("advisory_holders"), {"space": pair[0], "number": pair[1], "mode": mode}
    ).fetchall():
        connection.execute("SELECT pg_terminate_backend(%s)", [pid])
    return _taken(connection, pair, _END_SECONDS)
