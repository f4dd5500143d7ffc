"""Runs PostgreSQL's own programs: finds them, asks their version, and words their failures."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from failback.errors import BackupToolError
from failback.ports import Progress

_EVERY_SECONDS = 1.0
_SAID_CHARACTERS = 600
_KEPT = "PGBACKREST_"
"""pgBackRest is told its keys so; what libpq is told so would lead a program elsewhere."""
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True)
class Programs:
    """PostgreSQL's programs.

    Args:
        folder: where they are; None looks on PATH.
        cure: what to do where one is missing.
    """

    folder: Path | None = None
    cure: str = "Install PostgreSQL's client programs, and name their folder in backup.pg_bin."

    def find(self, name: str) -> Path:
        """A program.

        Raises:
            BackupToolError: it is not there.
        """
        found = shutil.which(name, path=None if self.folder is None else str(self.folder))
        if found is None:
            where = "on PATH" if self.folder is None else f"in {self.folder}"
            raise BackupToolError(f"There is no program {name} {where}.", self.cure)
        return Path(found).absolute()

    def major(self, name: str) -> int:
        """The major version of a program.

        Raises:
            BackupToolError: it is not there, or does not say.
        """
        program = self.find(name)
        done = subprocess.run(  # noqa: S603 - the operator named the folder
            [program, "--version"], capture_output=True, text=True, check=False, timeout=30
        )
        match = _VERSION.search(done.stdout)
        if match is None:
            raise BackupToolError(
                f"{program} does not tell its version: {(done.stderr or done.stdout).strip()}.",
                "Correct backup.pg_bin.",
            )
        return int(match.group(1))

    def run(
        self,
        name: str,
        arguments: Sequence[str | Path],
        *,
        dsn: str = "",
        progress: Progress | None = None,
        telling: str = "",
        **popen: Any,
    ) -> str:
        """Run a program to its end; it is ended when `progress` raises.

        Args:
            name: of the program.
            arguments: none of them a secret, because any user of the machine can read them.
            dsn: a database to connect to, whose password travels in the environment.
            progress: told about once a second that the program still works.
            telling: what it is told.
            popen: more for the process, such as `user`.

        Returns:
            What it wrote to standard output.

        Raises:
            BackupToolError: it is not there, or failed; the text ends with what it said.
        """
        program = self.find(name)
        target, environment = _connecting(dsn)
        with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
            process = subprocess.Popen(  # noqa: S603 - the operator named the folder
                [program, *arguments, *target],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=said,
                env=environment,
                start_new_session=True,
                **popen,
            )
            try:
                _await(process, progress, telling)
            finally:
                # pg_dump and pg_restore have children; all are in the group of its own.
                if process.poll() is None:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            if process.returncode != 0:
                said.seek(0)
                text = said.read().decode("utf-8", "replace")
                raise BackupToolError(f"{name} failed: {_sentence(text, process.returncode)}.")
            told.seek(0)
            return told.read().decode("utf-8", "replace")


def _await(process: subprocess.Popen[bytes], progress: Progress | None, telling: str) -> None:
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_EVERY_SECONDS)
            return
        if progress is not None:
            progress(telling)


def _connecting(dsn: str) -> tuple[Sequence[str], Mapping[str, str]]:
    """The option that names a database, and the environment that holds its password."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PG") or name.startswith(_KEPT)
    }
    environment["LC_ALL"] = "C"
    if not dsn:
        return (), environment
    parameters = conninfo_to_dict(dsn)
    password = parameters.pop("password", None)
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    environment["PGAPPNAME"] = "failback backup"
    return (f"--dbname={make_conninfo('', **parameters)}", "--no-password"), environment


def _sentence(text: str, code: int) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # The first error is the cause; what comes after it follows from it.
    first = next((number for number, line in enumerate(lines) if "error" in line.lower()), 0)
    return " ".join(lines[first:])[:_SAID_CHARACTERS].rstrip(".") or f"exit code {code}"
