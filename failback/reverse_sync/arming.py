"""Installs the reverse path on both sides, and takes it away again.

Changes when arming leaves something else behind. Every step can be repeated: arming again after
a crash completes what was begun, and what has to be undone is written down before it is done.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from failback.errors import SlotLostError
from failback.reverse_sync import capture, conflicts, fence, position, publication, slots
from failback.reverse_sync.catalogue import OWN_SCHEMA, Table, read_named
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.pgoutput import lsn_text
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.preflight import Plan
from failback.reverse_sync.settings import SyncSettings
from failback.reverse_sync.statements import statement

CANARY = f"{OWN_SCHEMA}.canary"
_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Installed:
    """What arming installed."""

    slot: str
    lsn: int
    tables: tuple[str, ...]
    warnings: tuple[str, ...]


def install(
    settings: SyncSettings, plan: Plan, sender: Connection, receiver: Connection
) -> Installed:
    """Install everything but the fence's raising; both sessions are in autocommit mode.

    Raises:
        SlotBusyError: a transaction stays open, or another consumer keeps the stream.
        FenceNotHeldError: a table stays locked.
        TableRefusedError: a table's replica identity could not be changed.
    """
    warnings = []
    for connection in (sender, receiver):
        _prepare(connection, settings)
    identified = publication.identify(sender, plan.sent)
    publication.identify(receiver, plan.owned)
    if identified:
        warnings.append(f"replica identity was set for {', '.join(identified)}, until disarmed")
    fence.install(sender, (*plan.sent, *_canary(sender)), always=True)
    guarded = fence.install(
        receiver, (*plan.received, *_canary(receiver)), always=False, allow_at_the_door=True
    )
    if guarded.at_the_door:
        warnings.append(
            f"guarded at the door alone, because failback does not own them on the "
            f"{settings.direction.receiver.value}: {', '.join(guarded.at_the_door)}"
        )
    _publish(receiver, settings, plan.owned)
    if not slots.exists(receiver, settings.object_name):
        slots.create(receiver, settings.object_name)
    lsn, recopied = _capture(settings, plan, sender, receiver)
    if recopied:
        warnings.append(f"to be copied whole by the next batch: {', '.join(recopied)}")
    return Installed(
        slot=settings.object_name,
        lsn=lsn,
        tables=tuple(table.qualified for table in plan.sent),
        warnings=tuple(warnings),
    )


def remove(settings: SyncSettings, sender: Connection, receiver: Connection) -> tuple[str, ...]:
    """Remove everything from both sides; returns what, by name. Idempotent.

    The slots go first: an orphaned slot fills the disk of the side that is left.
    """
    removed = []
    sides = {settings.direction.sender: sender, settings.direction.receiver: receiver}
    for side, connection in sides.items():
        if slots.drop(connection, settings.object_name):
            removed.append(f"{side.value}: slot {settings.object_name}")
    for side, connection in sides.items():
        if publication.unpublish(connection, settings.object_name):
            removed.append(f"{side.value}: publication {settings.object_name}")
        removed += [f"{side.value}: fence on {name}" for name in fence.remove(connection, ())]
        if _has_schema(connection):
            removed += [
                f"{side.value}: replica identity of {name}"
                for name in publication.restore(connection)
            ]
            connection.execute("DROP SCHEMA failback CASCADE")
            removed.append(f"{side.value}: schema failback")
    return tuple(removed)


def _prepare(connection: Connection, settings: SyncSettings) -> None:
    """The schema, the estate's name, and what disarming must undo."""
    with connection.transaction():
        connection.execute(statement("schema"))
        conflicts.install(connection)
        connection.execute(
            "INSERT INTO failback.estate (name) VALUES (%s) ON CONFLICT DO NOTHING",
            [settings.estate],
        )
        for kind in ("slot", "publication"):
            connection.execute(statement("undo_record"), [kind, settings.object_name, ""])


def _publish(connection: Connection, settings: SyncSettings, tables: Iterable[Table]) -> None:
    """Publish the tables and the canary, after their identities were set."""
    named = read_named(connection, [*(table.qualified for table in tables), CANARY])
    with connection.transaction():
        publication.publish(connection, settings.object_name, publication.members(named.values()))


def _capture(
    settings: SyncSettings, plan: Plan, sender: Connection, receiver: Connection
) -> tuple[int, tuple[str, ...]]:
    """Publish, make the slot, and hold the position; returns it and what is copied whole.

    Nobody else consumes the stream meanwhile. What the publication gains is written down on
    the receiver in a transaction that commits after the publication's: a crash between the two
    leaves a table that is published and has no known history, and the next arming sees that.
    """
    position.prefer(receiver, _WAIT_SECONDS)
    try:
        with receiver.transaction():
            position.take(receiver, wait_seconds=_WAIT_SECONDS, priority=True)
            _publish(sender, settings, plan.sent)
            held = _healthy(settings, plan.held, sender)
            wanted = {*(table.qualified for table in plan.sent), CANARY}
            known = plan.known if plan.held is not None else wanted
            copied = wanted if plan.held is not None and held is None else wanted - known
            if held is None:
                lsn = _begin(settings, sender, receiver)
            else:
                lsn = held.lsn
                receiver.execute(
                    "UPDATE failback.stream SET receiver_lsn = NULL WHERE name = %s",
                    [settings.direction.name],
                )
            receiver.execute(
                statement("stream_tables"),
                {
                    "stream": settings.direction.name,
                    "names": sorted(wanted),
                    "whole": sorted(copied),
                },
            )
    finally:
        position.unprefer(receiver)
    return lsn, tuple(sorted(copied - {CANARY}))


def _healthy(
    settings: SyncSettings, held: StreamPosition | None, sender: Connection
) -> StreamPosition | None:
    """The position, if the slot still tells everything behind it."""
    if held is None:
        return None
    slot = capture.read_slot(sender, settings.object_name)
    try:
        capture.check_slot(slot, held, settings.direction.sender.value)
    except SlotLostError:
        return None
    return held


def _begin(settings: SyncSettings, sender: Connection, receiver: Connection) -> int:
    """Make the slot anew, and a position at its beginning."""
    slots.drop(sender, settings.object_name)
    lsn = slots.create(sender, settings.object_name)
    slot = capture.read_slot(sender, settings.object_name)
    receiver.execute(
        statement("stream_begin"),
        {
            "stream": settings.direction.name,
            "slot": settings.object_name,
            "system": slot.system_identifier,
            "lsn": lsn_text(lsn),
        },
    )
    return lsn


def _canary(connection: Connection) -> tuple[Table, ...]:
    return tuple(read_named(connection, [CANARY]).values())


def _has_schema(connection: Connection) -> bool:
    row = connection.execute("SELECT to_regclass('failback.undo') IS NOT NULL").fetchone()
    return bool(row and row[0])
