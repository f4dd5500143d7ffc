"""Settles parked conflicts: the version that somebody decided for becomes the receiver's row.

Changes when a conflict can be settled in another way. One transaction a conflict: the stream is
held, so that no batch is at work; the row is locked and compared with the version that was shown;
the other version takes its place; what it refers to and what refers to it is looked at; and the
decision is written down. A crash leaves all of it or nothing, and settling again says so.
"""

import re
from contextlib import closing
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from failback.errors import ConfigurationError
from failback.models.common import Side
from failback.models.settling import ConflictChoice, Keep, Settled, Settlement, SettleReport
from failback.models.sync import Conflict
from failback.reverse_sync import conflicts, fence, position
from failback.reverse_sync.catalogue import Table, read_named
from failback.reverse_sync.connections import Connection, Servers
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.ledger import Marks
from failback.reverse_sync.pgoutput import MARKER
from failback.reverse_sync.rows import ChangedSinceError, RefusedError, replace_row
from failback.reverse_sync.statements import statement

_WAIT_SECONDS = 10.0


def settle(servers: Servers, direction: Direction, choice: ConflictChoice) -> SettleReport:
    """Settle what the choice names, one by one; a refusal of one leaves the others alone.

    Args:
        servers: how to reach both sides; only the receiver is used.
        direction: the stream whose conflicts are meant.
        choice: which ones, whose version is right, and who says so.

    Raises:
        ConfigurationError: the choice names no conflict, or too much, or nobody.
        SlotBusyError: a batch is at work and does not end.
    """
    _check(choice)
    with (
        closing(servers.connect(direction.receiver, autocommit=True)) as session,
        servers.explaining(direction.receiver),
    ):
        chosen = _chosen(session, choice)
        settlements = []
        if chosen:
            position.prefer(session, _WAIT_SECONDS)
            try:
                settlements = [_settle(session, direction, choice, one) for one in chosen]
            finally:
                if not session.closed:
                    position.unprefer(session)
        left = len(conflicts.read(session))
    return SettleReport(settlements=tuple(settlements), open_conflicts=left)


def _check(choice: ConflictChoice) -> None:
    """Raise where a choice is none."""
    if not choice.who.strip():
        raise ConfigurationError("A conflict is settled by somebody.", "Name who: --as NAME.")
    if bool(choice.ids) == bool(choice.table):
        raise ConfigurationError(
            "Either one conflict is settled by its ID, or many by a rule.",
            "Give an ID, or --all with --table PATTERN.",
        )
    if (choice.keep is Keep.NEWEST) != bool(choice.column):
        raise ConfigurationError(
            "A column says which version is newest, and nothing else needs one.",
            "Give --keep newest together with --column NAME.",
        )


def _chosen(session: Connection, choice: ConflictChoice) -> list[int]:
    """The ids that a choice means, oldest first."""
    found = {
        one.id: one.table
        for one in conflicts.read(session, include_settled=bool(choice.ids), ids=choice.ids or None)
    }
    unknown = [str(one) for one in choice.ids if one not in found]
    if unknown:
        raise ConfigurationError(
            f"There is no conflict {', '.join(unknown)}.",
            "`failback sync conflicts list` shows those there are.",
        )
    if choice.ids:
        return sorted(found)
    pattern = re.compile(
        "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in choice.table),
        re.DOTALL,
    )
    return [number for number, table in found.items() if pattern.fullmatch(table)]


def _settle(
    session: Connection, direction: Direction, choice: ConflictChoice, number: int
) -> Settlement:
    """Settle one conflict, or say why not; raises only where the server went away."""
    shown = conflicts.read(session, include_settled=True, side=direction.receiver, ids=[number])[0]
    try:
        keep = _side(session, choice, shown)
    except RefusedError as error:
        return _refused(shown, error)
    if shown.settled_at is not None:
        return _already(shown, keep)
    if keep is None:
        return Settlement(
            conflict=shown,
            result=Settled.UNDECIDED,
            detail=f"neither version has a later {choice.column}",
            cure="Settle it by its ID",
        )
    return _done(session, direction, choice, shown, keep)


