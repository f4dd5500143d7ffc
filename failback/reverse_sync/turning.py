"""Turns the stream round: what was the receiver sends, from the moment it took writes again.

Changes when a side has to be made ready in another way. Nothing is copied: since the flip the
receiver's own capture holds whatever it changed, and there the new stream begins. The order is
what keeps one writer:

1. the side that is live takes writes before, meanwhile and after; the other one is fenced, and
   stays so: its fence is never lifted here;
2. the new stream's position is written on the fenced side, before anything else is changed;
3. arming in the new direction changes the fences' triggers, a table a transaction, under a lock
   that no writer passes: on the live side they fire always from then on (its fence is down, so
   that they let everybody through), on the fenced side only for ordinary writers, so that the
   applier passes. At no moment is a table of the fenced side without its trigger;
4. the fenced side learns of the new direction, then the live side, which forgets the old stream.

Repeated after a crash it completes what was begun; until step 4 the old direction is in force.
"""

from collections.abc import Mapping

import psycopg

from failback.errors import NotArmedError, SafetyRuleError
from failback.models.common import Side
from failback.models.sync import CAPTURE_WAYS
from failback.reverse_sync import capture, changelog, conflicts, fence, position, safety
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.pgoutput import lsn_text
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.safety import CONFLICTS_SETTLED, ONE_WRITER, TAIL_DRAINED
from failback.reverse_sync.settings import SyncSettings
from failback.reverse_sync.statements import statement
from failback.reverse_sync.ways import DIFF

_WAIT_SECONDS = 30.0
_LEDGER = ("ledger_table", "ledger", "ledger_watch", "ledger_rule")


def told_by(session: Connection) -> tuple[int, Direction]:
    """How often the stream was turned as this side knows it, and the direction it has since."""
    try:
        row = session.execute("SELECT turn, sender FROM failback.estate").fetchone()
    except (
        psycopg.errors.UndefinedTable,
        psycopg.errors.UndefinedColumn,
        psycopg.errors.InvalidSchemaName,
    ):
        row = None
    return (0, Direction()) if row is None else (row[0], Direction(Side(row[1])))


def in_force(sessions: Mapping[Side, Connection]) -> Direction:
    """The direction that the stream has now; one side that answers may be enough to know it.

    Args:
        sessions: in autocommit mode, on each side that answers.
    """
    return max((told_by(each) for each in sessions.values()), key=lambda told: told[0])[1]


def may_turn(
    settings: SyncSettings, sessions: Mapping[Side, Connection], accepted: str = ""
) -> StreamPosition:
    """Whether the stream of these settings may be turned round; returns its position.

    Args:
        settings: with the direction in force.
        sessions: in autocommit mode, one on each side.
        accepted: who accepts that what the receiver lacks of the tail is overwritten.

    Raises:
        NotArmedError: nothing is armed.
        SafetyRuleError: `one_writer`, `tail_drained` or `conflicts_settled`, with what to do.
    """
    direction = settings.direction
    sender, receiver = sessions[direction.sender], sessions[direction.receiver]
    left, live = direction.sender.value, direction.receiver.value
    held = position.read(receiver, direction)
    if fence.is_up(sender) is not True:
        raise SafetyRuleError(
            f"Rule {ONE_WRITER}: the {left} is not fenced, so the {live} cannot be the one that "
            "is live.",
            f"Roll back first; or `failback fence raise {left}` if that has been done by hand.",
        )
    if fence.is_up(receiver) is not False or held.receiver_lsn is None:
        raise SafetyRuleError(
            f"Rule {ONE_WRITER}: the {live} takes no writes yet, so there is nothing to protect.",
            f"Wait until the {live} is live, then run the same command again.",
        )
    parked = conflicts.read(receiver, side=direction.receiver)
    if parked:
        named = ", ".join(f"#{one.id} {one.table} {one.key}" for one in parked[:5])
        raise SafetyRuleError(
            f"Rule {CONFLICTS_SETTLED}: {len(parked)} conflicts are parked: {named}"
            f"{', …' if len(parked) > 5 else ''}.",  # noqa: PLR2004 - as many as are named
            "Settle them first (`failback sync conflicts settle`): their rows of the "
            f"{left} are overwritten afterwards.",
        )
    if not accepted and (safety.sender_pending(sender, held) or held.stopped):
        raise SafetyRuleError(
            f"Rule {TAIL_DRAINED}: the {left} has changes that the {live} lacks.",
            "Drain the tail (`failback sync run`), or name who accepts that they are overwritten.",
        )
    return held


