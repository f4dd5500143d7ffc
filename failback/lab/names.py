"""The name server of the lab: Knot where it is installed, else a small one of our own."""

import abc
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rdatatype

from failback.errors import LabError
from failback.lab.accounts import (
    Account,
    prepared_folder,
    remove_folder,
    server_account,
    server_folder,
    write_for,
)
from failback.lab.parts import Part
from failback.lab.templating import filled

NameServerKind = Literal["auto", "knot", "builtin"]
NAMES = ("api", "auth")
"""The product's names; each is a CNAME to the live side's host."""
KEY_NAME = "failback-lab"
_LONGEST_FOLDER = 80
"""Knot's control socket lies in its folder, and a socket's path has at most 107 bytes."""


class NameServer(Part, abc.ABC):
    """An authoritative server for one zone, on UDP and TCP, that takes signed updates.

    Args:
        directory: its configuration and its zone, which survives a restart.
        port: its port on 127.0.0.1.
        zone: fully qualified, with its final dot.
        secret: the update key, base64, for hmac-sha256.
        log: the file for its output.
    """

    kind: Literal["knot", "builtin"]

    def __init__(self, directory: Path, *, port: int, zone: str, secret: str, log: Path) -> None:
        self._server_account = server_account()
        super().__init__("dns", log, self._runs_as())
        self.zone = zone
        self.address = f"127.0.0.1:{port}"
        self.port = port
        self.secret = secret
        self._folder = directory.absolute()

    @property
    @abc.abstractmethod
    def home(self) -> Path:
        """The folder with its files."""

    @property
    def zone_file(self) -> Path:
        """The zone as it was first; later changes are the server's own."""
        return self.home / "zone.txt"

    def host(self, side: str) -> str:
        """The name of one side's host, with its final dot."""
        return f"{side}.{self.zone}"

    def is_ready(self) -> bool:
        """Whether it answers for the zone, with authority, on UDP and TCP."""
        query = dns.message.make_query(self.zone, dns.rdatatype.SOA)
        try:
            answers = [
                ask(query, "127.0.0.1", port=self.port, timeout=0.5)
                for ask in (dns.query.udp, dns.query.tcp)
            ]
        except (OSError, dns.exception.DNSException):
            return False
        return all(answer.answer and answer.flags & dns.flags.AA for answer in answers)

    def remove(self) -> None:
        """Stop it and delete its files, wherever they lie."""
        self.stop()
        remove_folder(self._folder, self._server_account, _LONGEST_FOLDER)

    @abc.abstractmethod
    def _runs_as(self) -> Account | None:
        """The account to change to; None keeps ours."""

    def _write_zone(self, account: Account) -> None:
        if not self.zone_file.exists():
            write_for(account, self.zone_file, filled("zone.j2", zone=self.zone, names=NAMES))


class KnotServer(NameServer):
    """Knot DNS from the system's packages."""

    kind = "knot"

    @property
    def home(self) -> Path:
        """See `NameServer.home`."""
        return server_folder(self._folder, self._server_account, _LONGEST_FOLDER)

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`."""
        program = knot_program()
        if program is None:
            raise LabError(
                "Knot is not installed.", "Run `apt-get install knot`, or use the builtin server."
            )
        return (program, "-c", self.home / "knot.conf")

    def directory(self) -> Path:
        """See `Part.directory`."""
        return self.home

    def prepare(self) -> None:
        """Write its configuration, and the zone where there is none yet."""
        super().prepare()
        account = self._server_account
        home = prepared_folder(self._folder, account, _LONGEST_FOLDER)
        configuration = filled(
            "knot.conf.j2",
            port=self.port,
            folder=home,
            zone=self.zone,
            key_name=KEY_NAME,
            key_secret=self.secret,
        )
        write_for(account, home / "knot.conf", configuration)
        self._write_zone(account)

    def _runs_as(self) -> Account:
        return self._server_account


class BuiltinServer(NameServer):
    """Our own server on dnspython, for machines without Knot."""

    kind = "builtin"

    @property
    def home(self) -> Path:
        """See `NameServer.home`. It runs as we do, wherever we may go."""
        return self._folder

    def command(self) -> Sequence[str | Path]:
        """See `Part.command`."""
        options = ("--zone", self.zone, "--file", str(self.zone_file), "--port", str(self.port))
        return (sys.executable, "-m", "failback.lab.name_service", *options)

    def environment(self) -> Mapping[str, str]:
        """The key goes by the environment: arguments can be read by anybody."""
        return {**super().environment(), "FAILBACK_LAB_DNS_KEY": f"{KEY_NAME}:{self.secret}"}

    def prepare(self) -> None:
        """Write the zone where there is none yet."""
        super().prepare()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write_zone(self._server_account)

    def _runs_as(self) -> None:
        return None


def knot_program() -> Path | None:
    """Where Knot's server is; None where it is not installed."""
    # Debian keeps servers out of an ordinary user's PATH.
    found = shutil.which("knotd") or shutil.which("knotd", path="/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


def name_server(
    kind: NameServerKind, directory: Path, *, port: int, zone: str, secret: str, log: Path
) -> NameServer:
    """The name server of this kind; `auto` takes Knot where it is installed."""
    if kind == "auto":
        kind = "knot" if knot_program() else "builtin"
    made = KnotServer if kind == "knot" else BuiltinServer
    return made(directory, port=port, zone=zone, secret=secret, log=log)
