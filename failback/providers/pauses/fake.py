"""Activities in memory, and pauses of them that fail and hang as a test asks."""

from collections.abc import Sequence

from failback.models.common import Outcome
from failback.models.system import ItemsReport
from failback.providers.audit.fake import FakeAuditLog
from failback.providers.faults import Call, Faults
from failback.providers.pauses.activity import Remembered, Seen, Told
from failback.providers.pauses.memory import PauseMemory
from failback.providers.pauses.pausing import EstatePauses


class FakeActivity(Faults):
    """Implements `Activity`: jobs that run, in `.running_jobs`."""

    def __init__(self, jobs: Sequence[int] = (1, 2), *, calls: list[Call] | None = None) -> None:
        super().__init__("activity", calls)
        self.running_jobs = set(jobs)
        self.keys: list[str] = []
        """Of every call of `stop` and `start`."""

    async def look(self) -> Remembered:
        """See `Activity.look`."""
        await self._called("look")
        return {"jobs": [*sorted(self.running_jobs)]}

    async def stop(self, told: Told, remembered: Remembered) -> Seen:
        """See `Activity.stop`."""
        self.keys.append(told.key)
        stopped = self.running_jobs & _jobs(remembered)
        await self._called("stop", told.rollback_id)
        self.running_jobs -= stopped
        return Seen(Outcome.SUCCEEDED, "stopped", changed=bool(stopped))

    async def start(self, told: Told, remembered: Remembered) -> Seen:
        """See `Activity.start`."""
        self.keys.append(told.key)
        await self._called("start", told.rollback_id)
        self.running_jobs |= _jobs(remembered)
        return Seen(Outcome.SUCCEEDED, "started")

    async def running(self, remembered: Remembered) -> Seen | None:
        """See `Activity.running`."""
        await self._called("running")
        active = sorted(self.running_jobs & _jobs(remembered))
        return Seen(Outcome.FAILED, f"active again: {active}") if active else None

    async def aclose(self) -> None:
        """See `Activity.aclose`."""
        await self._called("aclose")


class FakeMigrationActivityPause(Faults):
    """Implements `MigrationActivityPause` over activities in memory, `.activities`."""

    def __init__(
        self,
        names: Sequence[str] = ("backfill", "deploys", "forward_sync"),
        *,
        calls: list[Call] | None = None,
    ) -> None:
        super().__init__("pauses", calls)
        self.activities = {name: FakeActivity(calls=self.calls) for name in names}
        self._pauses = EstatePauses(self.activities, PauseMemory(FakeAuditLog()))

    @property
    def running(self) -> set[str]:
        """The activities that run now."""
        return {name for name, activity in self.activities.items() if activity.running_jobs}

    async def pause(self, rollback_id: str, reason: str) -> ItemsReport:
        """See `MigrationActivityPause.pause`."""
        await self._called("pause", rollback_id, reason)
        return await self._pauses.pause(rollback_id, reason)

    async def resume(self, rollback_id: str, names: Sequence[str] = ()) -> ItemsReport:
        """See `MigrationActivityPause.resume`."""
        await self._called("resume", rollback_id, tuple(names))
        return await self._pauses.resume(rollback_id, names)

    async def paused(self) -> ItemsReport:
        """See `MigrationActivityPause.paused`."""
        await self._called("paused")
        return await self._pauses.paused()

    async def aclose(self) -> None:
        """See `MigrationActivityPause.aclose`."""
        await self._called("aclose")


def _jobs(remembered: Remembered) -> set[int]:
    listed = remembered.get("jobs")
    return {one for one in listed if isinstance(one, int)} if isinstance(listed, list) else set()
