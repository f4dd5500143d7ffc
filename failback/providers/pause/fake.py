"""A pause that only remembers."""

from failback.models.responses import MigrationPauseReport
from failback.providers.faults import Call, Faults


class FakeMigrationPause(Faults):
    """Keeps in `.paused` whose stops are in force. An injected failure becomes a result."""

    def __init__(self, *, calls: list[Call] | None = None) -> None:
        super().__init__("pause", calls)
        self.paused: set[str] = set()

    async def pause(self, investigation_id: str, reason: str) -> MigrationPauseReport:
        """See `MigrationPause.pause`."""
        failure = await self._passed("pause", investigation_id, reason)
        if failure is not None:
            return MigrationPauseReport(done=False, detail=str(failure))
        self.paused.add(investigation_id)
        return MigrationPauseReport(done=True, detail="paused")

    async def resume(self, investigation_id: str, reason: str) -> MigrationPauseReport:
        """See `MigrationPause.resume`."""
        failure = await self._passed("resume", investigation_id, reason)
        if failure is not None:
            return MigrationPauseReport(done=False, detail=str(failure))
        self.paused.discard(investigation_id)
        return MigrationPauseReport(done=True, detail="resumed")

    async def aclose(self) -> None:
        """See `MigrationPause.aclose`."""
        await self._called("aclose")
