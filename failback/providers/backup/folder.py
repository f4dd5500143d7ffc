"""Objects as files below a folder."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from failback.backup_ports import StoredObject
from failback.errors import MissingRightError, ObjectMissingError, ObjectStoreError

PIECE = 2**20
"""Bytes that are in memory at once."""
_DRAFT = ".failback-draft-"


class FolderStore:
    """Implements `ObjectStore`. A file appears under its name once all of it is on the disk.

    Args:
        folder: made when something is first put into it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    @property
    def place(self) -> str:
        """See `ObjectStore.place`."""
        return str(self._folder)

    def put_file(self, key: str, path: Path) -> None:
        """See `ObjectStore.put_file`."""
        with self._draft(key) as draft, path.open("rb") as source, draft.open("wb") as file:
            shutil.copyfileobj(source, file, PIECE)
            file.flush()
            os.fsync(file.fileno())

    def put_bytes(self, key: str, data: bytes) -> None:
        """See `ObjectStore.put_bytes`."""
        with self._draft(key) as draft, draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def read(self, key: str) -> Iterator[bytes]:
        """See `ObjectStore.read`."""
        path = self._path(key)
        with _explaining(path):
            try:
                file = path.open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                raise ObjectMissingError(f"There is no {key} in {self.place}.") from error
            with file:
                while piece := file.read(PIECE):
                    yield piece

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """See `ObjectStore.list`."""
        # Whole folders of the prefix narrow the walk; the rest of it is a beginning of names.
        start = self._path(prefix.rpartition("/")[0])
        with _explaining(start):
            found = [
                StoredObject(key=key, bytes=path.stat().st_size)
                for path in start.rglob("*")
                if path.is_file() and not path.name.startswith(_DRAFT)
                if (key := path.relative_to(self._folder).as_posix()).startswith(prefix)
            ]
        yield from sorted(found, key=lambda one: one.key)

    def delete(self, keys: Iterable[str]) -> None:
        """See `ObjectStore.delete`. Folders that are left empty go, too."""
        for key in keys:
            path = self._path(key)
            with _explaining(path):
                path.unlink(missing_ok=True)
                for parent in path.parents:
                    if parent == self._folder or not parent.is_dir() or any(parent.iterdir()):
                        break
                    parent.rmdir()

    def close(self) -> None:
        """See `ObjectStore.close`."""

    @contextmanager
    def _draft(self, key: str) -> Iterator[Path]:
        """A file beside the one that is wanted, renamed to it when the block has ended well."""
        path = self._path(key)
        draft = path.with_name(f"{_DRAFT}{os.getpid()}-{path.name}")
        with _explaining(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield draft
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
            _settled(path.parent)

    def _path(self, key: str) -> Path:
        parts = key.split("/") if key else []
        if any(part in {"", ".", ".."} for part in parts) or "\0" in key:
            raise ObjectStoreError(f"{key!r} is no key of an object.")
        return self._folder.joinpath(*parts)


def _settled(folder: Path) -> None:
    """Have a rename on the disk, so that a crash of the machine does not undo it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise MissingRightError(
            f"{error.filename or path} may not be used: {error.strerror}.",
            "Let failback's user read and write the backup folder.",
        ) from error
    except OSError as error:
        raise ObjectStoreError(
            f"{error.filename or path} cannot be used: {error.strerror}.",
            "Give backup.folder a disk that is there and has room.",
        ) from error
