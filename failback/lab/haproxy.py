"""The load balancer of the lab: HAProxy in front of both products and both databases."""

import csv
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from failback.lab.accounts import (
    prepared_folder,
    remove_folder,
    server_account,
    server_folder,
    write_for,
)
from failback.lab.binaries import haproxy_home
from failback.lab.parts import Part
from failback.lab.templating import filled
from failback.models.common import Service, Side

HELD_SECONDS = 75
"""Longer than any hold that failback's configuration allows (60 s)."""
_RUNNING = "2"
"""The operational state of a server that is up (HAProxy management guide, section 9.3)."""
_LONGEST_FOLDER = 80
"""A socket's path has at most 107 bytes."""


class HaproxyServer(Part):
    """One HAProxy. Killed and launched again, it has the weights and addresses of before.

    Args:
        directory: its configuration, its map of doors and its socket.
        api_port: where customers reach the product, on 127.0.0.1.
        database_port: where the product's database is reached.
        product_ports: each side's product.
        database_ports: each side's Postgres.
        log: the file for its output.
        source_door_port: where the source's product reaches its database; None for no such door.
        standby_port: a Postgres that the source's database may be moved to; None for none.
    """

    def __init__(
        self,
        directory: Path,
        *,
        api_port: int,
        database_port: int,
        product_ports: Mapping[Side, int],
        database_ports: Mapping[Side, int],
        log: Path,
        source_door_port: int | None = None,
        standby_port: int | None = None,
    ) -> None:
        self._server_account = server_account()
        super().__init__("balancer", log, self._server_account)
        self._folder = directory.absolute()
        self.api_url = f"http://127.0.0.1:{api_port}"
        self.source_door_port = source_door_port
        self._values = {
            "api_port": api_port,
            "database_port": database_port,
            "product_ports": {side.value: port for side, port in product_ports.items()},
            "database_ports": {side.value: port for side, port in database_ports.items()},
            "held_seconds": HELD_SECONDS,
            "source_door_port": source_door_port,
            "standby_port": standby_port,
        }

    @property
    def home(self) -> Path:
        """The folder with its files, private to the user that it runs as."""
        return server_folder(self._folder, self._server_account, _LONGEST_FOLDER)

    @property
    def runtime_api(self) -> str:
        """The runtime API's address as failback's configuration wants it."""
        return f"unix://{self._socket}"

    @property
    def doors_map(self) -> Path:
        """The map that the holding action reads."""
        return self.home / "doors.map"

    def directory(self) -> Path:
        """See `Part.directory`."""
        return self.home

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`."""
        program = haproxy_home(self._server_account) / "haproxy"
        return (program, "-db", "-f", self.home / "haproxy.cfg")

    def environment(self) -> Mapping[str, str]:
        """With the libraries that the wheel brings."""
        libraries = haproxy_home(self._server_account) / "lib"
        return {**super().environment(), "LD_LIBRARY_PATH": str(libraries)}

    def prepare(self) -> None:
        """Write the configuration, the Lua action, and the map with every door open."""
        super().prepare()
        home = prepared_folder(self._folder, self._server_account, _LONGEST_FOLDER)
        self._socket.unlink(missing_ok=True)
        script = files("failback.lab").joinpath("templates", "hold.lua")
        doors = "".join(f"{service.value} open\n" for service in Service)
        configuration = filled(
            "haproxy.cfg.j2",
            socket=self._socket,
            state_file=self._state_file,
            script=home / "hold.lua",
            doors=self.doors_map,
            moved=self._moved(),
            **self._values,
        )
        self._write(home / "hold.lua", script.read_text(encoding="utf-8"))
        self._write(self.doors_map, doors)
        self._write(home / "haproxy.cfg", configuration)
        if not self._state_file.exists():
            # HAProxy warns about a file that is missing, and takes an empty one silently.
            self._write(self._state_file, "1\n")

    def is_ready(self) -> bool:
        """Whether the runtime API answers."""
        try:
            return "Version: " in self._asked("show info")
        except OSError:
            return False

    def serves(self) -> bool:
        """Whether every server behind it has passed its check."""
        try:
            lines = self._asked("show servers state").splitlines()
        except OSError:
            return False
        # A version, a line of titles, then a line a server; the sixth word is its state.
        states = [line.split()[5] for line in lines[2:] if line.strip()]
        return bool(states) and all(state == _RUNNING for state in states)

    def keep_state(self) -> None:
        """Write down the servers' weights and addresses, for the next launch."""
        with suppress(OSError):
            state = self._asked("show servers state")
            if state.strip():
                self._write(self._state_file, state)

    def remove(self) -> None:
        """Stop it and delete its files, wherever they lie."""
        self.stop()
        remove_folder(self._folder, self._server_account, _LONGEST_FOLDER)

    @property
    def _socket(self) -> Path:
        return self.home / "runtime.sock"

    @property
    def _state_file(self) -> Path:
        return self.home / "servers.state"

    def _moved(self) -> frozenset[str]:
        """Backends whose server of the source was sent to the standby before the last end.

        Any other address would be one of this lab's earlier runs, when others had its ports.
        """
        try:
            state = self._state_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return frozenset()
        rows = csv.DictReader(state.partition("\n# ")[2].splitlines(), delimiter=" ")
        return frozenset(
            row["be_name"]
            for row in rows
            if row["srv_name"] == Side.SOURCE.value
            and row["srv_port"] == str(self._values["standby_port"])
        )

    def _asked(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(self._socket))
            connection.sendall(f"{command}\n".encode())
            answer = b""
            while received := connection.recv(65536):
                answer += received
        return answer.decode()

    def _write(self, path: Path, text: str) -> None:
        write_for(self._server_account, path, text)
