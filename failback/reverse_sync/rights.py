"""What failback's roles must be allowed to do, checked before anything is changed.

Changes when the reverse sync needs another right.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg import sql

from failback.errors import MissingRightError
from failback.models.common import Side
from failback.reverse_sync.catalogue import Table
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.statements import statement

OLDEST = 140_000
"""Servers before this version are refused."""
_COLUMN_LISTS = 150_000


class Lack(NamedTuple):
    """Something that is missing, and what to run."""

    what: str
    cure: str


class Facts(NamedTuple):
    """What a server tells of itself and the current role."""

    version: int
    """As in `server_version_num`."""
    wal_level: str
    replication: bool
    """Whether the role may use replication slots."""
    may_create: bool
    """Whether the role may make a schema in the database."""
    may_replicate: bool
    """Whether the role may set session_replication_role."""
    free_slots: int
    subscriptions: list[str]
    """Enabled ones of this database."""


def facts(connection: Connection) -> Facts | None:
    """What the server tells of itself and the current role; None where there is no such role."""
    # Before 15 a right to set a parameter could not be granted.
    may_set = (
        "has_parameter_privilege('session_replication_role', 'SET')"
        if connection.info.server_version >= _COLUMN_LISTS
        else "r.rolsuper"
    )
    query = sql.SQL(statement("rights_server")).format(may_set=sql.SQL(may_set))
    row: tuple[Any, ...] | None = connection.execute(query).fetchone()
    return None if row is None else Facts(*row)


def server_lacks(connection: Connection, side: Side, direction: Direction) -> list[Lack]:
    """What the server and failback's role on it do not allow, however changes are captured."""
    if connection.info.server_version < OLDEST:
        # Nothing else is asked of it: it may not know the question.
        return [
            Lack(
                f"the {side.value} is PostgreSQL {connection.info.server_version // 10_000}, "
                "which is too old",
                f"Upgrade it to {OLDEST // 10_000} or later",
            )
        ]
    told = facts(connection)
    if told is None:
        return [Lack(f"the current role of the {side.value} does not exist", "Connect again")]
    user = connection.info.user
    lacks = []
    if not told.may_create:
        database = connection.info.dbname
        lacks.append(
            Lack(
                f"{user} may not create objects in the database {database} of the {side.value}",
                f"On the {side.value} run GRANT CREATE ON DATABASE {database} TO {user}",
            )
        )
    if not told.may_replicate and side is direction.receiver:
        lacks.append(
            Lack(
                f"{user} may not set session_replication_role on the {side.value}",
                f"On the {side.value} run GRANT SET ON PARAMETER session_replication_role TO "
                f"{user}",
            )
        )
    return lacks


def slot_lacks(connection: Connection, side: Side, *, slots_needed: int) -> list[Lack]:
    """What keeps a slot from being used on a side; empty where it can be.

    Args:
        connection: any session there.
        side: for messages.
        slots_needed: how many slots have yet to be made.
    """
    told = facts(connection)
    if told is None:
        return [Lack(f"the current role of the {side.value} does not exist", "Connect again")]
    user = connection.info.user
    lacks = []
    if told.version < _COLUMN_LISTS:
        lacks.append(
            Lack(
                f"the {side.value} is PostgreSQL {told.version // 10_000}, which publishes no "
                "columns",
                "Upgrade it to 15 or later",
            )
        )
    if told.wal_level != "logical":
        lacks.append(
            Lack(
                f"wal_level of the {side.value} is {told.wal_level}",
                f"On the {side.value} run ALTER SYSTEM SET wal_level = logical, and restart it",
            )
        )
    if not told.replication:
        lacks.append(
            Lack(
                f"{user} may not replicate on the {side.value}",
                f"On the {side.value} run ALTER ROLE {user} REPLICATION",
            )
        )
    if told.free_slots < slots_needed:
        lacks.append(
            Lack(
                f"all replication slots of the {side.value} are taken",
                f"Raise max_replication_slots on the {side.value}, or drop an unused slot",
            )
        )
    return lacks


def changelog_lacks(connection: Connection, side: Side) -> list[Lack]:
    """What keeps a changelog from seeing every change on a side; empty where nothing does.

    That failback owns the tables is checked for the fence's triggers already.
    """
    told = facts(connection)
    if told is None or not told.subscriptions:
        return []
    return [
        Lack(
            f"the {side.value} subscribes to {', '.join(told.subscriptions)}, whose apply workers "
            "fire no statement triggers",
            f"On the {side.value} run ALTER SUBSCRIPTION … DISABLE, or let a slot capture",
        )
    ]


def table_lacks(
    connection: Connection,
    side: Side,
    direction: Direction,
    tables: Sequence[Table],
    *,
    publishing: bool = True,
) -> tuple[list[Lack], tuple[str, ...]]:
    """What failback's role may not do with the tables, and which tables it does not own.

    On the sender a table that is not owned cannot be published; on the receiver it can be
    written, but carries no fence, and its own changes are not told.
    """
    user = connection.info.user
    lacks, foreign = [], []
    rows = connection.execute(
        statement("rights_tables"), {"tables": [table.oid for table in tables]}
    ).fetchall()
    for name, may_read, may_write, owned, hidden, owner in rows:
        sending = side is direction.sender
        if not (may_read if sending else may_write):
            rights = "SELECT" if sending else "SELECT, INSERT, DELETE"
            lacks.append(
                Lack(
                    f"{user} may not {'read' if sending else 'write'} {name} on the {side.value}",
                    f"On the {side.value} run GRANT {rights} ON {name} TO {user}",
                )
            )
        if hidden:
            lacks.append(
                Lack(
                    f"row security hides rows of {name} from {user} on the {side.value}",
                    f"On the {side.value} run ALTER ROLE {user} BYPASSRLS",
                )
            )
        if not owned:
            foreign.append(name)
            if sending and publishing:
                lacks.append(
                    Lack(
                        f"{user} does not own {name} on the {side.value}, and so may not publish "
                        "it or put the fence on it",
                        f"On the {side.value} run GRANT {owner} TO {user}",
                    )
                )
    return lacks, tuple(foreign)


def sequence_lacks(
    connection: Connection, side: Side, direction: Direction, schemas: Sequence[str]
) -> list[Lack]:
    """Sequences that could not be read, or on the receiver not be set."""
    user = connection.info.user
    rows = connection.execute(statement("rights_sequences"), {"schemas": list(schemas)}).fetchall()
    lacks = []
    for name, may_read, may_set in rows:
        setting = side is direction.receiver
        if may_read and (may_set or not setting):
            continue
        lacks.append(
            Lack(
                f"{user} may not {'set' if setting else 'read'} {name} on the {side.value}",
                f"On the {side.value} run GRANT SELECT{', UPDATE' if setting else ''} "
                f"ON SEQUENCE {name} TO {user}",
            )
        )
    return lacks


def refuse(lacks: Sequence[Lack]) -> None:
    """Raise one error that names everything missing; do nothing where nothing is.

    Raises:
        MissingRightError: something is missing.
    """
    if lacks:
        cause = "; ".join(what for what, _ in lacks)
        cures = "; ".join(dict.fromkeys(cure for _, cure in lacks))
        raise MissingRightError(f"Something is not allowed: {cause}.", f"{cures}.")
