"""Backups that are taken and proved on a schedule: what is told, what goes on, what is kept."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import Worker

from activities.audit import AuditActivities
from activities.backups import BackupActivities
from activities.notifications import NotificationActivities
from failback.errors import (
    BackupNotFoundError,
    BackupToolError,
    ConfigurationError,
    FailbackError,
)
from failback.lab.temporal import TemporalServer
from failback.models.backup_schedule import BackupSchedule, BackupScheduleStatus
from failback.models.backups import (
    BackupManifest,
    BackupProofReport,
    BackupProofRequest,
    BackupState,
)
from failback.models.messages import MessageKind
from failback.ports import Progress
from failback.providers.audit.fake import FakeAuditLog
from failback.providers.backup.fake import FakeBackups
from failback.providers.notify import FakeNotifier
from failback.temporal.backup_schedules import BackupSchedules
from failback.temporal.client import connect
from workers.composition import workflow_runner
from workflows.backup_proof import BackupProof
from workflows.notification import Notification

from support.fake_estate import estate_of
from support.fake_system import FakeArchive
from support.time_skipping import time_skipping

pytestmark = pytest.mark.servers


class Forgetful(FakeBackups):
    """Takes a backup whose answer is lost on its way, once, where it is told to."""

    forgets = False
    patient = False
    """Whether it works until what it tells of it raises."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[str] = []

    def take(self, progress: Progress | None = None) -> BackupManifest:
        if self.patient:
            self._called_blocking("take")
            self._work_until_ended(progress)
        taken = super().take(progress)
        if self.forgets:
            self.forgets = False
            raise ConnectionResetError("the answer was lost")
        return taken

    def _work_until_ended(self, progress: Progress | None) -> None:
        assert progress is not None
        try:
            while True:
                progress("still at work")
                time.sleep(0.01)
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise


