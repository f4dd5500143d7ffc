"""Two databases that tests fill differently and compare, without a stream between them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg

from failback.lab.databases import OWNER_ROLES, DatabasePair
from failback.models.common import Side
from failback.models.sync import VerifyReport
from failback.reverse_sync.catalogue import Table, read_tables
from failback.reverse_sync.connections import Servers
from failback.reverse_sync.sessions import Sessions
from failback.reverse_sync.verify import verify


@dataclass(frozen=True)
class ComparedPair:
    """Both sides, as their superusers and as failback."""

    databases: DatabasePair
    servers: Servers
    sessions: Sessions

    def run(self, statements: str, *sides: Side) -> None:
        """Run statements as the owner of the tables, on both sides where none is named."""
        for side in sides or tuple(Side):
            with psycopg.connect(self.databases.admin_dsn(side), autocommit=True) as admin:
                admin.execute(f"SET ROLE {OWNER_ROLES[side]}")
                admin.execute(statements)

    def quietly(self, side: Side, statements: str) -> None:
        """Run statements past triggers and foreign keys, as a superuser."""
        with psycopg.connect(self.databases.admin_dsn(side), autocommit=True) as admin:
            admin.execute("SET session_replication_role = replica")
            admin.execute(statements)

    def load(self, side: Side, path: Path) -> None:
        psql = self.databases.servers.target.programs / "psql"
        subprocess.run(
            [
                psql,
                "-qX",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                self.databases.admin_dsn(side),
                "-f",
                path,
            ],
            check=True,
            capture_output=True,
            env={"PGOPTIONS": f"-c role={OWNER_ROLES[side]}"},
        )

    def tables(self, side: Side) -> tuple[Table, ...]:
        with self.servers.connect(side) as connection:
            return read_tables(connection, ["public.*"])

    def verify(self, **options: object) -> VerifyReport:
        return verify(
            self.servers,
            self.tables(Side.SOURCE),
            self.tables(Side.TARGET),
            **{"sessions": self.sessions, "recheck_seconds": 0.0, **options},
        )
