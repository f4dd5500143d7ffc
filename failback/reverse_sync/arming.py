"""Installs the reverse path on both sides, and takes it away again.

Changes when arming leaves something else behind. Every step can be repeated: arming again after
a crash completes what was begun, and what has to be undone is written down before it is done.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from failback.errors import SlotLostError
from failback.models.common import Side
from failback.reverse_sync import (
    capture,
    changelog,
    changelog_triggers,
    conflicts,
    fence,
    ledger,
    overtaking,
    position,
    publication,
    slots,
    wal_limit,
)
from failback.reverse_sync.catalogue import OWN_SCHEMA, Table, read_named
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.pgoutput import Snapshot, lsn_text
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.preflight import Plan
from failback.reverse_sync.settings import SyncSettings
from failback.reverse_sync.statements import statement
from failback.reverse_sync.ways import CHANGELOG, SLOT

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
    prepare(settings, (sender, receiver))
    by_slot = plan.choice.sender == SLOT
    identified = publication.identify(sender, plan.captured) if by_slot else ()
    if plan.choice.receiver == SLOT:
        publication.identify(receiver, plan.owned)
    if identified:
        warnings.append(f"replica identity was set for {', '.join(identified)}, until disarmed")
    # What is not carried over must not be written either, once the rollback has fenced the sender.
    fence.install(sender, (*plan.captured, *plan.refused, *_canary(sender)), always=True)
    guarded = fence.install(
        receiver, (*plan.received, *_canary(receiver)), always=False, allow_at_the_door=True
    )
    if guarded.at_the_door:
        warnings.append(
            f"guarded at the door alone, because failback does not own them on the "
            f"{settings.direction.receiver.value}: {', '.join(guarded.at_the_door)}"
        )
    _receive(settings, plan, receiver)
    lsn, unproven = _capture(settings, plan, sender, receiver)
    warnings += plan.choice.warnings
    if plan.uncaptured:
        warnings.append(
            f"not owned by failback on the {settings.direction.sender.value}, so that no change is "
            "captured and no fence is put on; compared by checksum now and then, and in every "
            f"drain: {', '.join(sorted(plan.uncaptured))}"
        )
    if unproven:
        warnings.append(
            f"to be compared by checksum by the next batch, because {unproven[0]}: "
            f"{', '.join(unproven[1])}"
        )
    return Installed(
        slot=settings.object_name if plan.choice.sender == SLOT else "",
        lsn=lsn,
        tables=tuple(table.qualified for table in plan.sent),
        warnings=tuple(warnings),
    )


def remove(settings: SyncSettings, sides: Mapping[Side, Connection]) -> tuple[str, ...]:
    """Remove everything from these sides; returns what, by name. Idempotent.

    The slots go first: an orphaned slot fills the disk of the side that is left.
    """
    removed = []
    # What archives changes goes as well: it needs the replica identities that are given back.
    owned = (settings.object_name, settings.archive_name)
    for side, connection in sides.items():
        removed += [f"{side.value}: slot {name}" for name in owned if slots.drop(connection, name)]
    for side, connection in sides.items():
        removed += [
            f"{side.value}: publication {name}"
            for name in owned
            if publication.unpublish(connection, name)
        ]
        removed += [f"{side.value}: fence on {name}" for name in fence.remove(connection, ())]
        removed += [
            f"{side.value}: changelog of {name}" for name in changelog_triggers.remove(connection)
        ]
        if _has_schema(connection):
            removed += [
                f"{side.value}: replica identity of {name}"
                for name in publication.restore(connection)
            ]
            connection.execute("DROP SCHEMA failback CASCADE")
            removed.append(f"{side.value}: schema failback")
    return tuple(removed)


def prepare(settings: SyncSettings, sides: Iterable[Connection]) -> None:
    """Make or complete what failback keeps on the sides, and nothing else. Idempotent."""
    for connection in sides:
        _prepare(connection, settings)


def _prepare(connection: Connection, settings: SyncSettings) -> None:
    """The schema, the estate's name, and what disarming must undo."""
    with connection.transaction():
        connection.execute(statement("schema"))
        conflicts.install(connection)
        ledger.install(connection)
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


def _receive(settings: SyncSettings, plan: Plan, receiver: Connection) -> None:
    """Let the receiver's own changes be found, once it takes writes."""
    if plan.choice.receiver == CHANGELOG:
        # What is applied is none of its own: the triggers stay quiet under the replica role.
        changelog_triggers.install(receiver, plan.owned, always=False)
    else:
        changelog_triggers.remove(receiver)
    if plan.choice.receiver != SLOT:
        slots.drop(receiver, settings.object_name)
        publication.unpublish(receiver, settings.object_name)
        return
    _publish(receiver, settings, plan.owned)
    if not slots.exists(receiver, settings.object_name):
        slots.create(receiver, settings.object_name)


