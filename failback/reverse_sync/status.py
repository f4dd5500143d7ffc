"""Readiness of the reverse path: what a rollback would cost now, and what would block it.

Changes when something else can block a rollback.
"""

from collections.abc import Mapping

from failback.errors import FailbackError, NotArmedError, UnknownTablePatternError
from failback.models.common import Side
from failback.models.sync import Position, SyncStatus, TableProblem
from failback.reverse_sync import capture, conflicts, fence, matching, position, publication, tail
from failback.reverse_sync.arming import CANARY
from failback.reverse_sync.catalogue import Table, read_named, read_tables
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.pgoutput import lsn_text
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.settings import SyncSettings
from failback.reverse_sync.statements import statement

_MEBIBYTE = 1024 * 1024


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
        return SyncStatus(
            armed=False,
            source_fenced=fences[Side.SOURCE],
            target_fenced=fences[Side.TARGET],
        )
    names = tuple(name for name in position.armed_names(receiver, direction) if name != CANARY)
    problems, warnings = _tables(settings, sender, receiver, names)
    problems += [
        TableProblem(table=name, problem="is to be copied whole by the next batch")
        for name in sorted(held.copy_whole)
    ]
    slot_status, retained, lag_bytes = _slot(sender, held, problems, direction.sender)
    cap = settings.max_retained_wal_mb * _MEBIBYTE
    if retained is not None and retained > cap:
        warnings.append(
            f"The {direction.sender.value} keeps {retained // _MEBIBYTE} MiB of log for the slot, "
            f"more than data.max_retained_wal_mb ({settings.max_retained_wal_mb})."
        )
    if slot_status == "unreserved":
        warnings.append(
            f"The {direction.sender.value} is about to remove log that the slot needs: the next "
            "batch must come soon, or max_slot_wal_keep_size be raised."
        )
    lag_seconds = None
    try:
        found = tail.look(sender, slot=held.slot, publication=settings.object_name, known=held.lsn)
    except FailbackError as error:
        warnings.append(f"The lag is not known: {error}")
    else:
        lag_seconds = found.seconds
    return SyncStatus(
        armed=True,
        capture="slot",
        position=Position(lsn=lsn_text(held.lsn), batch=held.batch, at=held.updated_at),
        lag_seconds=lag_seconds,
        lag_bytes=lag_bytes if lag_seconds != 0.0 else 0,
        retained_wal_bytes=retained,
        slot_status=slot_status,
        source_fenced=fences[Side.SOURCE],
        target_fenced=fences[Side.TARGET],
        tables=names,
        problems=tuple(problems),
        open_conflicts=len(conflicts.read(receiver)),
        warnings=tuple(warnings),
    )


def _tables(
    settings: SyncSettings, sender: Connection, receiver: Connection, names: tuple[str, ...]
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
    problems = [
        TableProblem(
            table=name,
            problem=f"is not armed: its changes on the {direction.sender.value} are not captured",
            cure="Run `failback arm` again",
        )
        for name in sorted(present.difference(names))
    ]
    problems += [
        TableProblem(
            table=name,
            problem=f"is armed and gone from the {direction.sender.value}, or excluded since",
            cure="Run `failback arm` again",
        )
        for name in sorted(set(names).difference(present))
    ]
    armed = [table for table in tables if table.qualified in names]
    published = publication.published(sender, settings.object_name)
    problems += [
        TableProblem(
            table=table.qualified,
            problem=f"is not published on the {direction.sender.value}: it was made anew since "
            "it was armed",
            cure="Run `failback arm` again",
        )
        for table in armed
        if table.qualified not in published
    ]
    problems += matching.refusals(armed, direction.sender)
    counterparts = read_named(receiver, names)
    problems += matching.match(armed, counterparts, direction)[1]
    problems += _unguarded(sender, direction.sender, armed, always=True)
    owned = [table for table in counterparts.values() if table.owned]
    problems += _unguarded(receiver, direction.receiver, owned, always=False)
    return problems, warnings


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


def _slot(
    sender: Connection, held: StreamPosition, problems: list[TableProblem], side: Side
) -> tuple[str, int | None, int | None]:
    """(wal_status, retained bytes, bytes behind); a slot that is lost is a problem."""
    slot = capture.read_slot(sender, held.slot)
    try:
        capture.check_slot(slot, held, side.value)
    except FailbackError as error:
        problems.append(TableProblem(table="(all)", problem=error.cause, cure=error.cure))
    row = sender.execute(statement("status_slot"), {"slot": held.slot}).fetchone()
    if row is None:
        return "missing", None, None
    behind = sender.execute(
        "SELECT pg_wal_lsn_diff(%s::pg_lsn, %s::pg_lsn)::bigint", [row[3], lsn_text(held.lsn)]
    ).fetchone()
    return row[0] or "", row[2], max(0, behind[0]) if behind else None
