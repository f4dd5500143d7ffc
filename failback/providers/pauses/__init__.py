"""Pauses of what migrates besides failback: their activities, their memory, and the fake."""

from failback.providers.pauses.activity import Activity, Remembered, Seen, Told
from failback.providers.pauses.fake import FakeActivity, FakeMigrationActivityPause
from failback.providers.pauses.memory import Hold, PauseMemory
from failback.providers.pauses.opening import open_every_pause, open_pauses
from failback.providers.pauses.pausing import EstatePauses

__all__ = [
    "Activity",
    "EstatePauses",
    "FakeActivity",
    "FakeMigrationActivityPause",
    "Hold",
    "PauseMemory",
    "Remembered",
    "Seen",
    "Told",
    "open_every_pause",
    "open_pauses",
]
