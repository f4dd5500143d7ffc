"""Where a backup lies while it is taken, proved or restored from."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from failback.errors import BackupError


@contextmanager
def work_folder(work: Path | None, purpose: str, room_for: str) -> Iterator[Path]:
    """An empty folder that only we may read, gone afterwards.

    Args:
        work: `backup.work_directory`; None takes the system's temporary folder.
        purpose: part of the folder's name.
        room_for: what has to fit into it, for people.

    Raises:
        BackupError: it cannot be made, or what is done in it fails for want of room or rights.
    """
    place = work or Path(tempfile.gettempdir())
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f"failback-{purpose}-", dir=place, ignore_cleanup_errors=True
        ) as folder:
            yield Path(folder)
    except OSError as error:
        raise BackupError(
            f"The work in {place} cannot be done: {error.strerror or error}.",
            f"Name a folder with room for the whole {room_for} in backup.work_directory.",
        ) from error
