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
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from failback.errors import BackupRestoreError, BackupToolError
from failback.ports import Progress
from failback.providers.backup.programs import Programs

_PREFIX = "failback-scratch-"
_SUPERUSER = "failback_scratch"
_LOCK = "in-use"
_START_SECONDS = 60
_RECOVERY_SECONDS = 86_400
"""Its log is replayed up to where the data are whole."""
_RECOVERING = ("not accepting connections", "not yet accepting connections", "starting up")
_PAUSE_SECONDS = 0.1
_PORT = 5432
_SUPERUSERS = (
    "SELECT rolname FROM pg_roles WHERE rolsuper AND rolcanlogin"
    " ORDER BY rolname <> current_user, rolname LIMIT 1"
)

Restore = Callable[[Path, Mapping[str, Any]], None]
"""Puts data into an empty folder; given the options of a process that owns it."""


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
    account = account_of(user)
    _sweep(programs, parent, account)
    # The socket's path may have 107 bytes at most, so it never lies below `parent`.
    with _folder(parent, account) as folder, _folder(Path(tempfile.gettempdir()), account) as door:
        _initialise(programs, folder / "data", account)
        own = " -c max_wal_size=4GB -c maintenance_work_mem=256MB"
        with _started(programs, folder, account, _options(door) + own, _START_SECONDS):
            yield make_conninfo(host=str(door), user=_SUPERUSER, dbname="postgres")


@contextmanager
def restored_server(
    programs: Programs, parent: Path, user: str, restore: Restore, dsn: str, *, tell: Progress
) -> Iterator[str]:
    """As `scratch_server`, on the data of another one.

    Nothing of it may reach the world: no replication, no job, no archiving, and none of its
    libraries that work by themselves.

    Args:
        programs: with pg_ctl and postgres of the data's major version.
        parent: where the data go.
        user: whom it runs as where we are root.
        restore: puts the data into an empty folder, as a process with these options would.
        dsn: of the server that they came from, for the names of a role and of the database.
        tell: told while its log is replayed; what it raises ends it.

    Yields:
        A connection string of a superuser to the database of `dsn`.

    Raises:
        BackupToolError: it cannot be started.
        BackupRestoreError: the role of `dsn` is not among the data.
    """
    account = account_of(user)
    _sweep(programs, parent, account)
    with _folder(parent, account) as folder, _folder(Path(tempfile.gettempdir()), account) as door:
        data = folder / "data"
        data.mkdir(mode=0o700)
        _give(data, account)
        restore(data, account)
        # Where the configuration lies elsewhere, as Debian has it, none came along.
        _give(data / "postgresql.conf", account, text="")
        _give(folder / "hba.conf", account, text="local all all trust\n")
        quiet = (
            f" -c data_directory='{data}' -c hba_file='{folder / 'hba.conf'}' -c port={_PORT}"
            " -c ssl=off -c logging_collector=off -c external_pid_file='' -c hot_standby=off"
            " -c shared_preload_libraries='' -c session_preload_libraries='' -c archive_mode=off"
            " -c max_logical_replication_workers=0 -c synchronous_standby_names=''"
            " -c huge_pages=off -c shared_buffers=128MB"
        )
        with _started(programs, folder, account, _options(door) + quiet, _RECOVERY_SECONDS):
            yield _superuser(dsn, door, tell)


def _superuser(dsn: str, door: Path, tell: Progress) -> str:
    parameters = conninfo_to_dict(dsn)
    name = parameters.get("dbname") or parameters.get("user") or "postgres"
    reached = make_conninfo(
        host=str(door),
        port=_PORT,
        user=str(parameters.get("user") or "postgres"),
        dbname=str(name),
        client_encoding="UTF8",
    )
    try:
        with closing(_once_recovered(reached, tell)) as session:
            found = session.execute(_SUPERUSERS).fetchone()
    except psycopg.Error as error:
        raise BackupRestoreError(
            f"The restored server lets nobody in: {str(error).splitlines()[0]}.",
            "The user and the database of backup.dsn must be there when the backup is taken.",
        ) from error
    return reached if found is None else make_conninfo(reached, user=found[0])


def _once_recovered(dsn: str, tell: Progress) -> psycopg.Connection[TupleRow]:
    """A session, as soon as the server has replayed its log; pg_ctl does not wait for that."""
    deadline = time.monotonic() + _RECOVERY_SECONDS
    while True:
        try:
            return psycopg.connect(dsn)
        except psycopg.OperationalError as error:
            early = any(part in str(error) for part in _RECOVERING)
            if not early or time.monotonic() > deadline:
                raise
        tell("The restored server replays its log.")
        time.sleep(_PAUSE_SECONDS)


def _options(door: Path) -> str:
    return (
        f"-c listen_addresses='' -c unix_socket_directories='{door}' -c fsync=off"
        " -c full_page_writes=off -c synchronous_commit=off -c autovacuum=off"
    )


@contextmanager
def _started(
    programs: Programs, folder: Path, account: Mapping[str, Any], options: str, seconds: int
) -> Iterator[None]:
    data, log = folder / "data", folder / "server.log"
    start = ["start", "--wait", "--timeout", str(seconds), "--silent"]
    try:
        programs.run(
            "pg_ctl",
            [*start, "--pgdata", data, "--log", log, "--options", options],
            cwd=folder,
            **account,
        )
        yield
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


def _give(path: Path, account: Mapping[str, Any], text: str | None = None) -> None:
    """Hand a path to the server's user; with a text it is made first where it is not there."""
    if text is not None:
        if path.exists():
            return
        path.write_text(text, encoding="utf-8")
    if account:
        os.chown(path, account["user"], account["group"])


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


def account_of(user: str) -> Mapping[str, Any]:
    """What makes a process run as the user; nothing where we are no root anyway.

    Raises:
        BackupToolError: there is no such user.
    """
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
