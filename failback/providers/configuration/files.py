"""A text file that other programs read, replaced whole or not at all."""

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from failback.errors import (
    FailbackError,
    MissingRightError,
    SettingsChangedError,
    SettingsError,
    UnreachableError,
)

_LOCK_SECONDS = 10.0
_POLL_SECONDS = 0.05
_LARGEST = 4 * 2**20


class SettingsFile:
    """A file of UTF-8. Blocking.

    A change is written beside it and moved over it, with its mode, owner and extended
    attributes, so that a reader sees the old file or the new one, and a crash leaves one of them.
    A link keeps pointing where it does. Changes of several failbacks on one machine wait for each
    other by a lock on the folder; a change by anybody else is noticed up to the moment of the
    move.

    Args:
        path: the file; it must be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[str, str]:
        """The text, and what names this state of it.

        Raises:
            SettingsError: it is not there, or no text.
            MissingRightError: it may not be read.
        """
        with self._explaining("read"):
            return self._text(self._bytes(self._path))

    def change(self, seen: str, changed: Callable[[str], str]) -> None:
        """Replace the text.

        Args:
            seen: the state that it must be in.
            changed: makes the new text from the old one.

        Raises:
            SettingsChangedError: it is in another state.
            SettingsError, MissingRightError, UnreachableError: it cannot be replaced.
        """
        with self._explaining("replaced"):
            real = self._path.resolve(strict=True)
            with _locked(real.parent):
                before = self._bytes(real)
                text, state = self._text(before)
                self._hold(state == seen)
                self._replace(real, before, changed(text).encode("utf-8"))

    def _bytes(self, path: Path) -> bytes:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise SettingsError(
                f"{self._path} has more than {_LARGEST // 2**20} MiB.", "Name a file of settings."
            )
        return content

    def _text(self, content: bytes) -> tuple[str, str]:
        try:
            return content.decode("utf-8"), hashlib.sha256(content).hexdigest()
        except UnicodeDecodeError as error:
            raise SettingsError(f"{self._path} is no UTF-8 text.", "Save it as UTF-8.") from error

    def _replace(self, real: Path, before: bytes, after: bytes) -> None:
        draft = real.with_name(f".{real.name}.failback")
        # Ours alone under the lock: one that is there already was left by a crash.
        with suppress(FileNotFoundError):
            draft.unlink()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(after)
                file.flush()
                _dress(file.fileno(), real)
                os.fsync(file.fileno())
            self._hold(self._bytes(real) == before)
            draft.replace(real)
        except BaseException:
            with suppress(FileNotFoundError):
                draft.unlink()
            raise
        _sync_folder(real.parent)

    def _hold(self, unchanged: bool) -> None:
        if not unchanged:
            raise SettingsChangedError(f"{self._path} changed while it was worked on.")

    @contextmanager
    def _explaining(self, verb: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise SettingsError(
                f"There is no file {self._path}.", "Correct its path, or make it first."
            ) from error
        except PermissionError as error:
            raise MissingRightError(
                f"{self._path} cannot be {verb}: {error.strerror}.",
                "Run the worker as a user who may read and write the file and its folder, and who"
                " owns the file.",
            ) from error
        except OSError as error:
            raise self._explained(verb, error) from error

    def _explained(self, verb: str, error: OSError) -> FailbackError:
        cause = f"{self._path} cannot be {verb}: {error.strerror}."
        if error.errno == errno.EBUSY:
            # A file that is mounted by itself cannot be moved over.
            return SettingsError(cause, "Mount its folder into the container, not the file.")
        if error.errno in {errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.ELOOP}:
            return SettingsError(cause, "Name a file on a disk that can be written to.")
        return UnreachableError(cause, "See to the disk, then try again.")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise UnreachableError(
                        f"Somebody else holds a lock on {folder}.", "Wait for them, or end them."
                    ) from error
                time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _dress(descriptor: int, like: Path) -> None:
    """Give an open file the owner, extended attributes and mode of another."""
    facts = like.stat()
    mine = os.fstat(descriptor)
    if (mine.st_uid, mine.st_gid) != (facts.st_uid, facts.st_gid):
        os.fchown(descriptor, facts.st_uid, facts.st_gid)
    for name in os.listxattr(like):
        # Some belong to the kernel and follow by themselves.
        with suppress(OSError):
            os.setxattr(descriptor, name, os.getxattr(like, name))
    os.fchmod(descriptor, facts.st_mode & 0o7777)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
