"""Looks at what is captured and not applied yet, without taking any of it.

Changes when the tail is measured in another way.
"""

from dataclasses import dataclass
from datetime import datetime

import psycopg

from failback.reverse_sync import capture
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.pgoutput import Decoder, lsn_number

_LIMIT = 2000


@dataclass(frozen=True)
class Tail:
    """The beginning of what is pending."""

    pending: bool
    oldest: datetime | None
    """When the oldest pending change was committed."""
    now: datetime
    """The side's clock."""
    end: int
    """The side's log position."""

    @property
    def seconds(self) -> float:
        """Age of the oldest pending change; 0 where nothing is pending."""
        return max(0.0, (self.now - self.oldest).total_seconds()) if self.oldest else 0.0


def look(connection: Connection, *, slot: str, publication: str, known: int) -> Tail:
    """Whether the slot tells a change that lies behind a position.

    failback's own transactions do not count.

    Args:
        connection: a session in autocommit mode on the side that has the slot.
        slot: the slot's name.
        publication: the publication's name.
        known: the position up to which everything is known.

    Raises:
        SlotBusyError: another session keeps reading the slot.
        SlotLostError: the slot cannot be read.
    """
    # Commits that were acknowledged before they reached the disk count as well.
    capture.flush(connection)
    row = connection.execute(
        "SELECT clock_timestamp(), pg_current_wal_flush_lsn()::text"
    ).fetchone()
    if row is None:
        raise psycopg.InternalError("The server told no time.")
    limit: int | None = _LIMIT
    while True:
        changes = capture.peek(
            connection,
            slot=slot,
            publication=publication,
            upto=lsn_number(row[1]),
            limit=limit,
            binary=False,
            decoder=Decoder(lambda relation: relation.columns, lambda _: True, known=known),
        )
        cut = limit is not None and changes.messages >= limit
        if changes.changes or not cut:
            return Tail(changes.changes > 0, changes.oldest, row[0], lsn_number(row[1]))
        # Nothing but known or own transactions so far: the rest has to be read.
        limit = None


def unknown(connection: Connection, known: int) -> Tail:
    """The tail of a side where no change is remembered: pending wherever its log has moved on.

    Args:
        connection: any session there.
        known: the position up to which everything is known.
    """
    row = connection.execute(
        "SELECT clock_timestamp(), pg_current_wal_insert_lsn()::text"
    ).fetchone()
    if row is None:
        raise psycopg.InternalError("The server told no time.")
    end = lsn_number(row[1])
    return Tail(end > known, None, row[0], end)
