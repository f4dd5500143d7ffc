"""Puts a SQL file on both sides, as the role that owns the product's tables."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from failback.errors import ConfigurationError, LabError
from failback.lab.accounts import server_account
from failback.lab.binaries import postgres_home
from failback.lab.databases import OWNER_ROLES
from failback.lab.estate import MAJORS
from failback.models.common import Side


def load_sql(file: Path, facts: Mapping[str, Any]) -> None:
    """Run a SQL file on the source, then on the target, each in one transaction.

    The tables that it makes belong to the side's owner, so that failback may arm them, and the
    product may write them.

    Args:
        file: what `psql --file` accepts, such as a plain dump.
        facts: the lab's endpoints.

    Raises:
        ConfigurationError: there is no such file.
        LabError: a side refused it; that side is unchanged then.
    """
    if not file.is_file():
        raise ConfigurationError(f"There is no file {file}.", "Name a file with SQL statements.")
    loaded: list[Side] = []
    for side in Side:
        dsn = facts[side.value]["dsn"]
        finished = subprocess.run(
            [
                *(postgres_home(MAJORS[side], server_account()) / "bin" / "psql", "--dbname", dsn),
                *("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction"),
                *("--output", os.devnull, "--file", file),
            ],
            # failback's role is a member of the owner's; what it makes is to be the owner's.
            env={"PATH": "/usr/bin:/bin", "PGOPTIONS": f"-c role={OWNER_ROLES[side]}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode != 0:
            raise LabError(
                f"The {side.value} refused {file}: {_first_error(finished.stderr)}",
                f"The {loaded[0].value} has it already: the two sides differ now."
                if loaded
                else "Nothing was changed.",
            )
        loaded.append(side)


def _first_error(said: str) -> str:
    lines = [line for line in said.splitlines() if "ERROR" in line or "FATAL" in line]
    return (lines or said.strip().splitlines() or ["psql gave no reason"])[0].strip()
