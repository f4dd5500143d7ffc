"""Fetches a backup's parts, and checks the bytes of each. Nothing of it is executed before that."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from failback.errors import BackupPartChangedError, BackupPartMissingError, ObjectMissingError
from failback.models.backups import BackupManifest, BackupPart
from failback.providers.backup.shelf import Shelf

Fetched = Callable[[BackupPart], None]


def fetch(
    shelf: Shelf,
    manifest: BackupManifest,
    folder: Path,
    parallel: int,
    fetched: Fetched = lambda _part: None,
) -> None:
    """Fetch every part of a backup into a folder.

    Args:
        shelf: where it is.
        manifest: what it should be; checked before.
        folder: gets the parts under their names.
        parallel: parts at once.
        fetched: told of each part that came, in their order; what it raises ends it.

    Raises:
        BackupPartMissingError: a part is not there.
        BackupPartChangedError: a part has other bytes than were written.
    """
    for part in manifest.parts:
        (folder / part.name).parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(parallel) as pool:
        coming = [pool.submit(fetch_part, shelf, manifest, one, folder) for one in manifest.parts]
        try:
            for part, one in zip(manifest.parts, coming, strict=True):
                one.result()
                fetched(part)
        finally:
            for one in coming:
                one.cancel()


def fetch_part(shelf: Shelf, manifest: BackupManifest, part: BackupPart, folder: Path) -> None:
    """Fetch one part of a backup into a folder; see `fetch`."""
    digest, size = hashlib.sha256(), 0
    changed = BackupPartChangedError(
        f"The part {part.name} of {manifest.id} has other bytes than were written.",
        "This backup cannot be trusted: use another one, and look after the store.",
    )
    try:
        with (folder / part.name).open("wb") as file:
            for piece in shelf.store.read(shelf.key(manifest.id, part.name)):
                size += len(piece)
                if size > part.bytes:
                    raise changed
                digest.update(piece)
                file.write(piece)
    except ObjectMissingError as error:
        raise BackupPartMissingError(
            f"The part {part.name} of {manifest.id} is missing.",
            "This backup cannot be restored: use another one, and look after the store.",
        ) from error
    if digest.hexdigest() != part.sha256:
        raise changed
