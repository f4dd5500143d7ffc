"""What capture keeps and misses: its figures for readiness, whichever way it goes.

Changes when another figure of capture matters.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from failback.errors import FailbackError, SlotLostError
from failback.models.common import Side
from failback.models.sync import TableProblem
from failback.reverse_sync import (
    capture,
    changelog,
    changelog_triggers,
    overtaking,
    position,
    publication,
    wal_limit,
    ways,
)
from failback.reverse_sync.catalogue import Table
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.pgoutput import Snapshot, lsn_text
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.settings import SyncSettings
from failback.reverse_sync.statements import statement

_ALL = "(all)"


@dataclass
class CaptureFigures:
    """How capture does now."""

    slot_status: str = ""
    retained: int | None = None
    """Bytes of log that the sender keeps for a slot."""
    captured: int | None = None
    """Bytes that capture keeps on the sender's disk, whatever they are."""
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    lost: bool = False
    over_limit: bool = False
    problems: list[TableProblem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read(
    settings: SyncSettings, sessions: Mapping[Side, Connection], held: StreamPosition
) -> CaptureFigures:
    """Look at capture on both sides; nothing is changed."""
    direction = settings.direction
    sender, receiver = sessions[direction.sender], sessions[direction.receiver]
    found = CaptureFigures()
    _check(found, sender, held, direction.sender, lambda: position.read(receiver, direction))
    _amounts(found, sender, held)
    _limits(found, settings, direction.sender, found.captured)
    if held.receiver_capture == ways.SLOT:
        kept = wal_limit.kept(receiver, held.receiver_slot, ways.SLOT)
        _limits(found, settings, direction.receiver, kept)
        if kept is None:
            found.problems.append(
                TableProblem(
                    table=_ALL,
                    problem=f"the slot {held.receiver_slot} is gone from the "
                    f"{direction.receiver.value}: after a flip its own changes could not be found",
                    cure="Run `failback arm` again",
                )
            )
    elif held.receiver_capture != ways.CHANGELOG:
        found.warnings.append(
            f"The {direction.receiver.value}'s own changes cannot be found after a flip: every "
            "late row that differs would be parked as a conflict."
        )
    if found.slot_status == "unreserved":
        found.warnings.append(
            f"The {direction.sender.value} is about to remove log that the slot needs: the next "
            "batch must come soon, or max_slot_wal_keep_size be raised."
        )
    _lag(found, sender, held)
    return found


def uncaptured(
    settings: SyncSettings, sender: Connection, way: str, armed: Iterable[Table]
) -> list[TableProblem]:
    """Armed tables with changes that nobody captures now."""
    side, armed = settings.direction.sender.value, list(armed)
    if way == ways.SLOT:
        published = publication.published(sender, settings.object_name)
        names = [table.qualified for table in armed if table.qualified not in published]
        problem = f"is not published on the {side}: it was made anew since it was armed"
    elif way == ways.CHANGELOG:
        names = list(changelog_triggers.uncovered(sender, armed, always=True))
        problem = f"lacks a trigger of the changelog on the {side}: its changes are not captured"
    else:
        return []
    return [
        TableProblem(table=name, problem=problem, cure="Run `failback arm` again") for name in names
    ]


def _check(
    found: CaptureFigures,
    sender: Connection,
    held: StreamPosition,
    side: Side,
    read_again: Callable[[], StreamPosition],
) -> None:
    """Whether every change since the position is still told; if not, that is a problem."""
    try:
        if held.capture == ways.SLOT:
            overtaking.check_slot(sender, held, side.value, read_again)
        else:
            capture.check_history(capture.read_slot(sender, held.slot), held, side.value)
        if held.capture == ways.CHANGELOG:
            row = sender.execute("SELECT pg_current_snapshot()::text").fetchone()
            snapshot = Snapshot.parse(row[0] if row else changelog.NOTHING)
            changelog.check(sender, held, snapshot, side.value)
    except SlotLostError as error:
        reason = wal_limit.given_up(sender, held.slot)
        why = f"{error.cause} It was given up deliberately, {reason}." if reason else error.cause
        found.lost = True
        found.problems.append(TableProblem(table=_ALL, problem=why, cure=error.cure))


def _amounts(found: CaptureFigures, sender: Connection, held: StreamPosition) -> None:
    if held.capture != ways.SLOT:
        if held.capture == ways.CHANGELOG and not found.lost:
            found.captured = changelog.size(sender)
        return
    row = sender.execute(statement("status_slot"), {"slot": held.slot}).fetchone()
    if row is None:
        found.slot_status = "missing"
        return
    found.slot_status = row[0] or ""
    found.retained = found.captured = row[2]
    behind = sender.execute(
        "SELECT pg_wal_lsn_diff(%s::pg_lsn, %s::pg_lsn)::bigint", [row[3], lsn_text(held.lsn)]
    ).fetchone()
    found.lag_bytes = max(0, behind[0]) if behind else None


def _limits(found: CaptureFigures, settings: SyncSettings, side: Side, kept: int | None) -> None:
    limit = settings.max_retained_wal_mb
    if kept is None or kept <= limit * wal_limit.MEBIBYTE:
        return
    then = (
        "The slot is given up by the next batch, and both sides are compared by checksum after "
        "arming again"
        if settings.on_wal_limit == wal_limit.DROP_SLOT and side is settings.direction.sender
        else f"Let batches run (`failback sync run`) before the {side.value}'s disk is full, or "
        "raise the limit"
    )
    found.over_limit = True
    found.problems.append(
        TableProblem(
            table=_ALL,
            problem=f"the {side.value} keeps {kept // wal_limit.MEBIBYTE} MiB for capture, more "
            f"than data.max_retained_wal_mb ({limit})",
            cure=then,
        )
    )


def _lag(found: CaptureFigures, sender: Connection, held: StreamPosition) -> None:
    if found.lost:
        found.warnings.append("The lag is not known: capture is lost.")
        return
    try:
        seen = ways.of(held.capture).look(sender, held)
    except FailbackError as error:
        found.warnings.append(f"The lag is not known: {error}")
        return
    if held.capture == ways.DIFF:
        found.lag_seconds = (seen.now - held.updated_at).total_seconds() if seen.pending else 0.0
        return
    found.lag_seconds = seen.seconds
    if not seen.pending:
        found.lag_bytes = 0
