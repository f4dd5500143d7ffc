"""A stretch of archiving: what it does when the store or the target is away."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest
from temporalio.testing import ActivityEnvironment

from activities.archive import ArchiveActivities
from failback.errors import UnreachableError
from failback.models.archive import KeepArchivedRequest
from failback.models.recovery import ArchiveState, RestoreReport
from failback.ports import Progress

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Archive:
    """Answers one after the other, the last one for good; a text is why it fails."""

    def __init__(self, answers: list[ArchiveState | str]) -> None:
        self._answers = answers
        self.rounds = 0
        self.asked = threading.Event()

    def archive_once(self, progress: Progress | None = None) -> ArchiveState:
        del progress
        answer = self._answers[min(self.rounds, len(self._answers) - 1)]
        self.rounds += 1
        self.asked.set()
        if isinstance(answer, str):
            raise UnreachableError(answer, "Mend it.")
        return answer

    def arm(self) -> ArchiveState:
        raise NotImplementedError

    def disarm(self) -> None:
        raise NotImplementedError

    def state(self, backup: str = "") -> ArchiveState:
        raise NotImplementedError

    def replay(
        self, backup: str, dsn: str, after: str = "", progress: Progress | None = None
    ) -> RestoreReport:
        raise NotImplementedError

    def prune(self, keep_from: str) -> int:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def test_stretch_when_the_store_stays_away_then_it_ends_early_and_says_why() -> None:
    environment = ActivityEnvironment()
    archive = Archive(["The store is away."])
    report = environment.run(
        ArchiveActivities(archive).keep_archived,
        KeepArchivedRequest(estate="shop", run_seconds=600.0, alert_seconds=0.0),
    )
    assert (report.failed, report.rounds) == (1, 0)
    assert (report.problem, report.cure) == ("The store is away.", "Mend it.")


def test_stretch_when_it_goes_well_again_then_nothing_is_wrong_any_more() -> None:
    environment = ActivityEnvironment()
    state = ArchiveState(segments=2, keys=7, last_position="0/9", last_commit_at=AT, gap="a gap")
    archive = Archive(["The store is away.", state])
    report = environment.run(
        ArchiveActivities(archive).keep_archived,
        KeepArchivedRequest(
            estate="shop", interval_seconds=0.01, run_seconds=1.2, alert_seconds=60.0
        ),
    )
    assert report.failed == 1
    assert report.rounds >= 1
    assert (report.problem, report.gap, report.last_position) == ("", "a gap", "0/9")


async def test_stretch_when_it_is_cancelled_then_it_ends() -> None:
    environment = ActivityEnvironment()
    archive = Archive([ArchiveState(last_position="0/9", last_commit_at=AT)])
    running = asyncio.create_task(
        asyncio.to_thread(
            environment.run,
            ArchiveActivities(archive).keep_archived,
            KeepArchivedRequest(estate="shop", interval_seconds=600.0, run_seconds=600.0),
        )
    )
    async with asyncio.timeout(10):
        await asyncio.to_thread(archive.asked.wait)
        environment.cancel()
        with pytest.raises(Exception, match="cancel"):
            await running
