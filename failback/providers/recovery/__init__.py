"""Recoveries from proven backups: the fake, and how a real one is opened."""

from failback.providers.recovery.fake import FakeRecovery

__all__ = ["FakeRecovery"]
