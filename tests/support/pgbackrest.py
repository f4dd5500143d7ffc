"""A small server with a stanza of pgBackRest, of a major version that this pgBackRest knows.

Distributions pair the two: Debian's pgBackRest knows Debian's PostgreSQL and not always the newer
ones of the lab. Where either is missing there is nothing to test with.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from failback.providers.backup.scratch import account_of
from failback.sections.backup import PgBackRestConfig

STANZA = "shop"
USER = "nobody"
_PORT = 5432
_NEWEST = 15
"""The newest major version that pgBackRest 2.41 to 2.46 know."""


def programs() -> Path | None:
    """A server's programs that pgBackRest will do with; None where something is missing."""
    folder = Path(f"/usr/lib/postgresql/{_NEWEST}/bin")
    complete = all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres"))
    return folder if complete and shutil.which("pgbackrest") else None


@dataclass(frozen=True)
class Stanza:
    """A running server whose log is archived."""

    home: Path
    programs: Path

    @property
    def dsn(self) -> str:
        return f"host={self.home} port={_PORT} user=boss dbname=app"

    @property
    def config(self) -> PgBackRestConfig:
        return PgBackRestConfig(stanza=STANZA, config=self.home / "pgbackrest.conf")

    def execute(self, statement: str) -> None:
        """Run a statement as the superuser."""
        with psycopg.connect(self.dsn, autocommit=True) as session:
            session.execute(statement)

    def flip_a_byte(self, label: str) -> None:
        """Change the largest file of a backup in the repository."""
        folder = self.home / "repo" / "backup" / STANZA / label / "bundle"
        path = max(folder.iterdir(), key=lambda one: one.stat().st_size)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


@contextmanager
def stanza(folder: Path) -> Iterator[Stanza]:
    """Start the server, and stop it when the body ends.

    Args:
        folder: the programs of the server, as `programs` found them.
    """
    account = account_of(USER)
    # The server's user has to enter every folder above its data.
    with tempfile.TemporaryDirectory(prefix="failback-stanza-") as made:
        home = Path(made)
        if account:
            os.chown(home, account["user"], account["group"])
        (home / "pgbackrest.conf").write_text(_CONFIGURATION.format(home=home, port=_PORT))
        options = ("-U", "boss", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        _run(folder / "initdb", "-D", home / "data", *options, **account)
        with (home / "data" / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS.format(home=home, port=_PORT))
        server = (folder / "pg_ctl", "-D", home / "data", "-w")
        _run(*server, "-l", home / "log", "start", **account)
        try:
            with psycopg.connect(
                f"host={home} port={_PORT} user=boss dbname=postgres", autocommit=True
            ) as session:
                session.execute("CREATE DATABASE app")
            command = ("pgbackrest", f"--config={home}/pgbackrest.conf", f"--stanza={STANZA}")
            _run(*command, "stanza-create", **account)
            yield Stanza(home, folder)
        finally:
            _run(*server, "-m", "immediate", "stop", **account)


def _run(*command: str | Path, **account: Any) -> None:
    home: Mapping[str, str] = {**os.environ, "LC_ALL": "C"}
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            command, cwd="/", env=home, stdout=said, stderr=said, check=False, **account
        )
        said.seek(0)
        assert done.returncode == 0, said.read()


_CONFIGURATION = """
[global]
repo1-path={home}/repo
repo1-retention-full=9
repo1-bundle=y
job-retry=1
compress-level=1
log-level-file=off
lock-path={home}/lock
spool-path={home}/spool
start-fast=y

[shop]
pg1-path={home}/data
pg1-port={port}
pg1-socket-path={home}
pg1-user=boss
"""
_SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{home}'
port = {port}
fsync = off
archive_mode = on
archive_command = 'pgbackrest --config={home}/pgbackrest.conf --stanza=shop archive-push %p'
"""
