"""When an estate's backups are taken and proved by themselves, and how that has gone.

Changes when a schedule can be asked for something else.
"""

from datetime import datetime

from pydantic import Field

from failback.models.common import Payload


class BackupSchedule(Payload):
    """What somebody asks for."""

    every_seconds: int = Field(default=0, ge=0)
    """0 where `cron` says when."""
    cron: str = ""
    """Five fields, in UTC."""
    take: bool = False
    """Whether each run takes a backup first; else it proves what others take."""
    keep: int = Field(default=0, ge=0)
    """See `BackupProofRequest`."""
    keep_proven: int = Field(default=1, ge=1)

    @property
    def when(self) -> str:
        """In words, as people read it."""
        if self.cron:
            return f"cron {self.cron} (UTC)"
        for seconds, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
            if self.every_seconds % seconds == 0:
                return f"every {self.every_seconds // seconds} {unit}"
        return f"every {self.every_seconds} s"


class BackupRun(Payload):
    """One run of the schedule."""

    workflow_id: str
    started_at: datetime
    state: str
    """Temporal's word for it, in lower case: `running`, `completed`, `failed`, …"""
    problem: str = ""
    """Why it failed, where that can still be read."""


class BackupScheduleStatus(Payload):
    """A schedule as Temporal has it."""

    id: str
    schedule: BackupSchedule
    paused: bool = False
    note: str = ""
    next_at: tuple[datetime, ...] = ()
    last: BackupRun | None = None
    """The newest run; None before the first."""
    skipped: int = 0
    """Times that passed while an earlier run was still at work."""
    missed: int = 0
    """Times that passed while Temporal was away for longer than the schedule catches up."""

    @property
    def healthy(self) -> bool:
        """Whether it goes on, and its newest run did what it should."""
        return not self.paused and (self.last is None or self.last.state in _FINE)


_FINE = ("running", "completed", "continued_as_new")
