"""Everything that would make arming fail, found before anything is changed.

Changes when arming has another precondition.
"""

from dataclasses import dataclass

from failback.errors import (
    AlreadyArmedError,
    FenceUpError,
    NotArmedError,
    SchemaDriftError,
    TableRefusedError,
)
from failback.models.common import Side
from failback.models.sync import TableProblem
from failback.reverse_sync import (
    changelog_triggers,
    choosing,
    fence,
    matching,
    position,
    publication,
    rights,
)
from failback.reverse_sync.catalogue import Table, read_named, read_tables
from failback.reverse_sync.choosing import Choice
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.matching import TablePair
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.settings import SyncSettings
from failback.reverse_sync.statements import statement
from failback.reverse_sync.ways import CHANGELOG, SLOT


@dataclass(frozen=True)
class Plan:
    """What arming will do, after every check has passed."""

    pairs: tuple[TablePair, ...]
    held: StreamPosition | None
    """The position of a stream that is armed already."""
    known: frozenset[str]
    """Tables that are armed already."""
    foreign: frozenset[str]
    """Tables of the receiver that failback does not own there."""
    uncaptured: frozenset[str]
    """Tables of the sender that failback does not own there, so that nothing tells of changes."""
    choice: Choice
    """How changes are captured on each side."""
    problems: tuple[TableProblem, ...] = ()
    """Tables that cannot be carried over as they are; they stop no other."""
    kept: tuple[Table, ...] = ()
    """Those of them, as the sender has them, whose changes have been captured and still are."""
    refused: tuple[Table, ...] = ()
    """All of them that failback owns on the sender: a fence must cover them as well."""

    @property
    def sent(self) -> tuple[Table, ...]:
        """The tables to be captured, as the sender has them."""
        return (*(pair.sent for pair in self.pairs), *self.kept)

    @property
    def captured(self) -> tuple[Table, ...]:
        """The sender's tables of which changes are captured."""
        return tuple(table for table in self.sent if table.qualified not in self.uncaptured)

    @property
    def received(self) -> tuple[Table, ...]:
        """The tables as the receiver has them."""
        return tuple(pair.received for pair in self.pairs)

    @property
    def owned(self) -> tuple[Table, ...]:
        """The receiver's tables that can be published there."""
        return tuple(
            table
            for table in self.received
            if table.qualified not in self.foreign
            and (table.key or table.kind == "r")
            and not table.unlogged
        )


def examine(
    settings: SyncSettings,
    sender: Connection,
    receiver: Connection,
    capture: str | None = None,
) -> Plan:
    """Check everything. Reads only.

    Args:
        settings: the estate's.
        sender: a session in autocommit mode there.
        receiver: a session in autocommit mode there.
        capture: the way of capture that is asked for; None picks the best that is allowed.

    Raises:
        ConfigurationError: there is no such way of capture.
        AlreadyArmedError: another estate has armed one of the databases, or has the slot.
        UnknownTablePatternError: a pattern matches no table.
        TableRefusedError: no table is left, and one cannot be captured.
        SchemaDriftError: no table is left, because the receiver's schema would lose data.
        MissingRightError: a right or a server setting is missing.
        FenceUpError: the sender is fenced: a rollback is at work, or was.
    """
    direction = settings.direction
    sides = {direction.sender: sender, direction.receiver: receiver}
    for side, connection in sides.items():
        _check_owner(connection, side, settings)
    tables = read_tables(sender, settings.include, settings.exclude)
    refused = matching.refusals(tables, direction.sender)
    counterparts = read_named(receiver, (table.qualified for table in tables))
    pairs, drifted = matching.match(tables, counterparts, direction)
    unfit = {each.table for each in (*refused, *drifted)}
    pairs = tuple(pair for pair in pairs if pair.qualified not in unfit)
    if not pairs:
        matching.refuse(refused, TableRefusedError)
        matching.refuse(drifted, SchemaDriftError)
    foreign, uncaptured = _check_rights(settings, sides, pairs)
    if fence.is_up(sender):
        raise FenceUpError(
            f"The fence of the {direction.sender.value} is up: a rollback has taken it out of "
            "service.",
            "`failback reprotect` carries the other side's changes here until the next attempt; "
            f"`failback fence lift {direction.sender.value}` makes it live again.",
        )
    held, choice = chosen(settings, sides, capture)
    known: frozenset[str] = frozenset()
    if held is not None:
        # A table that was made anew since is captured no more, and has no history.
        known = _captured(settings, held.capture, sender, tables).intersection(
            position.armed_names(receiver, direction)
        )
    lost = {each.table for each in refused}
    others = tuple(table for table in tables if table.qualified in unfit)
    return Plan(
        pairs,
        held,
        known,
        foreign,
        uncaptured,
        choice,
        problems=(*refused, *(each for each in drifted if each.table not in lost)),
        kept=tuple(t for t in others if t.qualified in known and t.qualified not in lost),
        refused=tuple(table for table in others if table.owned),
    )


