"""The lock that a lab's supervisor holds while it lives: proof that needs no record to be right."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from failback.errors import LabError
from failback.lab.processes import wait_until

_NAME = "supervisor.lock"
_PATIENCE_SECONDS = 1.0


class AlreadySupervisedError(Exception):
    """Another supervisor has this lab."""


@dataclass(frozen=True)
class Holder:
    """A supervisor that lives.

    Args:
        pid: its process; None where it did not write it down.
    """

    pid: int | None


@contextmanager
def held(folder: Path, pid: int) -> Iterator[None]:
    """Hold a lab's lock, with our process id in it, until the body ends.

    Raises:
        AlreadySupervisedError: somebody else holds it.
    """
    with (folder / _NAME).open("a+") as lock:
        # Whoever asks who holds it has it for a moment.
        if not wait_until(lambda: _taken(lock), _PATIENCE_SECONDS):
            raise AlreadySupervisedError
        lock.truncate(0)
        lock.write(str(pid))
        lock.flush()
        yield


def holder(folder: Path) -> Holder | None:
    """Who holds a lab's lock now; None where nobody does.

    Raises:
        LabError: the lab is another user's.
    """
    try:
        with (folder / _NAME).open("r+") as lock:
            if _taken(lock):
                return None
            with suppress(ValueError):
                return Holder(int(lock.read()))
            return Holder(None)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise LabError(
            f"The lab in {folder} belongs to somebody else.", "Say this as the user who started it."
        ) from error


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
