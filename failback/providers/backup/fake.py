"""Backups in memory, for tests and for trying things out. They are pruned as real ones are."""

import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from failback.errors import BackupContentError, BackupNotFoundError, BackupPartMissingError
from failback.models.backups import (
    BackupList,
    BackupManifest,
    BackupProof,
    BackupState,
    BackupSummary,
    InventoriedObject,
    PruneReport,
)
from failback.models.common import Side
from failback.ports import Progress
from failback.providers.faults import Call, Faults


class FakeBackups(Faults):
    """Implements `Backups` in memory.

    Args:
        estate: whose.
        clock: when backups are taken.
        calls: where calls are recorded.
    """

    def __init__(
        self,
        estate: str = "shop",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        calls: list[Call] | None = None,
    ) -> None:
        super().__init__("backups", calls)
        self._estate = estate
        self._clock = clock
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.kept: list[BackupSummary] = []
        """Newest first."""
        self.inventories: dict[tuple[str, str], tuple[InventoriedObject, ...]] = {}
        """By the ids of a backup and the name of a bucket."""
        self.lacking: tuple[str, ...] = ()
        """What backups lack that are taken from now on."""
        self.unsound: set[str] = set()
        """Ids of backups that do not hold, as a proof will find."""

    def take(self, progress: Progress | None = None) -> BackupManifest:
        """See `Backups.take`."""
        self._called_blocking("take")
        if progress is not None:
            progress("The fake takes a backup.")
        at = self._clock()
        manifest = BackupManifest(
            id=f"backup-{next(self._numbers)}",
            estate=self._estate,
            side=Side.SOURCE,
            database="app",
            taken_at=at,
            completed_at=at,
            software="failback fake",
            server_version="16.0",
            server_major=16,
            position="0/1",
            snapshot="1:1:",
            schema_fingerprint="",
            hash_probe=0,
            tables=(),
            parts=(),
            lacking=self.lacking,
        )
        found = BackupSummary(
            id=manifest.id, state=BackupState.COMPLETE, taken_at=at, lacking=self.lacking
        )
        with self._lock:
            self.kept.insert(0, found)
        return manifest

    def list(self) -> BackupList:
        """See `Backups.list`."""
        self._called_blocking("list")
        with self._lock:
            return BackupList(estate=self._estate, place="memory", backups=tuple(self.kept))

    def prove(self, backup: str = "", progress: Progress | None = None) -> BackupProof:
        """See `Backups.prove`."""
        self._called_blocking("prove", backup)
        if progress is not None:
            progress("The fake restores a backup.")
        found = next((one for one in self.kept if backup in ("", one.id)), None)
        if found is None:
            raise BackupNotFoundError(f"There is no backup {backup or 'yet'}.")
        at = self._clock()
        sound = found.id not in self.unsound
        problem = "" if sound else f"public.orders of {found.id} has other rows."
        state = BackupState.PROVEN if sound else BackupState.BROKEN
        proven_at = at if sound else None
        self._replace(found, {"state": state, "problem": problem, "proven_at": proven_at})
        if not sound:
            raise BackupContentError(problem)
        return BackupProof(
            backup=found.id,
            estate=self._estate,
            manifest_sha256="",
            proven=True,
            at=at,
            by="fake",
            software="failback fake",
        )

    def inventory(self, backup: str, bucket: str) -> Iterator[InventoriedObject]:
        """See `Backups.inventory`."""
        self._called_blocking("inventory", backup, bucket)
        if (backup, bucket) not in self.inventories:
            raise BackupPartMissingError(f"The backup {backup} has no inventory of {bucket}.")
        yield from self.inventories[backup, bucket]

    def prune(self, keep: int, keep_proven: int, *, dry_run: bool = False) -> PruneReport:
        """See `Backups.prune`."""
        self._called_blocking("prune", keep, keep_proven)
        with self._lock:
            proven = [one.id for one in self.kept if one.state is BackupState.PROVEN]
            sound = [one.id for one in self.kept if one.state is not BackupState.BROKEN]
            stays = [one for one in sound if one in sound[:keep] or one in proven[:keep_proven]]
            if not proven:
                return PruneReport(kept=tuple(sound), detail="No backup is proven.")
            gone = [one.id for one in self.kept if one.id not in stays]
            if not dry_run:
                self.kept = [one for one in self.kept if one.id in stays]
        return PruneReport(kept=tuple(stays), deleted=tuple(gone), dry_run=dry_run)

    def close(self) -> None:
        """See `Backups.close`."""

    def _replace(self, found: BackupSummary, changes: dict[str, object]) -> None:
        with self._lock:
            self.kept[self.kept.index(found)] = found.model_copy(update=changes)
