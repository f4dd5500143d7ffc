"""Ways to pause migration activities: a hook, and its fake."""

from failback.providers.pause.fake import FakeMigrationPause
from failback.providers.pause.hook import HookMigrationPause

__all__ = ["FakeMigrationPause", "HookMigrationPause"]
