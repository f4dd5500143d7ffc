"""Databases to restore into for a trial: on a server that is given, or on one started for it.

Changes when such a server has to be started or cleaned up in another way.
"""

import fcntl
import os
import pwd
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from failback.errors import BackupRestoreError, BackupToolError
from failback.providers.backup.programs import Programs

_PREFIX = "failback-scratch-"
_SUPERUSER = "failback_scratch"
_LOCK = "in-use"
_START_SECONDS = 60


@contextmanager
def scratch_database(dsn: str, roles: tuple[str, ...]) -> Iterator[str]:
    """An empty database on a server, dropped afterwards.

    Args:
        dsn: any database of the server, as a role that may make databases and roles.
        roles: those that policies and grants may name; missing ones are made, without login.

    Yields:
        A connection string of the new database.

    Raises:
        BackupRestoreError: the server does not let us.
    """
    name = f"failback_scratch_{secrets.token_hex(6)}"
    try:
        with closing(psycopg.connect(dsn, autocommit=True)) as session:
            there = {row[0] for row in session.execute("SELECT rolname FROM pg_roles")}
            for role in sorted(set(roles) - there):
                session.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
            session.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
            )
    except psycopg.Error as error:
        raise BackupRestoreError(
            f"The scratch server gives no database: {str(error).splitlines()[0]}.",
            "backup.scratch_dsn needs a role that may make databases and roles.",
        ) from error
    try:
        yield make_conninfo(dsn, dbname=name)
    finally:
        with suppress(psycopg.Error), closing(psycopg.connect(dsn, autocommit=True)) as session:
            session.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


@contextmanager
def scratch_server(programs: Programs, parent: Path, user: str) -> Iterator[str]:
    """A server of our own on a socket that nobody else may reach, gone afterwards.

    Args:
        programs: with initdb, pg_ctl and postgres.
        parent: where its data go.
        user: whom it runs as where we are root.

    Yields:
        A connection string of its superuser.

    Raises:
        BackupToolError: it cannot be started.
    """
    account = _account(user)
    _sweep(programs, parent, account)
    # The socket's path may have 107 bytes at most, so it never lies below `parent`.
    with _folder(parent, account) as folder, _folder(Path(tempfile.gettempdir()), account) as door:
        data, log = folder / "data", folder / "server.log"
        _initialise(programs, data, account)
        options = (
            f"-c listen_addresses='' -c unix_socket_directories='{door}' -c fsync=off"
            " -c full_page_writes=off -c synchronous_commit=off -c max_wal_size=4GB"
            " -c maintenance_work_mem=256MB -c autovacuum=off"
        )
        start = ["start", "--wait", "--timeout", str(_START_SECONDS), "--silent"]
        try:
            programs.run(
                "pg_ctl",
                [*start, "--pgdata", data, "--log", log, "--options", options],
                cwd=folder,
                **account,
            )
            yield make_conninfo(host=str(door), user=_SUPERUSER, dbname="postgres")
        except BackupToolError as error:
            if not error.cause.startswith("pg_ctl"):
                raise
            said = log.read_text("utf-8", "replace")[-600:] if log.exists() else ""
            raise BackupToolError(
                f"The scratch server did not start: {' '.join(said.split()) or error.cause}",
                "Correct backup.pg_bin and work_directory, or name a server in scratch_dsn.",
            ) from error
        finally:
            _stop(programs, data, folder, account)


def _initialise(programs: Programs, data: Path, account: Mapping[str, Any]) -> None:
    try:
        programs.run(
            "initdb",
            [
                *("--pgdata", data, "--username", _SUPERUSER, "--auth=trust", "--no-sync"),
                *("--encoding=UTF8", "--locale=C"),
            ],
            cwd=data.parent,
            **account,
        )
    except (BackupToolError, OSError) as error:
        said = error.cause if isinstance(error, BackupToolError) else str(error)
        raise BackupToolError(
            f"No scratch server can be made in {data.parent}: {said.rstrip('.')}.",
            "backup.scratch_user must be able to enter backup.work_directory and pg_bin.",
        ) from error


def _stop(programs: Programs, data: Path, folder: Path, account: Mapping[str, Any]) -> None:
    if not (data / "postmaster.pid").exists():
        return
    with suppress(BackupToolError):
        programs.run(
            "pg_ctl",
            ["stop", "--mode=immediate", "--wait", "--pgdata", data],
            cwd=folder,
            **account,
        )


def _account(user: str) -> Mapping[str, Any]:
    """What makes a process run as the user; nothing where we are no root anyway."""
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise BackupToolError(
            f"There is no user {user} to run a scratch server as.", "Correct backup.scratch_user."
        ) from error
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def _folder(parent: Path, account: Mapping[str, Any]) -> Iterator[Path]:
    """A folder for the server alone, locked for as long as this process lives."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if account:
                os.chown(folder, account["user"], account["group"])
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(programs: Programs, parent: Path, account: Mapping[str, Any]) -> None:
    """Stop and remove servers whose proof was killed: nobody holds their lock any more."""
    for folder in {*parent.glob(f"{_PREFIX}*"), *Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")}:
        owners = {os.geteuid(), account.get("user")}
        if folder.is_symlink() or folder.stat().st_uid not in owners:
            continue
        with suppress(OSError), (folder / _LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _stop(programs, folder / "data", folder, account)
            # A folder that was only just made may not be locked yet.
            if time.time() - folder.stat().st_ctime > _START_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