def chosen(
    settings: SyncSettings, sides: dict[Side, Connection], asked: str | None = None
) -> tuple[StreamPosition | None, Choice]:
    """The position that is held, None where nothing is armed, and the way of capture. Reads only.

    Args:
        settings: with the direction in force.
        sides: a session in autocommit mode on each side.
        asked: the way that is asked for; None picks the best that is allowed.

    Raises:
        ConfigurationError: there is no such way of capture.
        MissingRightError: the way that was asked for needs something that is missing.
    """
    direction = settings.direction
    try:
        held: StreamPosition | None = position.read(sides[direction.receiver], direction)
    except NotArmedError:
        held = None
    choice = choosing.choose(
        sides,
        direction.sender,
        asked=asked,
        before=None if held is None else held.capture,
        slots_needed={
            side: int(_slot(connection, settings.object_name) is None)
            for side, connection in sides.items()
        },
    )
    return held, choice


def _captured(
    settings: SyncSettings, way: str, sender: Connection, tables: tuple[Table, ...]
) -> frozenset[str]:
    """The tables of which every change is captured now."""
    if way == SLOT:
        return publication.published(sender, settings.object_name)
    every = {table.qualified: table for table in tables}
    if way == CHANGELOG:
        lacking = frozenset(changelog_triggers.uncovered(sender, tables, always=True))
        return frozenset(
            name
            for name, table in every.items()
            if lacking.isdisjoint([name, *(part.qualified for part in table.partitions)])
        )
    return frozenset(every)


def _check_rights(
    settings: SyncSettings, sides: dict[Side, Connection], pairs: tuple[TablePair, ...]
) -> tuple[frozenset[str], frozenset[str]]:
    """Raise for whatever is missing; returns the tables of receiver and sender that are not ours.

    On the source of a hosted project some tables are nobody's to publish. While it only receives
    that is a warning; when it sends, such a table is compared instead.
    """
    lacks: list[rights.Lack] = []
    foreign: dict[bool, frozenset[str]] = {}
    for side, connection in sides.items():
        lacks += rights.server_lacks(connection, side, settings.direction)
        sending = side is settings.direction.sender
        tables = [pair.sent if sending else pair.received for pair in pairs]
        missing, not_owned = rights.table_lacks(
            connection, side, settings.direction, tables, publishing=side is Side.TARGET
        )
        lacks += missing
        lacks += rights.sequence_lacks(
            connection, side, settings.direction, sorted({table.schema for table in tables})
        )
        foreign[sending] = frozenset(not_owned)
    rights.refuse(lacks)
    return foreign[False], foreign[True]


def _check_owner(connection: Connection, side: Side, settings: SyncSettings) -> None:
    """Whether the database and the slot's name are ours or free."""
    exists = connection.execute("SELECT to_regclass('failback.estate')").fetchone()
    owner = None
    if exists is not None and exists[0] is not None:
        owner = connection.execute("SELECT name FROM failback.estate").fetchone()
    if owner is not None and owner[0] != settings.estate:
        raise AlreadyArmedError(
            f"The {side.value} database is armed already, by the estate {owner[0]}.",
            f"Run `failback disarm` with that estate's configuration first, or correct `estate` "
            f"(it says {settings.estate}).",
        )
    slot = _slot(connection, settings.object_name)
    if slot is not None and (owner is None or slot != (connection.info.dbname, "pgoutput")):
        raise AlreadyArmedError(
            f"The {side.value} has a slot {settings.object_name} already, in the database "
            f"{slot[0]}, and it was not made for this estate.",
            f"Choose another name for `estate`, or drop the slot: "
            f"SELECT pg_drop_replication_slot('{settings.object_name}').",
        )


def _slot(connection: Connection, name: str) -> tuple[str, str] | None:
    """(database, plugin) of the slot of this name, in whatever database; None without one."""
    row = connection.execute(statement("slot_owner"), {"slot": name}).fetchone()
    return None if row is None else (row[0], row[1])
