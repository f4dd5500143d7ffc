"""Backups: their stores, how they are taken, and how they are proved."""

from failback.providers.backup.backups import EstateBackups
from failback.providers.backup.fake import FakeBackups
from failback.providers.backup.folder import FolderStore
from failback.providers.backup.opening import open_backups
from failback.providers.backup.s3 import S3Store

__all__ = ["EstateBackups", "FakeBackups", "FolderStore", "S3Store", "open_backups"]
