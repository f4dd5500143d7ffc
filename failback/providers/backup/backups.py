"""An estate's backups: takes, lists, proves and prunes them."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from failback.errors import BackupPartMissingError, FailbackError
from failback.models.backups import (
    BackupList,
    BackupManifest,
    BackupProof,
    InventoriedObject,
    PruneReport,
)
from failback.ports import Progress
from failback.providers.backup.beside import read_inventory
from failback.providers.backup.fetching import fetch
from failback.providers.backup.proving import OF_THE_BACKUP, Held, Trial, tried
from failback.providers.backup.shelf import Found, Shelf
from failback.providers.backup.signed import me, software
from failback.providers.backup.taking import Origin, take
from failback.providers.backup.work_folder import work_folder


class EstateBackups:
    """Implements `Backups`.

    Args:
        shelf: where they are.
        origin: what they are taken of.
        trial: how they are proved.
        work: where dumps lie meanwhile; None takes the system's temporary folder.
    """

    def __init__(self, shelf: Shelf, origin: Origin, trial: Trial, work: Path | None) -> None:
        self._shelf = shelf
        self._origin = origin
        self._trial = trial
        self._work = work

    def take(self, progress: Progress | None = None) -> BackupManifest:
        """See `Backups.take`."""
        with work_folder(self._work, "backup", "database") as work:
            return take(self._shelf, self._origin, work, progress or _nobody)

    def list(self) -> BackupList:
        """See `Backups.list`."""
        return self._shelf.list()

    def prove(self, backup: str = "", progress: Progress | None = None) -> BackupProof:
        """See `Backups.prove`."""
        found = self._shelf.manifest(backup or self._shelf.newest())
        began = time.monotonic()
        try:
            with work_folder(self._work, "backup", "database") as work:
                held = tried(self._shelf, found.manifest, self._trial, work, progress or _nobody)
        except OF_THE_BACKUP as error:
            seconds = time.monotonic() - began
            # The error counts more than its record.
            with suppress(FailbackError):
                self._shelf.write(_proof(found, seconds, problem=error.cause))
            raise
        proof = _proof(found, time.monotonic() - began, held=held)
        self._shelf.write(proof)
        return proof

    def inventory(self, backup: str, bucket: str) -> Iterator[InventoriedObject]:
        """See `Backups.inventory`."""
        manifest = self._shelf.manifest(backup).manifest
        listed = next((one for one in manifest.buckets if one.bucket == bucket), None)
        part = next((one for one in manifest.parts if listed and one.name == listed.part), None)
        if part is None:
            raise BackupPartMissingError(
                f"The backup {backup} has no inventory of bucket {bucket}.",
                "Look at what it holds: failback backup list --json.",
            )
        with work_folder(self._work, "backup", "database") as work:
            fetch(self._shelf, manifest.model_copy(update={"parts": (part,)}), work, 1)
            yield from read_inventory(work / part.name)

    def prune(self, keep: int, keep_proven: int, *, dry_run: bool = False) -> PruneReport:
        """See `Backups.prune`."""
        return self._shelf.prune(keep, keep_proven, dry_run=dry_run)

    def close(self) -> None:
        """See `Backups.close`."""
        self._shelf.store.close()


def _proof(
    found: Found, seconds: float, *, held: Held | None = None, problem: str = ""
) -> BackupProof:
    manifest = found.manifest
    return BackupProof(
        backup=manifest.id,
        estate=manifest.estate,
        manifest_sha256=found.sha256,
        proven=held is not None,
        problem=problem,
        at=datetime.now(UTC),
        by=me(),
        software=software(),
        server_version="" if held is None else held.server_version,
        tables=len(manifest.tables),
        rows=manifest.rows,
        bytes=manifest.bytes,
        rules=() if held is None else held.rules,
        amcheck="" if held is None else held.amcheck,
        objects=0 if held is None else held.objects,
        seconds=seconds,
    )


def _nobody(_: str) -> None:
    """Told where nobody listens."""