def _capture(
    settings: SyncSettings, plan: Plan, sender: Connection, receiver: Connection
) -> tuple[int, tuple[str, tuple[str, ...]] | None]:
    """Begin or go on capturing, and hold the position; returns it and what is not proven, with why.

    Nobody else consumes the stream meanwhile. What has an unknown history is written down on the
    receiver before it is captured, so that a crash leaves no table that looks proven and is not;
    what capture gains is written down there in a transaction that commits later, and the next
    arming sees what is captured and not written down.
    """
    position.prefer(receiver, _WAIT_SECONDS)
    try:
        known = plan.known | {CANARY}
        wanted = {*(table.qualified for table in plan.sent), CANARY}
        with receiver.transaction():
            position.take_over(receiver, wait_seconds=_WAIT_SECONDS)
            held, why = _healthy(settings, plan, sender, receiver)
            lost = plan.held is not None and held is None
            unproven = wanted if lost else (wanted - known if plan.held is not None else set())
            if unproven:
                _write_tables(settings, receiver, wanted | plan.known, unproven, why)
        with receiver.transaction():
            position.take_over(receiver, wait_seconds=_WAIT_SECONDS)
            if plan.choice.sender == SLOT:
                _publish(sender, settings, plan.captured)
            elif plan.choice.sender == CHANGELOG:
                changelog_triggers.install(sender, (*plan.captured, *_canary(sender)), always=True)
            if held is None:
                lsn = _begin(settings, plan, sender, receiver)
            else:
                lsn = held.lsn
                receiver.execute(
                    "UPDATE failback.stream SET receiver_lsn = NULL, proved_fenced = false,"
                    " receiver_capture = %s WHERE name = %s",
                    [plan.choice.receiver, settings.direction.name],
                )
            _write_tables(settings, receiver, wanted, unproven, why)
            receiver.execute(
                statement("stream_uncaptured"),
                {
                    "stream": settings.direction.name,
                    "names": sorted(plan.uncaptured),
                    "why": f"failback does not own it on the {settings.direction.sender.value}",
                },
            )
        _give_back(settings, plan, sender)
    finally:
        position.unprefer(receiver)
    named = tuple(sorted(unproven - {CANARY}))
    return lsn, (why, named) if named else None


def _write_tables(
    settings: SyncSettings,
    receiver: Connection,
    wanted: Iterable[str],
    unproven: Iterable[str],
    why: str,
) -> None:
    receiver.execute(
        statement("stream_tables"),
        {
            "stream": settings.direction.name,
            "names": sorted(wanted),
            "whole": [],
            "unproven": sorted(unproven),
            "why": why,
        },
    )


def _give_back(settings: SyncSettings, plan: Plan, sender: Connection) -> None:
    """Remove what another way of capture left on the sender, and tables that are armed no more."""
    if plan.choice.sender != SLOT:
        slots.drop(sender, settings.object_name)
        publication.unpublish(sender, settings.object_name)
    keep = (*plan.captured, *_canary(sender)) if plan.choice.sender == CHANGELOG else ()
    changelog_triggers.remove(sender, keep)


def _healthy(
    settings: SyncSettings, plan: Plan, sender: Connection, receiver: Connection
) -> tuple[StreamPosition | None, str]:
    """The position, if everything behind it is still told; and why a table would be unproven."""
    held, side = plan.held, settings.direction.sender.value
    if held is None:
        return None, ""
    if held.capture != plan.choice.sender:
        return None, f"changes were captured by {held.capture} before"
    try:
        if held.capture == SLOT:
            held = overtaking.check_slot(
                sender, held, side, lambda: position.read(receiver, settings.direction)
            )
        else:
            capture.check_history(capture.read_slot(sender, held.slot), held, side)
        if held.capture == CHANGELOG:
            row = sender.execute("SELECT pg_current_snapshot()::text").fetchone()
            changelog.check(sender, held, Snapshot.parse(row[0] if row else ""), side)
    except SlotLostError as error:
        return None, error.cause.rstrip(".")
    return held, "its changes were not captured before"


def _begin(settings: SyncSettings, plan: Plan, sender: Connection, receiver: Connection) -> int:
    """Capture anew, and hold the position at its beginning."""
    slots.drop(sender, settings.object_name)
    wal_limit.forget(sender, settings.object_name)
    lsn = slots.create(sender, settings.object_name) if plan.choice.sender == SLOT else None
    server = capture.read_slot(sender, settings.object_name)
    receiver.execute(
        statement("stream_begin"),
        {
            "stream": settings.direction.name,
            "slot": settings.object_name,
            "system": server.system_identifier,
            "lsn": lsn_text(server.insert if lsn is None else lsn),
            "capture": plan.choice.sender,
            "receiver_capture": plan.choice.receiver,
            "timeline": server.timeline,
            "applied": changelog.NOTHING,
            "acknowledged": 0,
        },
    )
    return server.insert if lsn is None else lsn


def _canary(connection: Connection) -> tuple[Table, ...]:
    return tuple(read_named(connection, [CANARY]).values())


def _has_schema(connection: Connection) -> bool:
    row = connection.execute("SELECT to_regclass('failback.undo') IS NOT NULL").fetchone()
    return bool(row and row[0])
