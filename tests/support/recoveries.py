"""An estate whose source is damaged, its backup, its standby, and a real balancer before both."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from failback.config import Estate, load
from failback.lab.databases import (
    FAILBACK_ROLES,
    PRODUCT_ROLE,
    DatabasePair,
    create_database,
)
from failback.lab.haproxy import HaproxyServer
from failback.lab.postgres import PostgresServer
from failback.lab.processes import free_port
from failback.lab.product import schema
from failback.models.backups import BackupList, BackupManifest, BackupProof
from failback.models.common import Side
from failback.ports import Progress
from failback.providers.recovery.opening import open_recovery
from failback.recovery import EstateRecovery

ESTATE = "shop"
TEMPLATE = "product"
_PASSWORD = "test-only"
_numbers = itertools.count(1)
_ROWS = """
INSERT INTO auth.users (id, email) SELECT gen_random_uuid(), 'u' || n FROM generate_series(1, 40) n;
INSERT INTO public.documents (owner, title, body, price)
SELECT u.id, 'title ' || n, repeat('words ', 20), n
FROM auth.users AS u, generate_series(1, 30) AS n;
"""
_CONFIGURATION = """
estate: {estate}
source: {{dsn: "{source}", writer_roles: [product], connect_timeout_seconds: 2}}
target: {{dsn: "{target}"}}
traffic:
  balancer: {{runtime_api: "{runtime_api}"}}
  routes:
    database: [{{backend: database}}, {{backend: rest}}]
    auth: [{{backend: auth}}]
business_rules:
  - {{name: documents have owners, sql: "SELECT id FROM public.documents WHERE owner IS NULL"}}
backup: {{folder: "{store}", parallel: 2, pg_bin: "{programs}", scratch_dsn: "{standby}"}}
recovery: {{standby_dsn: "{standby}", doors: [database, source_database]}}
"""


@dataclass
class Damaged:
    """One test's estate: a copy of the product's database on the source, to be damaged."""

    name: str
    source: PostgresServer
    standby: PostgresServer
    target: DatabasePair
    folder: Path
    store: Path
    runtime_api: str = "tcp://127.0.0.1:1"
    opened: list[EstateRecovery] = field(default_factory=list)

    def path(self, source_dsn: str = "") -> Path:
        """Its configuration, written."""
        text = _CONFIGURATION.format(
            estate=ESTATE,
            source=source_dsn or self.source.dsn(FAILBACK_ROLES[Side.SOURCE], _PASSWORD, self.name),
            target=self.target.target_dsn,
            runtime_api=self.runtime_api,
            store=self.store,
            programs=self.source.programs,
            standby=self.standby.admin_dsn(),
        )
        path = self.folder / "failback.yaml"
        path.write_text(text)
        return path

    def estate(self, source_dsn: str = "") -> Estate:
        return load(self.path(source_dsn))

    def recovery(self, source_dsn: str = "") -> EstateRecovery:
        made = open_recovery(self.estate(source_dsn))
        assert made is not None
        self.opened.append(made)
        return made

    def run(self, *statements: str) -> None:
        """Run statements on the source as its superuser."""
        with psycopg.connect(self.source.admin_dsn(self.name), autocommit=True) as session:
            for statement in statements:
                session.execute(statement)

    def on_standby(self, query: str, database: str = "") -> list[tuple[Any, ...]]:
        name = database or self.name
        with psycopg.connect(self.standby.admin_dsn(name), autocommit=True) as session:
            return session.execute(query).fetchall()

    def standby_databases(self) -> set[str]:
        return {row[0] for row in self.on_standby("SELECT datname FROM pg_database", "postgres")}

    def close(self) -> None:
        for one in self.opened:
            one.close()
        for name in self.standby_databases():
            if name.startswith(("failback_", self.name)):
                with psycopg.connect(self.standby.admin_dsn(), autocommit=True) as session:
                    session.execute(
                        sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
                    )


def product_in(server: PostgresServer) -> None:
    """Make the product's database on a server of the source, with rows."""
    create_database(server, Side.SOURCE, TEMPLATE)
    schema.install(server.admin_dsn(TEMPLATE), Side.SOURCE)
    with psycopg.connect(server.admin_dsn(TEMPLATE), autocommit=True) as session:
        session.execute(_ROWS)
        session.execute("VACUUM ANALYZE")


@contextmanager
def damaged(
    source: PostgresServer,
    standby: PostgresServer,
    target: DatabasePair,
    folder: Path,
    store: Path,
) -> Iterator[Damaged]:
    """A copy of the product's database for one test; everything of it is dropped afterwards."""
    made = Damaged(f"shop_{next(_numbers)}", source, standby, target, folder, store)
    with psycopg.connect(source.admin_dsn(), autocommit=True) as session:
        session.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(made.name), sql.Identifier(TEMPLATE)
            )
        )
    try:
        yield made
    finally:
        made.close()


@contextmanager
def balanced(estate: Damaged) -> Iterator[HaproxyServer]:
    """The lab's balancer before both databases, with the door of the source's product."""
    ports = {Side.SOURCE: estate.source.port, Side.TARGET: estate.target.servers.target.port}
    server = HaproxyServer(
        estate.folder / "balancer",
        api_port=free_port(),
        database_port=free_port(),
        product_ports=ports,
        database_ports=ports,
        log=estate.folder / "balancer.log",
        source_door_port=free_port(),
        standby_port=estate.standby.port,
    )
    try:
        server.start()
        estate.runtime_api = server.runtime_api
        yield server
    finally:
        server.remove()


def door_dsn(estate: Damaged, server: HaproxyServer) -> str:
    """How the source's product reaches its database."""
    return make_conninfo(
        host="127.0.0.1",
        port=server.source_door_port,
        user=PRODUCT_ROLE,
        password=_PASSWORD,
        dbname=estate.name,
    )


class NoVault:
    """Implements `BackupVault` for what never asks for a backup."""

    def listed(self) -> BackupList:
        raise AssertionError("nobody should ask for backups")

    def checked(self, backup: str) -> tuple[BackupManifest, BackupProof | None]:
        raise AssertionError(backup)

    def restore(self, backup: str, dsn: str, progress: Progress) -> None:
        raise AssertionError(backup)

    def differences(self, backup: str, dsn: str) -> tuple[str, ...]:
        raise AssertionError(backup)

    def schema_differs(self, backup: str, dsn: str) -> bool:
        raise AssertionError(backup)

    def close(self) -> None:
        pass
