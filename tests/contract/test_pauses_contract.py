"""What pauses of a migration keep, on a fake, a hook, programs, and jobs of pg_cron."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from failback.models.common import Outcome
from failback.providers.pauses import FakeMigrationActivityPause

from support.pausable import NAME, Pausable, a_fake, a_hook, a_program, cron_jobs


@pytest.fixture(
    params=[
        "fake",
        "hook",
        "program",
        pytest.param("cron", marks=pytest.mark.servers),
        pytest.param("old_cron", marks=pytest.mark.servers),
    ]
)
async def pausable(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pausable]:
    kind: str = request.param
    if "cron" in kind:
        databases = request.getfixturevalue("databases")
        made = cron_jobs(tmp_path, databases, alters=kind == "cron")
    else:
        made = {"fake": a_fake, "hook": a_hook, "program": a_program}[kind](tmp_path)
    async with made as found:
        yield found


async def test_pause_and_resume_then_it_stands_still_and_goes_on(pausable: Pausable) -> None:
    worker = pausable.worker()
    stopped = await worker.pause("rb-1", "level 3")
    assert stopped.outcome is Outcome.SUCCEEDED, stopped.detail
    assert not pausable.runs()
    started = await worker.resume("rb-1")
    assert started.outcome is Outcome.SUCCEEDED, started.detail
    assert pausable.runs()
    assert (await worker.paused()).note == "nothing is paused"
    await worker.aclose()


async def test_paused_then_a_new_worker_knows_by_whom_and_can_resume(pausable: Pausable) -> None:
    first = pausable.worker()
    await first.pause("rb-1", "level 3")
    await first.aclose()
    second = pausable.worker()
    (item,) = (await second.paused()).items
    assert (item.name, item.outcome) == (NAME, Outcome.SUCCEEDED)
    assert item.detail.startswith("paused by rb-1 since ")
    assert item.detail.endswith("UTC: level 3")
    assert (await second.resume("rb-1", [NAME])).outcome is Outcome.SUCCEEDED
    assert pausable.runs()
    await second.aclose()


async def test_pause_when_repeated_after_a_crash_then_resume_still_restores_all(
    pausable: Pausable,
) -> None:
    worker = pausable.worker()
    await worker.pause("rb-1", "level 3")
    again = pausable.worker()
    assert (await again.pause("rb-1", "level 3")).outcome is Outcome.SUCCEEDED
    assert len((await again.paused()).items) == 1
    assert (await again.resume("rb-1")).outcome is Outcome.SUCCEEDED
    assert pausable.runs()
    assert (await again.resume("rb-1")).note == "nothing is paused"
    await worker.aclose()
    await again.aclose()


async def test_pause_when_two_rollbacks_hold_it_then_the_last_lets_it_go(
    pausable: Pausable,
) -> None:
    worker = pausable.worker()
    await worker.pause("rb-1", "one")
    await worker.pause("rb-2", "two")
    (kept,) = (await worker.resume("rb-1")).items
    assert (kept.outcome, kept.detail) == (Outcome.SUCCEEDED, "stays paused for rb-2")
    assert not pausable.runs()
    assert (await worker.resume("rb-2")).outcome is Outcome.SUCCEEDED
    assert pausable.runs()
    await worker.aclose()


async def test_paused_when_somebody_let_it_run_then_it_is_told(pausable: Pausable) -> None:
    worker = pausable.worker()
    await worker.pause("rb-1", "level 3")
    pausable.run_again()
    (item,) = (await worker.paused()).items
    assert item.outcome is Outcome.FAILED, item.detail
    assert "paused by rb-1" in item.detail
    await worker.aclose()


async def test_activity_when_it_cannot_be_asked_then_it_stays_on_record(
    pausable: Pausable,
) -> None:
    first = pausable.worker()
    await first.pause("rb-1", "level 3")
    pausable.break_it()
    worker = pausable.worker()
    (stopped,) = (await worker.pause("rb-1", "level 3")).items
    (started,) = (await worker.resume("rb-1")).items
    assert (stopped.outcome, started.outcome) == (Outcome.FAILED, Outcome.FAILED)
    (item,) = (await worker.paused()).items
    assert item.outcome is Outcome.INCONCLUSIVE
    assert "paused by rb-1" in item.detail
    await first.aclose()
    await worker.aclose()


async def test_decisions_then_kept_ones_say_by_whom_and_forgotten_ones_stay(
    pausable: Pausable,
) -> None:
    worker = pausable.worker()
    await worker.pause("rb-1", "level 3")
    assert [hold.activity for hold in await worker.undecided()] == [NAME]
    await worker.keep("mira", "until Monday", names=[NAME])
    assert await worker.undecided() == ()
    (item,) = (await worker.paused()).items
    assert "mira leaves it so: until Monday" in item.detail
    await worker.aclose()
    bare = pausable.worker(configured=False)
    (left,) = (await bare.paused()).items
    assert "not configured any more" in left.detail
    (refused,) = (await bare.resume("rb-1")).items
    assert refused.outcome is Outcome.FAILED
    assert not pausable.runs()
    (settled,) = (await bare.settle("mira", "rb-1", [NAME])).items
    assert settled.outcome is Outcome.SUCCEEDED
    assert (await bare.paused()).items == ()
    await bare.aclose()


async def test_names_when_unknown_then_they_are_told(pausable: Pausable) -> None:
    worker = pausable.worker()
    await worker.pause("rb-1", "level 3")
    report = await worker.resume("rb-1", ["nobody"])
    assert [(item.name, item.outcome) for item in report.items] == [("nobody", Outcome.FAILED)]
    assert not pausable.runs()
    await worker.aclose()


async def test_fake_then_it_pauses_what_runs() -> None:
    fake = FakeMigrationActivityPause()
    assert (await fake.pause("rb-1", "level 3")).outcome is Outcome.SUCCEEDED
    assert fake.running == set()
    fake.activities["deploys"].fail("start")
    report = await fake.resume("rb-1")
    assert report.outcome is Outcome.FAILED
    assert fake.running == {"backfill", "forward_sync"}
    assert (await fake.resume("rb-1")).outcome is Outcome.SUCCEEDED
    assert len(fake.running) == 3
    await fake.aclose()
