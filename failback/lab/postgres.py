"""A Postgres server of the lab: real, on loopback, unprivileged, sized for one machine."""

import hashlib
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg

from failback.errors import LabError
from failback.lab.accounts import (
    Account,
    may_enter,
    open_places,
    private_folder,
    server_account,
)
from failback.lab.binaries import postgres_home
from failback.lab.processes import end, free_port, port_is_free, spawn, tail, wait_until

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # Without sockets there is no path that could be too long, or be left behind.
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_prepared_transactions": "16",
    "max_connections": "200",
    "max_wal_size": "2GB",
    "shared_buffers": "128MB",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
_PORT_TRIES = 5
_START_SECONDS = 60.0


class PostgresServer:
    """One Postgres server with its data folder.

    Args:
        major: 16 or 18.
        directory: where the server's data lie. When the user that the server runs as may not
            enter it, the data lie in a temporary folder and `directory/home` links to it.
        port: a port on loopback; a free one is chosen where it is not given, and kept.
        settings: additions to the server's configuration, by parameter name.
        superuser: the name of the role that `admin_dsn` connects as.
        log: the server's log; `directory/postgres.log` where it is not given.
    """

    def __init__(
        self,
        major: int,
        directory: Path,
        *,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        superuser: str = "supabase_admin",
        log: Path | None = None,
    ) -> None:
        self.major = major
        self.directory = directory.absolute()
        self.superuser = superuser
        self.log = log or self.directory / "postgres.log"
        self._settings = {**_SETTINGS, **(settings or {})}
        self._chosen_port = port
        self._port = port
        self._account: Account = server_account()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The port on 127.0.0.1. Raises LabError before the first start without one."""
        if self._port is None:
            raise LabError("The Postgres server has no port yet.", "Start it first.")
        return self._port

    @property
    def pid(self) -> int | None:
        """The process id of the postmaster; None while it does not run."""
        return self._process.pid if self._process is not None and self.is_running() else None

    @property
    def home(self) -> Path:
        """The folder with the data, owned by the user that the server runs as."""
        if may_enter(self.directory, self._account) or not self._account.drops:
            return self.directory
        name = f"failback-pg-{hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]}"
        places = open_places(self._account)
        if not places:
            raise LabError(
                f"User {self._account.name} may enter neither {self.directory} nor /tmp.",
                "Choose a folder whose every parent that user may enter.",
            )
        return places[0] / name

    @property
    def programs(self) -> Path:
        """The folder with `psql`, `pg_dump` and the server itself."""
        return postgres_home(self.major, self._account) / "bin"

    def is_running(self) -> bool:
        """Whether the process that we started lives."""
        return self._process is not None and self._process.poll() is None

    def admin_dsn(self, dbname: str = "postgres") -> str:
        """A connection string of the superuser."""
        return self.dsn(self.superuser, self._password(), dbname)

    def dsn(self, user: str, password: str, dbname: str) -> str:
        """A connection string (URL) of a role to a database of this server."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{dbname}"

    def start(self) -> None:
        """Make the data folder if there is none, start, and wait until it answers.

        Raises:
            LabError: it could not be started; the text ends with its log.
        """
        if self.is_running():
            return
        self._initialise()
        for attempt in range(1, _PORT_TRIES + 1):
            if self._chosen_port is None and (self._port is None or not port_is_free(self._port)):
                self._port = free_port()
            if self._try_start():
                return
            said = tail(self.log)
            if attempt == _PORT_TRIES or not self._may_pass(said):
                raise LabError(f"Postgres {self.major} did not start. Its log ends:\n{said}")

    def stop(self, immediate: bool = False) -> None:
        """Stop the server: `fast`, or `immediate` as if the machine had lost power."""
        if self._process is None:
            return
        if immediate:
            end(self._process, (signal.SIGQUIT, 10.0))
        else:
            end(self._process, (signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0))
        self._process = None

    def remove(self) -> None:
        """Stop the server and delete its data, wherever they lie."""
        self.stop(immediate=True)
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _initialise(self) -> None:
        home, data = self.home, self.home / "data"
        self.directory.mkdir(parents=True, exist_ok=True)
        private_folder(home, self._account)
        link = self.directory / "home"
        if home != self.directory and not link.is_symlink():
            link.symlink_to(home)
        if not (data / "PG_VERSION").exists():
            shutil.rmtree(data, ignore_errors=True)
            self._write(home / "superuser.password", secrets.token_hex(16))
            self._initdb("C.UTF-8")
            with (data / "postgresql.conf").open("a", encoding="utf-8") as configuration:
                configuration.write("\ninclude = 'lab.conf'\n")
        lines = [f"{name} = '{value}'" for name, value in self._settings.items()]
        self._write(data / "lab.conf", "\n".join(lines) + "\n")

    def _initdb(self, locale: str) -> None:
        home = self.home
        command: list[str | Path] = [
            *(self.programs / "initdb", "--pgdata", home / "data", "--no-sync"),
            *("--username", self.superuser, "--pwfile", home / "superuser.password"),
            *("--encoding=UTF8", f"--locale={locale}", "--auth=scram-sha-256"),
        ]
        process = spawn(
            command, log=self.log, account=self._account, environment=_environment(), directory=home
        )
        if process.wait() == 0:
            return
        if locale != "C":
            # Some systems have no C.UTF-8; C sorts and compares the same way.
            self._initdb("C")
            return
        raise LabError(f"initdb failed. Its log ends:\n{tail(self.log)}")

    def _try_start(self) -> bool:
        data = self.home / "data"
        # A postmaster that was killed leaves this file; Postgres checks its process itself.
        process = self._process = spawn(
            [self.programs / "postgres", "-D", data, "-p", str(self.port)],
            log=self.log,
            account=self._account,
            environment=_environment(),
            directory=self.home,
            # Immediate: a smart or fast shutdown could wait for somebody who is gone as well.
            death_signal=signal.SIGQUIT,
        )
        wait_until(lambda: process.poll() is not None or self._answers(), _START_SECONDS)
        if self._answers() and process.poll() is None:
            return True
        end(process, (signal.SIGQUIT, 5.0))
        self._process = None
        return False

    def _may_pass(self, said: str) -> bool:
        """Whether a failed start is worth another try."""
        if "shared memory block" in said and "still in use" in said:
            # The children of a killed postmaster take a moment to notice.
            return wait_until(lambda: False, 0.5) is False
        return self._chosen_port is None and "could not bind" in said

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.admin_dsn(), connect_timeout=2).close()
        except psycopg.Error:
            return False
        return True

    def _password(self) -> str:
        try:
            return (self.home / "superuser.password").read_text(encoding="ascii")
        except FileNotFoundError as error:
            raise LabError(
                f"There is no Postgres server in {self.directory}.", "Start it first."
            ) from error

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        os.chown(path, self._account.uid, self._account.gid)


def _environment() -> dict[str, str]:
    """A small environment: nothing of ours may reach a server's configuration."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