def _done(
    session: Connection, direction: Direction, choice: ConflictChoice, shown: Conflict, keep: Side
) -> Settlement:
    """Settle an open conflict in a transaction of its own."""
    try:
        with session.transaction(force_rollback=choice.plan):
            position.take(session, wait_seconds=_WAIT_SECONDS, priority=True)
            _keep(session, direction, shown, keep)
            _record(session, choice, shown, keep)
    except ChangedSinceError as changed:
        if not choice.plan:
            _show_anew(session, direction, shown, changed)
        fresh = {f"{direction.receiver.value}_image": changed.now}
        return _refused(shown.model_copy(update=fresh), changed, keep)
    except RefusedError as error:
        return _refused(shown, error, keep)
    if choice.plan:
        return Settlement(conflict=shown, result=Settled.PLANNED, keep=keep)
    after = conflicts.read(session, include_settled=True, side=direction.receiver, ids=[shown.id])
    return Settlement(conflict=after[0], result=Settled.SETTLED, keep=keep)


def _side(session: Connection, choice: ConflictChoice, shown: Conflict) -> Side | None:
    """Whose version the choice means; None where its rule does not say."""
    if choice.keep is not Keep.NEWEST:
        return Side(choice.keep.value)
    if shown.source_image is None or shown.target_image is None:
        return None
    values = [image.get(choice.column) for image in (shown.source_image, shown.target_image)]
    table = read_named(session, [shown.table]).get(shown.table)
    if table is None or choice.column not in {column.name for column in table.columns}:
        raise RefusedError(f"{shown.table} has no column {choice.column}", "Name another column")
    if None in values:
        return None
    return _later(session, table, choice.column, *values)


def _later(
    session: Connection, table: Table, column: str, source: str | None, target: str | None
) -> Side | None:
    kind: LiteralString = table.column(column).type_name  # written and quoted by the server
    query = sql.SQL(statement("settle_newer")).format(type=sql.SQL(kind))
    try:
        row = session.execute(query, {"source": source, "target": target}).fetchone()
    except psycopg.errors.UndefinedFunction as error:
        raise RefusedError(
            f"{column} of {table.qualified} has no order", "Name another column"
        ) from error
    return None if row is None or row[0] is None else Side(row[0])


def _keep(session: Connection, direction: Direction, shown: Conflict, keep: Side) -> None:
    """Make the chosen version the receiver's row, in the transaction that is open."""
    if keep is direction.receiver:
        return
    if fence.is_up(session):
        raise RefusedError(
            f"the {direction.receiver.value} takes no writes: its rows are no decision of its own",
            f"Settle it while the {direction.receiver.value} is live, or keep its version",
        )
    wanted = {Side.SOURCE: shown.source_image, Side.TARGET: shown.target_image}
    session.execute(statement("apply_begin"))
    # The change is no new one of the product's: it is the sender's own version.
    session.execute("SELECT pg_logical_emit_message(true, %s, %s)", [MARKER, direction.name])
    # The ledger looks for changes without that marker alone.
    Marks(session, direction.name).whole([shown.table])
    replace_row(
        session,
        shown.table,
        key=shown.key_image,
        shown=wanted[direction.receiver],
        wanted=wanted[direction.sender],
    )


def _record(session: Connection, choice: ConflictChoice, shown: Conflict, keep: Side) -> None:
    """Write the decision down; somebody else's, made meanwhile, is not overwritten."""
    rule = f" ({choice.column} is later)" if choice.keep is Keep.NEWEST else ""
    done = session.execute(
        statement("settle_mark"),
        {
            "id": shown.id,
            "who": choice.who,
            "resolution": f"kept the {keep.value}'s version{rule}"
            + (f": {choice.comment}" if choice.comment else ""),
            "kept": keep.value,
        },
    )
    if done.rowcount != 1:
        raise RefusedError("somebody else has just settled it", "Look at it again")


def _show_anew(
    session: Connection, direction: Direction, shown: Conflict, changed: ChangedSinceError
) -> None:
    """Park the row as it is now, so that the next decision is made about that."""
    session.execute(
        statement("settle_show_source")
        if direction.receiver is Side.SOURCE
        else statement("settle_show_target"),
        {
            "id": shown.id,
            "image": None if changed.now is None else Jsonb(changed.now),
        },
    )


def _already(shown: Conflict, keep: Side | None) -> Settlement:
    if shown.kept is not None and keep in (None, shown.kept):
        return Settlement(conflict=shown, result=Settled.ALREADY, keep=shown.kept)
    return Settlement(
        conflict=shown,
        result=Settled.REFUSED,
        keep=keep,
        detail=f"{shown.settled_by} has settled it: {shown.resolution}",
        cure="Change the row itself where that was wrong",
    )


def _refused(shown: Conflict, error: RefusedError, keep: Side | None = None) -> Settlement:
    return Settlement(
        conflict=shown, result=Settled.REFUSED, keep=keep, detail=error.cause, cure=error.cure
    )
