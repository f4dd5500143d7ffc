"""Installs the product's schema on one side, with the owners that that side has."""

from importlib.resources import files
from typing import LiteralString

import psycopg
from psycopg import sql

from failback.errors import LabError
from failback.models.common import Side

WRITER = "product"
"""The role that the product connects and writes as, on both sides."""
SCHEMAS = ("public", "auth", "storage")
_OWNERS = {
    Side.SOURCE: {
        "public": "postgres",
        "auth": "supabase_auth_admin",
        "storage": "supabase_auth_admin",
    },
    Side.TARGET: {"public": "app_owner", "auth": "app_owner", "storage": "app_owner"},
}
_DML = sql.SQL("SELECT, INSERT, UPDATE, DELETE")


def install(admin_dsn: str, side: Side) -> None:
    """Create the product's tables, types, functions and triggers, and set owners and grants.

    Everything happens in one transaction, and may be repeated. The roles must exist.

    Args:
        admin_dsn: libpq connection string of a superuser of that side's database.
        side: decides about the owners. Source: `public` belongs to `postgres`; `auth` and
            `storage` belong to `supabase_auth_admin`, with reading and writing (no ownership,
            no triggers) granted to `postgres`, as hosted Supabase does. Target: all belongs
            to `app_owner`.

    Raises:
        LabError: a role is missing, or the user may not install.
        psycopg.OperationalError: the server does not answer.
    """
    script = files("failback.lab").joinpath("sql", "product.sql").read_text(encoding="utf-8")
    owners = _OWNERS[side]
    try:
        with psycopg.connect(admin_dsn, options="-c client_min_messages=warning") as connection:
            connection.execute(script.encode())
            for schema, owner in owners.items():
                _give(connection, schema, owner)
                _grant(connection, schema, WRITER, on_sequences="USAGE, SELECT")
                if side is Side.SOURCE and owner != "postgres":
                    _grant(connection, schema, "postgres", on_sequences="USAGE, SELECT, UPDATE")
    except (psycopg.errors.UndefinedObject, psycopg.errors.InsufficientPrivilege) as error:
        raise LabError(
            f"The product's schema cannot be installed on the {side.value}: {error}",
            "Create the lab's roles first and connect as a superuser.",
        ) from error


def _give(connection: psycopg.Connection, schema: str, owner: str) -> None:
    """Make one role the owner of what the installing superuser owns in a schema.

    Sequences that belong to a column follow their table. Objects of other roles keep them.
    """
    role = sql.Identifier(owner)
    if schema != "public":
        connection.execute(
            sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(sql.Identifier(schema), role)
        )
    else:
        connection.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(role))
    for kind, name in connection.execute(
        """SELECT 'TABLE', relname FROM pg_class
           WHERE relnamespace = %(schema)s::regnamespace AND relkind = 'r'
             AND relowner = current_user::regrole
           UNION ALL
           SELECT 'TYPE', typname FROM pg_type
           WHERE typnamespace = %(schema)s::regnamespace AND typtype = 'e'
             AND typowner = current_user::regrole
           UNION ALL
           SELECT 'ROUTINE', proname FROM pg_proc
           WHERE pronamespace = %(schema)s::regnamespace AND pronargs = 0
             AND proowner = current_user::regrole""",
        {"schema": schema},
    ).fetchall():
        connection.execute(
            sql.SQL("ALTER {} {} OWNER TO {}").format(
                sql.SQL(kind), sql.Identifier(schema, name), role
            )
        )


def _grant(
    connection: psycopg.Connection, schema: str, role: str, *, on_sequences: LiteralString
) -> None:
    """Let a role read and write a schema's tables, and do so much with its sequences."""
    place, who = sql.Identifier(schema), sql.Identifier(role)
    for statement in (
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(place, who),
        sql.SQL("GRANT {} ON ALL TABLES IN SCHEMA {} TO {}").format(_DML, place, who),
        sql.SQL("GRANT {} ON ALL SEQUENCES IN SCHEMA {} TO {}").format(
            sql.SQL(on_sequences), place, who
        ),
    ):
        connection.execute(statement)
