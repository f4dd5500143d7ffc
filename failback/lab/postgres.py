"""A Postgres server of the lab: real, on loopback, unprivileged, sized for one machine."""

import secrets
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg

from failback.errors import LabError
from failback.lab.accounts import (
    prepared_folder,
    remove_folder,
    server_account,
    server_folder,
    write_for,
)
from failback.lab.binaries import postgres_home
from failback.lab.parts import Part
from failback.lab.processes import free_port, port_is_free, spawn, tail

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
_START_TRIES = 5


class PostgresServer(Part):
    """One Postgres server with its data folder.

    Args:
        major: 16 or 18.
        directory: where the server's data lie. When the user that the server runs as may not
            enter it, the data lie in a temporary folder and `directory/home` links to it.
        port: a port on loopback; a free one is chosen where it is not given, and kept.
        settings: additions to the server's configuration, by parameter name.
        superuser: the name of the role that `admin_dsn` connects as.
        name: what status and errors call it.
        log: the server's log; `directory/postgres.log` where it is not given.
    """

    ready_seconds = 60.0
    # Immediate: a smart or fast shutdown could wait for somebody who is gone as well.
    death_signal = signal.SIGQUIT
    stop_signals = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0))

    def __init__(
        self,
        major: int,
        directory: Path,
        *,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        superuser: str = "supabase_admin",
        name: str = "",
        log: Path | None = None,
    ) -> None:
        self.server_account = server_account()
        super().__init__(
            name or f"postgres-{major}", log or directory / "postgres.log", self.server_account
        )
        self.major = major
        self.superuser = superuser
        self._folder = directory.absolute()
        self._settings = {**_SETTINGS, **(settings or {})}
        self._port_is_given = port is not None
        self._port = port

    @property
    def port(self) -> int:
        """The port on 127.0.0.1. Raises LabError before the first start without one."""
        if self._port is None:
            raise LabError("The Postgres server has no port yet.", "Start it first.")
        return self._port

    @property
    def home(self) -> Path:
        """The folder with the data, owned by the user that the server runs as."""
        return server_folder(self._folder, self.server_account)

    @property
    def programs(self) -> Path:
        """The folder with `psql`, `pg_dump` and the server itself."""
        return postgres_home(self.major, self.server_account) / "bin"

    def admin_dsn(self, dbname: str = "postgres") -> str:
        """A connection string of the superuser."""
        return self.dsn(self.superuser, self._password(), dbname)

    def dsn(self, user: str, password: str, dbname: str) -> str:
        """A connection string (URL) of a role to a database of this server."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{dbname}"

    def directory(self) -> Path:
        """See `Part.directory`."""
        return self.home

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`."""
        return (self.programs / "postgres", "-D", self.home / "data", "-p", str(self.port))

    def prepare(self) -> None:
        """Make the data folder if there is none, and write the configuration."""
        super().prepare()
        home = prepared_folder(self._folder, self.server_account)
        data = home / "data"
        if not (data / "PG_VERSION").exists():
            shutil.rmtree(data, ignore_errors=True)
            write_for(self.server_account, home / "superuser.password", secrets.token_hex(16))
            self._initdb(home, "C.UTF-8")
            with (data / "postgresql.conf").open("a", encoding="utf-8") as configuration:
                configuration.write("\ninclude = 'lab.conf'\n")
        lines = [f"{name} = '{value}'\n" for name, value in self._settings.items()]
        write_for(self.server_account, data / "lab.conf", "".join(lines))
        if not self._port_is_given and (self._port is None or not port_is_free(self._port)):
            self._port = free_port()

    def start(self) -> None:
        """Make the data folder if there is none, start, and wait until it answers.

        Raises:
            LabError: it could not be started; the text ends with its log.
        """
        for attempt in range(1, _START_TRIES + 1):
            try:
                super().start()
            except LabError as error:
                self.stop(immediate=True)
                if attempt == _START_TRIES or not self._may_pass(error.cause):
                    raise
                time.sleep(0.2 * attempt)
            else:
                return

    def stop(self, immediate: bool = False) -> None:
        """Stop the server: `fast`, or `immediate` as if the machine had lost power."""
        if immediate and self._process is not None and self.is_running():
            # SIGKILL would leave the server's children to notice by themselves.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=10.0)
        super().stop(immediate)

    def remove(self) -> None:
        """Stop the server and delete its data, wherever they lie."""
        self.stop(immediate=True)
        remove_folder(self._folder, self.server_account)

    def is_ready(self) -> bool:
        """Whether the superuser can connect."""
        try:
            psycopg.connect(self.admin_dsn(), connect_timeout=2).close()
        except psycopg.Error:
            return False
        return True

    def _initdb(self, home: Path, locale: str) -> None:
        command: list[str | Path] = [
            *(self.programs / "initdb", "--pgdata", home / "data", "--no-sync"),
            *("--username", self.superuser, "--pwfile", home / "superuser.password"),
            *("--encoding=UTF8", f"--locale={locale}", "--auth=scram-sha-256"),
            # As hosted servers have them: a page that was damaged says so when it is read.
            "--data-checksums",
        ]
        process = spawn(
            command,
            log=self.log,
            account=self.server_account,
            environment=self.environment(),
            directory=home,
        )
        if process.wait() == 0:
            return
        if locale != "C":
            # Some systems have no C.UTF-8; C sorts and compares the same way.
            self._initdb(home, "C")
            return
        raise LabError(f"initdb failed for {self.name}. Its log ends:\n{tail(self.log)}")

    def _may_pass(self, said: str) -> bool:
        """Whether a failed start is worth another try."""
        if "shared memory block" in said and "still in use" in said:
            # The children of a killed postmaster take a moment to notice.
            return True
        return not self._port_is_given and "could not bind" in said

    def _password(self) -> str:
        try:
            return (self.home / "superuser.password").read_text(encoding="ascii")
        except FileNotFoundError as error:
            raise LabError(
                f"There is no Postgres server in {self._folder}.", "Start it first."
            ) from error
