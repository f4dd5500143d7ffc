"""The two servers of a benchmark and their databases, with the rights that the lab gives.

Changes when a benchmark needs another server or another kind of database on it.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from bench.support import data
from bench.support.data import Population, Session
from failback.lab.databases import (
    FAILBACK_ROLES,
    OWNER_ROLES,
    PRODUCT_ROLE,
    DatabasePair,
    PostgresPair,
    create_database,
    drop_database,
    prepare_roles,
)
from failback.lab.postgres import PostgresServer
from failback.models.common import Side
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.settings import SyncSettings

_PASSWORD = "benchmark-only"
_SIZED = {
    "shared_buffers": "1GB",
    "min_wal_size": "2GB",
    "max_wal_size": "8GB",
    "max_replication_slots": "20",
    "autovacuum": "off",
}
"""As a server of that many rows is sized; no checkpoint and no vacuum falls into a run."""
_LOG_MB = 1536


@dataclass
class Servers:
    """A source on Postgres 16 and a target on 18, with everything opened on them."""

    pair: PostgresPair
    opened: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def databases(self, name: str, population: Population | None = None) -> DatabasePair:
        """A database on each side; with a population, both hold the same generated rows."""
        made = DatabasePair(name, self.pair, _PASSWORD)
        for side in Side:
            create_database(self.pair.server(side), side, name)
            self.opened.callback(drop_database, self.pair.server(side), name)
            if population is None:
                continue
            with owner(made, side) as connection:
                data.create(connection)
                data.load(connection, population)
            with psycopg.connect(made.admin_dsn(side), autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
                connection.execute("GRANT USAGE ON SCHEMA bench TO PUBLIC")
        return made

    def copy(self, origin: DatabasePair, name: str) -> str:
        """Another database on the source's server with the same rows; its superuser's dsn."""
        server = self.pair.source
        with psycopg.connect(server.admin_dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(origin.name)
                )
            )
        self.opened.callback(drop_database, server, name)
        return server.admin_dsn(name)

    def engine(self, databases: DatabasePair) -> ReverseSync:
        """An engine with the rights of failback's own roles; closed with the servers."""
        engine = ReverseSync(settings_of(databases))
        self.opened.callback(engine.close)
        return engine

    def session(self, dsn: str) -> Session:
        """A session in autocommit mode, closed with the servers."""
        connection = psycopg.connect(dsn, autocommit=True)
        self.opened.callback(connection.close)
        return connection

    def checkpoint(self) -> None:
        """Start every measurement with nothing left to write from the one before."""
        for side in Side:
            with psycopg.connect(self.pair.server(side).admin_dsn(), autocommit=True) as session:
                session.execute("CHECKPOINT")


def _fill_log(server: PostgresServer) -> None:
    """Have the files of the log that a server which was up for a while uses again and again.

    A new server makes each when it comes to it, inside whatever is measured just then.
    """
    with psycopg.connect(server.admin_dsn(), autocommit=True) as session:
        session.execute(
            "SELECT count(pg_logical_emit_message(false, 'bench', repeat('x', 1048576)))"
            " FROM generate_series(1, %s)",
            [_LOG_MB],
        )
        session.execute("CHECKPOINT")


def settings_of(databases: DatabasePair) -> SyncSettings:
    """An engine's settings for every table of `public`."""
    return SyncSettings(
        estate=databases.name.replace("_", "-"),
        source_dsn=databases.source_dsn,
        target_dsn=databases.target_dsn,
        target_writer_roles=(PRODUCT_ROLE,),
        source_writer_roles=(PRODUCT_ROLE,),
    )


@contextmanager
def owner(databases: DatabasePair, side: Side) -> Iterator[Session]:
    """A session of the role that owns the product's tables."""
    with psycopg.connect(databases.dsn(side), autocommit=True) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER_ROLES[side])))
        yield connection


@contextmanager
def servers() -> Iterator[Servers]:
    """Start both servers in a folder of their own; gone with everything in it at the end."""
    with tempfile.TemporaryDirectory(prefix="failback-bench-") as folder:
        pair = PostgresPair(
            PostgresServer(16, Path(folder) / "source", settings=_SIZED),
            PostgresServer(18, Path(folder) / "target", settings=_SIZED),
        )
        try:
            for side in Side:
                pair.server(side).start()
                passwords = {FAILBACK_ROLES[side]: _PASSWORD, PRODUCT_ROLE: _PASSWORD}
                prepare_roles(pair.server(side), side, passwords)
                _fill_log(pair.server(side))
            made = Servers(pair)
            with made.opened:
                yield made
        finally:
            for side in Side:
                pair.server(side).remove()
