"""The change archive: captured changes with their rows, kept beside the backups."""

from failback.change_archive.archive import EstateArchive

__all__ = ["EstateArchive"]
