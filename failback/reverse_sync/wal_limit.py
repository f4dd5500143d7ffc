"""Watches what capture keeps on the sender's disk, and gives it up before the disk is full.

Changes when a limit is kept in another way. The sender serves customers: its disk goes before the
way back, where the estate says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from failback.reverse_sync import changelog, slots
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.statements import statement

MEBIBYTE = 1024 * 1024
WARN, DROP_SLOT = "warn", "drop_slot"


@dataclass(frozen=True)
class Orphan:
    """A slot of failback's that no stream advances: it keeps all of the log from now on."""

    name: str
    retained: int
    """Bytes of log that it keeps."""

    @property
    def cure(self) -> str:
        """What to run on the side that has it."""
        return (
            f"SELECT pg_drop_replication_slot('{self.name}'), or `failback arm` with the "
            "configuration that it belongs to"
        )


def kept(connection: Connection, slot: str, way: str) -> int | None:
    """Bytes that capture keeps on this side's disk; None where there is nothing to keep any.

    Args:
        connection: any session there.
        slot: the slot's name.
        way: the way of capture.
    """
    if way == changelog.NAME:
        return changelog.size(connection)
    row = connection.execute(statement("status_slot"), {"slot": slot}).fetchone()
    return None if row is None else row[2]


def enforce(connection: Connection, slot: str, limit_mb: int) -> str:
    """Give the slot up where it keeps more log than allowed; returns why, or nothing.

    What was given up is written down beside it first, so that nobody takes it for an accident.

    Args:
        connection: a session in autocommit mode on the side that has the slot.
        slot: the slot's name.
        limit_mb: the limit in MiB.

    Raises:
        SlotBusyError: a session keeps reading the slot.
    """
    retained = kept(connection, slot, "slot")
    if retained is None or retained <= limit_mb * MEBIBYTE:
        return ""
    reason = (
        f"it kept {retained // MEBIBYTE} MiB of log, more than data.max_retained_wal_mb "
        f"({limit_mb}), and data.on_wal_limit is {DROP_SLOT}"
    )
    give_up(connection, slot, reason)
    return reason


def give_up(connection: Connection, slot: str, reason: str) -> None:
    """Write down why a slot is given up, then drop it.

    Args:
        connection: a session in autocommit mode on the side that has the slot.
        slot: the slot's name.
        reason: why.

    Raises:
        SlotBusyError: a session keeps reading the slot.
    """
    connection.execute(
        "INSERT INTO failback.given_up (slot, reason) VALUES (%s, %s)"
        " ON CONFLICT (slot) DO UPDATE SET reason = excluded.reason, at = clock_timestamp()",
        [slot, reason],
    )
    slots.drop(connection, slot)


def given_up(connection: Connection, slot: str) -> str:
    """When and why a slot was given up deliberately; empty where it was not."""
    exists = connection.execute("SELECT to_regclass('failback.given_up') IS NOT NULL").fetchone()
    if exists is None or not exists[0]:
        return ""
    row = connection.execute(
        "SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"') || ': ' || reason"
        " FROM failback.given_up WHERE slot = %s",
        [slot],
    ).fetchone()
    return row[0] if row else ""


def forget(connection: Connection, slot: str) -> None:
    """Capture begins anew."""
    connection.execute("DELETE FROM failback.given_up WHERE slot = %s", [slot])


def orphans(
    connection: Connection, ours: StreamPosition | None, others: Iterable[str] = ()
) -> tuple[Orphan, ...]:
    """Slots of failback's on this side that no stream of this database stands behind.

    Args:
        connection: any session there.
        ours: the estate's stream, whose slots are none; None where nothing is armed.
        others: slots that are in use besides.
    """
    stream = [] if ours is None else [ours.slot, ours.receiver_slot]
    return _without(connection, [*stream, *others])


def orphans_alone(
    connection: Connection, name: str, others: Iterable[str] = ()
) -> tuple[Orphan, ...]:
    """The same, seen from this side alone: where nothing was armed, every slot of ours is one.

    Args:
        connection: any session there.
        name: of the estate's own slot.
        others: slots that are in use besides.
    """
    row = connection.execute("SELECT to_regclass('failback.estate') IS NOT NULL").fetchone()
    return _without(connection, [*([name] if row is not None and row[0] else []), *others])


def _without(connection: Connection, expected: list[str]) -> tuple[Orphan, ...]:
    rows = connection.execute(statement("orphans"), {"expected": expected}).fetchall()
    return tuple(Orphan(*row) for row in rows)
