"""What backups are asked for, and where their bytes lie. Providers implement these Protocols."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from failback.models.backups import (
    BackupList,
    BackupManifest,
    BackupProof,
    InventoriedObject,
    PruneReport,
)
from failback.models.common import Payload
from failback.ports import Progress


class StoredObject(Payload):
    """One object of a store."""

    key: str
    bytes: int


class ObjectStore(Protocol):
    """Keeps bytes by key. Blocking; thread-safe; memory does not grow with an object's size.

    Keys are relative, with `/` between their parts. All methods raise UnreachableError,
    CredentialsError, MissingRightError and ObjectStoreError.
    """

    @property
    def place(self) -> str:
        """Where it is, for people: without a secret."""
        ...

    def put_file(self, key: str, path: Path) -> None:
        """Keep a file's bytes; whole or not at all."""
        ...

    def put_bytes(self, key: str, data: bytes) -> None:
        """Keep some bytes; whole or not at all."""
        ...

    def read(self, key: str) -> Iterator[bytes]:
        """An object's bytes, piece by piece.

        Raises:
            ObjectMissingError: there is none.
        """
        ...

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """The objects whose keys begin so, sorted by key."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, in this order; one that is not there counts as deleted."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Backups(Protocol):
    """Takes, lists, proves and deletes an estate's backups. Blocking; thread-safe.

    All methods raise UnreachableError and errors of the BackupError family.
    """

    def take(self, progress: Progress | None = None) -> BackupManifest:
        """Take a backup. It exists once this returns, and not at all when it raises."""
        ...

    def list(self) -> BackupList:
        """Every backup, newest first, with what is known of it without restoring it."""
        ...

    def prove(self, backup: str = "", progress: Progress | None = None) -> BackupProof:
        """Restore a backup aside, compare it with its manifest, and write a signed proof.

        Args:
            backup: its id; the newest one where it is empty.
            progress: told what goes on.

        Raises:
            BackupError: the subclass says what does not hold; where it is the backup's fault,
                that is on record beside it, and any earlier proof is void.
        """
        ...

    def inventory(self, backup: str, bucket: str) -> Iterator[InventoriedObject]:
        """The objects that a bucket had when a backup was taken, as the backup lists them.

        The list is fetched and its bytes compared with the manifest before the first is told;
        memory does not grow with it.

        Raises:
            BackupPartMissingError: the backup has no inventory of that bucket.
        """
        ...

    def prune(self, keep: int, keep_proven: int, *, dry_run: bool = False) -> PruneReport:
        """Delete all but the newest sound ones and the newest proven ones.

        Nothing is deleted while no backup is proven.

        Args:
            keep: how many sound ones, proven or not, at least one.
            keep_proven: how many proven ones, at least one.
            dry_run: say what would be deleted, and delete nothing.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
