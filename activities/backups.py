"""Takes, proves and prunes backups for the workflow `BackupProof`.

A dump, a restore and an upload are silent for long, so that heartbeats come from beside them; a
cancel reaches the work where it tells how far it is.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from temporalio import activity
from temporalio.exceptions import CancelledError

from activities.failures import maps_errors
from activities.heartbeating import beating
from failback.backup_ports import Backups
from failback.errors import BackupError
from failback.models.backups import (
    BackupList,
    BackupState,
    BackupSummary,
    ProofRound,
    PruneBackupsRequest,
    PruneReport,
    TakeBackupRequest,
    TakenBackup,
)
from failback.ports import Progress
from failback.recovery_ports import ChangeArchive

T = TypeVar("T")

_BEAT_SECONDS = 1.0


class BackupActivities:
    """An estate's backups.

    Args:
        opened: the backups, opened at the first call. What keeps them from being opened, such as
            a key that is not there, is told to whoever waits for them: it is no reason to have no
            worker, which rollbacks need.
        archive: changes beyond the backups; None where none are kept.
    """

    def __init__(self, opened: Callable[[], Backups], archive: ChangeArchive | None = None) -> None:
        self._opened = opened
        self._archive = archive

    @property
    def _backups(self) -> Backups:
        return self._opened()

    @activity.defn
    @maps_errors
    async def take_backup(self, request: TakeBackupRequest) -> TakenBackup:
        """Take a backup, unless an earlier try has taken it already."""
        return await _beside(lambda progress: self._taken(request, progress))

    @activity.defn
    @maps_errors
    async def prove_next_backup(self) -> ProofRound:
        """Prove the newest backup that nobody has restored yet and that is newer than any proven.

        One that does not hold is a result, and on record beside it; the next round looks at the
        one before. An exception says that the trial could not be held.
        """
        return await _beside(self._proved)

    @activity.defn
    @maps_errors
    async def prune_backups(self, request: PruneBackupsRequest) -> PruneReport:
        """Delete old backups, and archived changes that none of those left needs."""
        return await _beside(lambda _: self._pruned(request))

    def _pruned(self, request: PruneBackupsRequest) -> PruneReport:
        report = self._backups.prune(request.keep, request.keep_proven)
        if self._archive is None or not report.kept:
            return report
        # A backup's id begins with its time.
        segments = self._archive.prune(min(report.kept))
        return report.model_copy(update={"segments": segments})

    def _taken(self, request: TakeBackupRequest, progress: Progress) -> TakenBackup:
        for one in self._backups.list().backups:
            if one.ours and one.taken_at is not None and one.taken_at >= request.not_before:
                return TakenBackup(
                    id=one.id,
                    taken_at=one.taken_at,
                    tables=one.tables,
                    rows=one.rows,
                    bytes=one.bytes,
                    lacking=one.lacking,
                )
        taken = self._backups.take(progress)
        return TakenBackup(
            id=taken.id,
            taken_at=taken.taken_at,
            tables=len(taken.tables),
            rows=taken.rows,
            bytes=taken.bytes,
            lacking=taken.lacking,
        )

    def _proved(self, progress: Progress) -> ProofRound:
        before = self._backups.list()
        due = _due(before)
        if due is None:
            return _round(before)
        try:
            proof = self._backups.prove(due.id, progress)
        except BackupError as error:
            after = self._backups.list()
            found = next((one for one in after.backups if one.id == due.id), None)
            if found is None or found.state is not BackupState.BROKEN:
                raise  # not its fault: a program is missing, or the scratch server
            return _round(after).model_copy(update={"backup": due.id, "problem": str(error)})
        return _round(self._backups.list()).model_copy(
            update={
                "backup": due.id,
                "proven": True,
                "rows": proof.rows,
                "seconds": proof.seconds,
            }
        )


def _due(listed: BackupList) -> BackupSummary | None:
    """The newest one that was never restored, where it is newer than what a recovery would take."""
    for one in listed.backups:
        if one.state is BackupState.PROVEN:
            return None
        if one.state is BackupState.COMPLETE:
            return one
    return None


def _round(listed: BackupList) -> ProofRound:
    proven = listed.newest_proven
    if proven is None:
        return ProofRound()
    return ProofRound(newest_proven=proven.id, newest_proven_taken_at=proven.taken_at)


async def _beside(work: Callable[[Progress], T]) -> T:
    """Run work in a thread, and heartbeat meanwhile; a cancel waits until it has tidied up."""
    halt = threading.Event()

    def progress(_: str) -> None:
        if halt.is_set():
            raise CancelledError("cancelled")

    async with beating(_BEAT_SECONDS):
        running = asyncio.create_task(asyncio.to_thread(work, progress))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            halt.set()
            with suppress(Exception):
                await running
            raise
