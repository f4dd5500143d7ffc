"""Roles and databases on the lab's servers, with the rights that hosted ones give failback."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg import sql

from failback.lab.postgres import PostgresServer
from failback.models.common import Side

FAILBACK_ROLES = {Side.SOURCE: "postgres", Side.TARGET: "failback"}
"""The role that failback itself connects as."""
OWNER_ROLES = {Side.SOURCE: "postgres", Side.TARGET: "app_owner"}
"""The role that owns the tables of `public`."""
PRODUCT_ROLE = "product"
"""The role that the product writes as, on both sides."""


@dataclass(frozen=True)
class PostgresPair:
    """The source (16) and the target (18), each with the lab's roles."""

    source: PostgresServer
    target: PostgresServer

    def server(self, side: Side) -> PostgresServer:
        """The server of one side."""
        return self.source if side is Side.SOURCE else self.target


@dataclass(frozen=True)
class DatabasePair:
    """A fresh, empty database on each side, and connection strings to it by role."""

    name: str
    servers: PostgresPair
    password: str
    """The password of every role but the superuser."""

    def admin_dsn(self, side: Side) -> str:
        """A connection string of the superuser."""
        return self.servers.server(side).admin_dsn(self.name)

    def dsn(self, side: Side) -> str:
        """A connection string of failback's own, limited role."""
        return self.servers.server(side).dsn(FAILBACK_ROLES[side], self.password, self.name)

    def app_dsn(self, side: Side) -> str:
        """A connection string of the role that the product writes as."""
        return self.servers.server(side).dsn(PRODUCT_ROLE, self.password, self.name)

    @property
    def source_dsn(self) -> str:
        """Failback's own role on the source."""
        return self.dsn(Side.SOURCE)

    @property
    def target_dsn(self) -> str:
        """Failback's own role on the target."""
        return self.dsn(Side.TARGET)

    @property
    def source_admin_dsn(self) -> str:
        """The superuser of the source."""
        return self.admin_dsn(Side.SOURCE)

    @property
    def target_admin_dsn(self) -> str:
        """The superuser of the target."""
        return self.admin_dsn(Side.TARGET)

    @property
    def source_app_dsn(self) -> str:
        """The product on the source."""
        return self.app_dsn(Side.SOURCE)

    @property
    def target_app_dsn(self) -> str:
        """The product on the target."""
        return self.app_dsn(Side.TARGET)


def prepare_roles(server: PostgresServer, side: Side, passwords: Mapping[str, str]) -> None:
    """Make the side's roles and give those named their passwords. Idempotent."""
    with psycopg.connect(server.admin_dsn(), autocommit=True) as connection:
        connection.execute(script(f"roles_{side.value}.sql"))
        for role, password in passwords.items():
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(password)
                )
            )


def create_database(server: PostgresServer, side: Side, name: str) -> None:
    """Make a database with the schemas `public` and `auth`, empty, with the side's rights."""
    database = sql.Identifier(name)
    with psycopg.connect(server.admin_dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
        for role in {FAILBACK_ROLES[side], OWNER_ROLES[side]}:
            connection.execute(
                sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, sql.Identifier(role))
            )
    with psycopg.connect(server.admin_dsn(name), autocommit=True) as connection:
        connection.execute(script(f"database_{side.value}.sql"))


def database_exists(server: PostgresServer, name: str) -> bool:
    """Whether the server has this database."""
    with psycopg.connect(server.admin_dsn()) as connection:
        row = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
    return row is not None


def drop_database(server: PostgresServer, name: str) -> None:
    """Drop a database with all that holds it: sessions, slots, prepared transactions."""
    with psycopg.connect(server.admin_dsn(name), autocommit=True) as connection:
        connection.execute(script("release_database.sql"))
        prepared = connection.execute(
            "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        ).fetchall()
        for (gid,) in prepared:
            connection.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
    with psycopg.connect(server.admin_dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def script(name: str) -> sql.SQL:
    """One of the SQL files of this package."""
    text = files("failback.lab").joinpath("sql", name).read_text(encoding="utf-8")
    return sql.SQL(text)
