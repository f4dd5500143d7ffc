"""Readiness of the reverse path: what a rollback would cost now, and what would block it.

Changes when something else can block a rollback.
"""

from collections.abc import Collection, Iterable, Mapping

from failback.errors import NotArmedError, UnknownTablePatternError
from failback.models.common import Side
from failback.models.sync import Position, SyncStatus, TableProblem
from failback.reverse_sync import (
    capture_status,
    catch_up_record,
    conflicts,
    fence,
    matching,
    position,
    stopped,
    wal_limit,
)
from failback.reverse_sync.arming import CANARY
from failback.reverse_sync.catalogue import Table, read_named, read_tables
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.pgoutput import lsn_text
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.settings import SyncSettings


def read(settings: SyncSettings, sessions: Mapping[Side, Connection]) -> SyncStatus:
    """Look at both sides; nothing is changed. Problems are part of the answer, not errors.

    Args:
        settings: the estate's.
        sessions: a session in autocommit mode on each side.
    """
    direction = settings.direction
    sender, receiver = sessions[direction.sender], sessions[direction.receiver]
    fences = {side: fence.is_up(session) for side, session in sessions.items()}
    try:
        held = position.read(receiver, direction)
    except NotArmedError:
        problems = _orphans(settings, sessions, None)
        return SyncStatus(
            armed=False,
            problems=tuple(problems),
            source_fenced=fences[Side.SOURCE],
            target_fenced=fences[Side.TARGET],
        )
    names = tuple(name for name in position.armed_names(receiver, direction) if name != CANARY)
    problems, warnings = _tables(settings, sender, receiver, names, held.capture)
    problems += _stopped(receiver, direction, problems)
    problems += [
        TableProblem(table=name, problem="is to be copied whole by the next batch")
        for name in sorted(held.copy_whole.difference(held.stopped))
    ]
    problems += [
        TableProblem(
            table=name,
            problem=f"may differ, and is to be compared by checksum by the next batch: {why}",
            cure="Run `failback sync run`",
        )
        for name, why in sorted(held.unproven.items())
        if name not in held.stopped
    ]
    problems += _orphans(settings, sessions, held)
    found = capture_status.read(settings, sessions, held)
    problems += found.problems
    warnings += found.warnings
    return SyncStatus(
        armed=True,
        capture=held.capture,
        position=Position(lsn=lsn_text(held.lsn), batch=held.batch, at=held.updated_at),
        lag_seconds=found.lag_seconds,
        lag_bytes=found.lag_bytes,
        retained_wal_bytes=found.retained,
        captured_bytes=found.captured,
        capture_lost=found.lost,
        over_limit=found.over_limit,
        slot_status=found.slot_status,
        source_fenced=fences[Side.SOURCE],
        target_fenced=fences[Side.TARGET],
        tables=names,
        problems=tuple(problems),
        open_conflicts=len(conflicts.read(receiver)),
        warnings=tuple(warnings),
        direction=direction.name,
        uncaptured=tuple(sorted(held.uncaptured)),
        catch_up=catch_up_record.progress(receiver, direction.name) if held.catch_up else None,
    )


def _tables(
    settings: SyncSettings,
    sender: Connection,
    receiver: Connection,
    names: tuple[str, ...],
    way: str,
) -> tuple[list[TableProblem], list[str]]:
    """What is wrong with the tables, and with the fences on them."""
    direction = settings.direction
    warnings: list[str] = []
    try:
        tables = read_tables(sender, settings.include, settings.exclude)
    except UnknownTablePatternError as error:
        warnings.append(str(error))
        tables = tuple(read_named(sender, names).values())
    present = {table.qualified for table in tables}
    counterparts = read_named(receiver, present.union(names))
    unfit = _unfit(tables, counterparts, direction, names)
    problems = [
        TableProblem(
            table=name,
            problem=f"is not armed: its changes on the {direction.sender.value} are not captured",
            cure="Run `failback arm` again",
        )
        for name in sorted(present.difference(names, (each.table for each in unfit)))
    ]
    problems += unfit
    problems += [
        TableProblem(
            table=name,
            problem=f"is armed and gone from the {direction.sender.value}, or excluded since",
            cure="Run `failback arm` again",
        )
        for name in sorted(set(names).difference(present))
    ]
    armed = [table for table in tables if table.qualified in names]
    # On the side that failback does not own all tables of, some are compared instead.
    captured = [table for table in armed if table.owned or direction.sender is Side.TARGET]
    if len(captured) < len(armed):
        others = [table.qualified for table in armed if table not in captured]
        warnings.append(
            f"No change of {', '.join(others)} is captured, because failback does not own it on "
            f"the {direction.sender.value}: it is compared by checksum now and then, and in every "
            "drain."
        )
    problems += capture_status.uncaptured(settings, sender, way, captured)
    problems += _unguarded(sender, direction.sender, captured, always=True)
    owned = [t for name, t in counterparts.items() if t.owned and name in names]
    problems += _unguarded(receiver, direction.receiver, owned, always=False)
    return problems, warnings


def _unfit(
    tables: Iterable[Table],
    counterparts: Mapping[str, Table],
    direction: Direction,
    armed: Collection[str],
) -> list[TableProblem]:
    """Tables that cannot be carried over as they are on the two sides."""
    refused = matching.refusals(tables, direction.sender)
    names = {each.table for each in refused}
    drifted = matching.match(tables, counterparts, direction)[1]
    return [
        each
        if each.table in armed
        else each.model_copy(update={"cure": f"{each.cure}; then run `failback arm` again"})
        for each in (*refused, *(other for other in drifted if other.table not in names))
    ]


def _stopped(
    receiver: Connection, direction: Direction, known: Collection[TableProblem]
) -> list[TableProblem]:
    """Tables that the last batch left out for a reason that is not plain to see."""
    seen = {each.table for each in known}
    return [each for each in stopped.read(receiver, direction) if each.table not in seen]


def _unguarded(
    connection: Connection, side: Side, tables: list[Table], *, always: bool
) -> list[TableProblem]:
    return [
        TableProblem(
            table=name,
            problem=f"carries no fence on the {side.value}",
            cure="Run `failback arm` again",
        )
        for name in fence.uncovered(connection, tables, always=always)
    ]


def _orphans(
    settings: SyncSettings, sessions: Mapping[Side, Connection], held: StreamPosition | None
) -> list[TableProblem]:
    """Slots of ours that nobody advances: each fills its side's disk."""
    return [
        TableProblem(
            table="(all)",
            problem=f"the {side.value} has a slot {orphan.name} without a stream, which keeps"
            f" {orphan.retained // wal_limit.MEBIBYTE} MiB of log, and from now on all "
            "of it",
            cure=f"On the {side.value} run {orphan.cure}",
        )
        for side, session in sessions.items()
        for orphan in wal_limit.orphans(session, held, settings.other_slots)
    ]
