"""Commands to a running lab: one JSON line each way over a socket in the lab's folder."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from failback.errors import FailbackError, LabError, UnreachableError

_NAME = "control.sock"
_LARGEST = 65_536
_ANSWER_SECONDS = 90.0
_REQUEST_SECONDS = 2.0


class CommandServer:
    """The supervisor's end. It answers one command at a time, when it is asked to.

    Args:
        folder: the lab's folder; only its owner may connect.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            with _short(folder) as path:
                self._socket.bind(path)
        finally:
            os.umask(before)
        self._socket.listen(8)

    def serve(self, seconds: float, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Wait so long for a command, and answer it."""
        self._socket.settimeout(seconds)
        try:
            connection, _ = self._socket.accept()
        except TimeoutError:
            return
        with connection, suppress(OSError):
            # Whoever connects and says nothing, or leaves early, harms only themselves.
            connection.settimeout(_REQUEST_SECONDS)
            connection.sendall(_line(self._answered(connection, answer)))

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _answered(
        self, connection: socket.socket, answer: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> dict[str, Any]:
        try:
            return {"ok": True, **answer(_read(connection))}
        except FailbackError as error:
            return {"ok": False, "cause": error.cause, "cure": error.cure}
        except (ValueError, KeyError, TypeError) as error:
            return {"ok": False, "cause": f"The command is malformed: {error!r}.", "cure": ""}


def ask(folder: Path, command: dict[str, Any]) -> dict[str, Any]:
    """Send a command to the supervisor of a lab and wait for its answer.

    Raises:
        UnreachableError: no supervisor listens.
        LabError: it refused, or could not do it.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            with _short(folder) as path:
                connection.connect(path)
            connection.sendall(_line(command))
            answer = _read(connection)
    except (OSError, ValueError) as error:
        raise UnreachableError(
            f"The lab in {folder} does not answer: {error}.", "See `failback lab status`."
        ) from error
    if not answer.pop("ok", False):
        raise LabError(str(answer.get("cause", "refused")), str(answer.get("cure", "")))
    return answer


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A path of the socket that is short enough, whatever the folder's is (limit: 107 bytes)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{_NAME}"
    finally:
        os.close(descriptor)


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _read(connection: socket.socket) -> dict[str, Any]:
    received = b""
    while not received.endswith(b"\n") and len(received) < _LARGEST:
        chunk = connection.recv(_LARGEST)
        if not chunk:
            break
        received += chunk
    value = json.loads(received)
    if not isinstance(value, dict):
        raise TypeError("a command is an object")
    return value
