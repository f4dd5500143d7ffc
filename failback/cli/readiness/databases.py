"""Questions about each of the two databases: reach, rights, tables and their keys."""

import psycopg

from failback.cli.readiness.findings import Finding, Part
from failback.config import Estate
from failback.errors import FailbackError
from failback.models.common import Side
from failback.reverse_sync import matching, rights, turning, wal_limit
from failback.reverse_sync.catalogue import Table, read_tables
from failback.reverse_sync.connections import Connection, Servers
from failback.reverse_sync.settings import SyncSettings


def examine_database(estate: Estate, side: Side) -> list[Finding]:
    """Look at one side's database. Blocking; nothing is changed."""
    part = Part(side.value)
    servers = Servers(
        source_dsn=estate.source.dsn.get_secret_value(),
        target_dsn=estate.target.dsn.get_secret_value(),
        connect_timeout_seconds=estate.database(side).connect_timeout_seconds,
    )
    reached = "the database lets failback in"
    try:
        connection = servers.connect(side, autocommit=True)
    except FailbackError as error:
        part.refuse(reached, error)
        part.skip("rights and tables", "the database was not reached")
        return part.findings
    with connection:
        try:
            version = connection.execute("SHOW server_version").fetchone()
            part.say(reached, True, f"PostgreSQL {version[0] if version else ''}")
            if not _examine_server(part, connection):
                part.skip("rights and tables", "the server is too old to be asked")
                return part.findings
            _examine_role(part, connection, side)
            _examine_slots(part, connection, estate)
            _examine_tables(part, connection, estate, side)
        except FailbackError as error:
            part.refuse("rights and tables", error)
        except psycopg.Error as error:
            part.say("rights and tables", None, f"The server answered: {error}".strip())
    return part.findings


def _examine_server(part: Part, connection: Connection) -> bool:
    """Whether the server is new enough for the questions that follow."""
    number = connection.info.server_version
    return part.say(
        f"the version is {rights.OLDEST // 10_000} or later",
        number >= rights.OLDEST,
        str(number // 10_000),
        f"Upgrade the server to PostgreSQL {rights.OLDEST // 10_000} or newer.",
    )


def _examine_role(part: Part, connection: Connection, side: Side) -> None:
    told = rights.facts(connection)
    if told is None:
        part.skip("the role's rights", "the role is not in pg_roles")
        return
    user = connection.info.user
    part.say(
        "the role may make a schema",
        told.may_create,
        user,
        f'GRANT CREATE ON DATABASE "{connection.info.dbname}" TO "{user}";',
    )
    _, direction = turning.told_by(connection)
    needed = told.may_replicate or side is direction.receiver
    part.say(
        "the role may set session_replication_role",
        told.may_replicate if needed else None,
        user if needed else f"{user}: only `failback reprotect` needs it here",
        f'GRANT SET ON PARAMETER session_replication_role TO "{user}"; (as a superuser)',
    )
    row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    if row.fetchone() == (True,):
        part.say(
            "the role is no superuser",
            None,
            f"{user} is a superuser: it works, but it may do more than failback needs.",
            "Use a role of its own with REPLICATION and ownership of the tables.",
        )


def _examine_slots(part: Part, connection: Connection, estate: Estate) -> None:
    settings = SyncSettings.of(estate)
    orphans = wal_limit.orphans_alone(connection, settings.object_name, settings.other_slots)
    part.say(
        "no forgotten slot keeps the log",
        not orphans,
        ", ".join(f"{each.name}: {each.retained // wal_limit.MEBIBYTE} MiB" for each in orphans),
        "; ".join(each.cure for each in orphans),
    )


def _examine_tables(part: Part, connection: Connection, estate: Estate, side: Side) -> None:
    patterns = estate.data.tables
    tables = read_tables(connection, patterns.include, patterns.exclude)
    part.say(
        "every pattern of data.tables matches", bool(tables), f"{len(tables)} tables", _ADD_PATTERN
    )
    problems = matching.refusals(tables, side)
    keyless = sum(not table.key for table in tables)
    told = f", {keyless} of them without a key: their rows are known by all their values"
    part.say(
        "every table can be captured",
        not problems,
        _listed([f"{one.table} {one.problem}" for one in problems])
        or f"{len(tables)} tables{told if keyless else ''}",
        _listed([one.cure for one in problems]),
    )
    _examine_ownership(part, connection, tables, side)


def _examine_ownership(
    part: Part, connection: Connection, tables: tuple[Table, ...], side: Side
) -> None:
    """Ownership, for triggers and the publication; on the source writing is enough.

    Hosted Supabase keeps `auth` and `storage` for itself: such tables can be written to, but
    carry no fence trigger. They are guarded at the door.
    """
    foreign = [table for table in tables if not table.owned]
    if side is Side.TARGET or not foreign:
        part.say(
            "the role owns every table",
            not foreign,
            _listed([f"{table.qualified} (owner {table.owner})" for table in foreign])
            or f"{len(tables)} tables",
            "Make the role a member of the owner: GRANT owner TO role;",
        )
        return
    unwritable = [table.qualified for table in foreign if not _may_write(connection, table)]
    part.say(
        "the role may write every table",
        not unwritable,
        _listed(unwritable)
        or f"{len(foreign)} of {len(tables)} belong to others, and are guarded at the door alone",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON the tables TO the role; (as their owner)",
    )


def _may_write(connection: Connection, table: Table) -> bool:
    row = connection.execute(
        "SELECT bool_and(has_table_privilege(%s::oid, wanted))"
        " FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS wanted",
        [table.oid],
    ).fetchone()
    return row is not None and bool(row[0])


_ADD_PATTERN = "Add a pattern schema.table under data.tables.include."


def _listed(names: list[str], most: int = 5) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