def begin(
    settings: SyncSettings,
    sessions: Mapping[Side, Connection],
    held: StreamPosition,
    accepted: str = "",
) -> None:
    """Write the position of the stream the other way down on the side that will receive it.

    Tables that the two sides may not share, because rows were parked or the tail was accepted, are
    marked to be compared by checksum; the live side's rows are the right ones.

    Args:
        settings: with the direction in force, which stays in force.
        sessions: in autocommit mode, one on each side.
        held: what `may_turn` returned.
        accepted: who accepts that the rest of the tail is overwritten.
    """
    old = settings.direction
    new = Direction(old.receiver)
    live, fenced = sessions[new.sender], sessions[new.receiver]
    names = position.armed_names(live, old)
    doubted = set(names) if accepted else _ever_parked(live, old)
    server = capture.read_slot(live, held.receiver_slot)
    lsn = lsn_text(held.receiver_lsn or 0)
    position.prefer(fenced, _WAIT_SECONDS)
    try:
        with fenced.transaction():
            position.take_over(fenced, wait_seconds=_WAIT_SECONDS)
            try:
                if lsn_text(position.read(fenced, new).lsn) == lsn:
                    return  # begun before, and not finished
            except NotArmedError:
                pass
            fenced.execute(
                statement("stream_begin"),
                {
                    "stream": new.name,
                    "slot": held.receiver_slot,
                    "system": server.system_identifier,
                    "lsn": lsn,
                    "capture": held.receiver_capture
                    if held.receiver_capture in CAPTURE_WAYS
                    else DIFF,
                    "receiver_capture": held.capture if held.capture != DIFF else "none",
                    "timeline": server.timeline,
                    "applied": changelog.NOTHING,
                    "acknowledged": 0,
                },
            )
            fenced.execute(
                statement("stream_tables"),
                {
                    "stream": new.name,
                    "names": sorted(names),
                    "whole": [],
                    "unproven": sorted(doubted),
                    "why": f"the tail was accepted by {accepted}"
                    if accepted
                    else "rows of it were parked as conflicts",
                },
            )
    finally:
        position.unprefer(fenced)


def finish(settings: SyncSettings, sessions: Mapping[Side, Connection]) -> None:
    """Put the new direction in force on both sides, and forget the old stream. Idempotent.

    Args:
        settings: with the new direction.
        sessions: in autocommit mode, one on each side.
    """
    new = settings.direction
    turn = max(told_by(each)[0] + (told_by(each)[1] != new) for each in sessions.values())
    for side in (new.receiver, new.sender):
        session = sessions[side]
        with session.transaction():
            session.execute(statement("turn_tell"), {"sender": new.sender.value, "turn": turn})
            if side is new.sender:
                forget(session, Direction(new.receiver))


def forget(session: Connection, direction: Direction) -> None:
    """Forget a stream that is not in force; its settled conflicts stay."""
    for table, column in (
        ("stream", "name"),
        *((table, "stream") for table in ("stream_table", *_LEDGER)),
    ):
        session.execute(
            psycopg.sql.SQL("DELETE FROM failback.{} WHERE {} = %s").format(
                psycopg.sql.Identifier(table), psycopg.sql.Identifier(column)
            ),
            [direction.name],
        )


def _ever_parked(session: Connection, direction: Direction) -> set[str]:
    """Tables of which rows were parked: whichever version was kept, the sides may differ."""
    rows = session.execute(
        "SELECT DISTINCT table_name FROM failback.conflicts WHERE stream = %s", [direction.name]
    )
    return {name for (name,) in rows.fetchall()}