class Vault:
    """A worker for backups of a fake."""

    def __init__(self, client: Client, queue: str = "vault") -> None:
        self.client = client
        self.queue = queue
        self.backups = Forgetful()
        self.notifier = FakeNotifier()
        self.archive = FakeArchive([])
        self.closed_by: FailbackError | None = None

    def opened(self) -> FakeBackups:
        """Fails where it is told that they cannot be opened."""
        if self.closed_by is not None:
            raise self.closed_by
        return self.backups

    def worker(self, threads: ThreadPoolExecutor) -> Worker:
        told = NotificationActivities(self.notifier)
        backups = BackupActivities(self.opened, self.archive)
        return Worker(
            self.client,
            task_queue=self.queue,
            workflows=[BackupProof, Notification],
            activities=[
                told.plan_delivery,
                told.deliver,
                AuditActivities(FakeAuditLog()).record,
                backups.take_backup,
                backups.prove_next_backup,
                backups.prune_backups,
            ],
            activity_executor=threads,
            workflow_runner=workflow_runner(),
        )

    async def run(self, **asked: object) -> BackupProofReport:
        return await self.client.execute_workflow(
            BackupProof.run,
            BackupProofRequest.model_validate({"estate": "shop", **asked}),
            id="backup-proof/shop",
            task_queue=self.queue,
        )

    async def failed(self, **asked: object) -> tuple[str, BackupProofReport]:
        """What a run that fails says, and what it had done."""
        with pytest.raises(WorkflowFailureError) as raised:
            await self.run(**asked)
        cause = raised.value.cause
        assert isinstance(cause, ApplicationError)
        await until(lambda: bool(self.notifier.messages))
        return cause.message, BackupProofReport.model_validate(cause.details[0])

    @property
    def states(self) -> list[BackupState]:
        return [one.state for one in self.backups.kept]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, for some time."""
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


@pytest.fixture
async def vault() -> AsyncIterator[Vault]:
    async with time_skipping() as made:
        vault = Vault(made.client)
        with ThreadPoolExecutor(2) as threads:
            async with vault.worker(threads):
                yield vault


async def test_run_when_all_is_well_then_taken_proved_pruned_and_nobody_is_told(
    vault: Vault,
) -> None:
    for _ in range(3):
        vault.backups.take()
    report = await vault.run(take=True, keep=2)
    assert report.taken is not None
    assert report.taken.id == "backup-4"
    assert [(one.backup, one.proven) for one in report.rounds] == [("backup-4", True)]
    assert report.pruned is not None
    assert report.pruned.deleted == ("backup-2", "backup-1")
    assert [call.arguments for call in vault.archive.called("prune")] == [("backup-3",)]
    assert vault.notifier.messages == []


async def test_run_when_the_newest_is_proven_already_then_nothing_is_proved_again(
    vault: Vault,
) -> None:
    vault.backups.take()
    vault.backups.prove()
    vault.backups.calls.clear()
    report = await vault.run()
    assert report.rounds[0].backup == ""
    assert report.rounds[0].newest_proven == "backup-1"
    assert [str(call) for call in vault.backups.calls] == ["backups.list"]


async def test_run_when_the_newest_does_not_hold_then_the_one_before_is_proved_and_people_told(
    vault: Vault,
) -> None:
    for _ in range(3):
        vault.backups.take()
    vault.backups.unsound = {"backup-3"}
    said, report = await vault.failed()
    assert "The backup backup-3 does not hold: public.orders" in said
    assert [(one.backup, one.proven) for one in report.rounds] == [
        ("backup-3", False),
        ("backup-2", True),
    ]
    assert [one.value for one in vault.states] == ["broken", "proven", "complete"]
    (told,) = vault.notifier.messages
    assert (told.kind, told.severity) == (MessageKind.BACKUP_FAILED, "warning")
    assert told.facts["a recovery would take"].startswith("backup-2, ")


async def test_run_when_no_backup_can_be_taken_then_an_older_one_is_still_proved(
    vault: Vault,
) -> None:
    vault.backups.take()
    denied = BackupToolError("pg_dump failed: permission denied for table orders.")
    vault.backups.fail("take", None, denied)
    said, report = await vault.failed(take=True, keep=1)
    assert "No backup was taken: pg_dump failed" in said
    assert report.rounds[0].proven
    assert report.pruned is not None


async def test_run_when_the_backup_lacks_a_part_then_it_is_proved_and_people_are_told(
    vault: Vault,
) -> None:
    vault.backups.lacking = ("The inventory of bucket reports: it is gone.",)
    said, report = await vault.failed(take=True)
    assert said == "The backup lacks a part. The inventory of bucket reports: it is gone."
    assert report.rounds[0].proven


async def test_run_when_cancelled_then_the_work_ends_and_nobody_is_told(vault: Vault) -> None:
    vault.backups.patient = True
    handle = await vault.client.start_workflow(
        BackupProof.run,
        BackupProofRequest(estate="shop", take=True),
        id="backup-proof/cancelled",
        task_queue=vault.queue,
    )
    await until(lambda: bool(vault.backups.called("take")))
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as raised:
        await handle.result()
    assert isinstance(raised.value.cause, CancelledError)
    assert vault.backups.ended == ["CancelledError"]
    assert vault.notifier.messages == []


async def test_run_when_backups_cannot_be_opened_then_people_are_told_why(vault: Vault) -> None:
    vault.closed_by = ConfigurationError("The key /etc/failback/key is not there.")
    said, _ = await vault.failed(take=True)
    assert said.startswith("No backup was taken: The key /etc/failback/key is not there.")


async def test_run_when_there_is_no_backup_at_all_then_it_is_critical(vault: Vault) -> None:
    said, _ = await vault.failed()
    assert said == "No backup is proven: a recovery would have none to take."
    assert [told.severity for told in vault.notifier.messages] == ["critical"]


async def test_run_when_no_trial_can_be_held_then_the_backup_keeps_its_state(vault: Vault) -> None:
    vault.backups.take()
    lacking = BackupToolError("There is no program pg_restore on PATH.")
    vault.backups.fail("prove", None, lacking)
    said, _ = await vault.failed()
    assert "could not be proved: There is no program pg_restore" in said
    assert vault.states == [BackupState.COMPLETE]


async def test_take_when_its_answer_was_lost_then_the_retry_takes_no_second_backup(
    vault: Vault,
) -> None:
    vault.backups.forgets = True
    report = await vault.run(take=True)
    assert [one.id for one in vault.backups.kept] == ["backup-1"]
    assert report.rounds[0].backup == "backup-1"


async def test_schedule_when_set_shown_changed_and_removed_then_temporal_has_exactly_that(
    temporal_server: TemporalServer,
) -> None:
    estate = estate_of("scheduled", temporal_server.address)
    client = await connect(estate)
    schedules = BackupSchedules(client, estate)
    with pytest.raises(BackupNotFoundError, match="No schedule proves the backups of scheduled"):
        await schedules.show()
    vault = Vault(client, estate.temporal.task_queue)
    with ThreadPoolExecutor(2) as threads:
        async with vault.worker(threads):
            wanted = BackupSchedule(every_seconds=6 * 3600, take=True, keep=14, keep_proven=3)
            status = await schedules.set(wanted)
            assert (status.schedule, status.last, status.healthy) == (wanted, None, True)
            assert len(status.next_at) == 3
            assert status.next_at[1] - status.next_at[0] == timedelta(hours=6)
            handle = client.get_schedule_handle(status.id)
            await handle.trigger()
            await ended(schedules, "completed")
            assert [one.state.value for one in vault.backups.kept] == ["proven"]

            vault.backups.unsound = {"backup-2"}
            await handle.trigger()
            status = await ended(schedules, "failed")
            assert not status.healthy
            assert not status.paused
            assert status.last is not None
            assert "backup-2 does not hold" in status.last.problem
            await until(lambda: bool(vault.notifier.messages))

    daily = BackupSchedule(cron="30 3 * * *")
    assert (await schedules.set(daily)).schedule == daily
    await handle.pause(note="the database moves")
    status = await schedules.show()
    assert (status.paused, status.note, status.healthy) == (True, "the database moves", False)
    assert status.schedule == daily
    assert not (await schedules.set(daily)).paused
    with pytest.raises(ConfigurationError, match="does not take these times"):
        await schedules.set(BackupSchedule(cron="soon"))
    await schedules.remove()
    with pytest.raises(BackupNotFoundError):
        await schedules.remove()


async def ended(schedules: BackupSchedules, state: str) -> BackupScheduleStatus:
    """Wait until the newest run is in a state."""
    async with asyncio.timeout(20):
        while True:
            status = await schedules.show()
            if status.last is not None and status.last.state == state:
                return status
            await asyncio.sleep(0.1)
