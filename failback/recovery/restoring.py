"""Restores each part beside what is damaged, never over it.

Changes when a part has to be brought back in another way.
"""

import time
from contextlib import closing
from dataclasses import dataclass, replace

import psycopg

from failback.errors import (
    BackupError,
    FailbackError,
    NothingRestoredError,
    RestoredDiffersError,
    RestoreFailedError,
    UnreachableError,
)
from failback.models.backups import BackupManifest
from failback.models.common import Outcome, Side
from failback.models.recovery import Part, RestoreReport
from failback.models.storage import BucketState
from failback.ports import Progress
from failback.recovery.assess_others import AUTH_SCHEMA
from failback.recovery.choosing import checked
from failback.recovery.settings import Hands, RecoverySettings
from failback.recovery.standby import Standby
from failback.recovery.statements import statement
from failback.recovery.waiting import Loop
from failback.reverse_sync.connections import is_lost

_NAMED = 5


@dataclass(frozen=True)
class Restorer:
    """Restores parts of one estate.

    Args:
        settings: the estate.
        hands: its ports.
        standby: where the database goes.
        loop: for asynchronous ports.
    """

    settings: RecoverySettings
    hands: Hands
    standby: Standby
    loop: Loop

    def restore(
        self, part: Part, rollback_id: str, backup: str, progress: Progress
    ) -> RestoreReport:
        """See `Recovery.restore`."""
        began = time.monotonic()
        if part is Part.DATABASE:
            report = self._database(rollback_id, backup, progress)
        elif part is Part.AUTH:
            report = self._auth(rollback_id, backup)
        elif part is Part.STORAGE:
            report = self._storage(backup, progress)
        else:
            report = self._functions(backup, progress)
        return report.model_copy(update={"seconds": time.monotonic() - began})

    def _database(self, rollback_id: str, backup: str, progress: Progress) -> RestoreReport:
        """A new database on the standby, compared with the manifest before anything else."""
        manifest, _ = checked(self.hands.vault, backup)
        progress(f"Making a database beside the damaged one, on {self.standby.place}.")
        name = self.standby.make_empty(rollback_id, backup)
        dsn = self.standby.dsn(name)
        watching = _Watching(self.standby, name, manifest, progress)
        try:
            self.hands.vault.restore(backup, dsn, watching.tell)
            progress("Comparing what was restored with the manifest, table by table.")
            differing = self.hands.vault.differences(backup, dsn)
        except BackupError as error:
            raise RestoreFailedError(
                f"The backup {backup} was not restored: {error.cause}", error.cure
            ) from error
        if differing:
            raise RestoredDiffersError(
                f"What was restored from {backup} is not what its manifest says:"
                f" {'; '.join(differing[:_NAMED])}.",
                "Look at the standby, then restore again; or assess again and take another backup.",
            )
        restored = self.standby.restored(rollback_id)
        if restored is None:
            raise NothingRestoredError(
                f"The database {name} is gone from the standby.", "Restore it again."
            )
        self.standby.mark(replace(restored, state="restored"))
        return RestoreReport(
            part=Part.DATABASE,
            outcome=Outcome.SUCCEEDED,
            place=f"{name} on {self.standby.place}",
            backup=backup,
            tables=len(manifest.tables),
            rows=manifest.rows,
            bytes=manifest.bytes,
            detail="every table and the schema are those of the manifest",
        )

    def _auth(self, rollback_id: str, backup: str) -> RestoreReport:
        """Its rows came with the database: see that they did."""
        restored = self.standby.needed(rollback_id)
        manifest, _ = checked(self.hands.vault, restored.backup)
        wanted = [
            one for one in manifest.tables if one.table.startswith(f"{AUTH_SCHEMA}.") and one.rows
        ]
        with self.standby.session(restored.name) as session:
            there = {
                f"{schema}.{name}"
                for schema, name, _ in session.execute(statement("tables")).fetchall()
            }
        lacking = [one.table for one in wanted if one.table not in there]
        return RestoreReport(
            part=Part.AUTH,
            outcome=Outcome.FAILED if lacking else Outcome.SUCCEEDED,
            place=f"{restored.name} on {self.standby.place}",
            backup=backup,
            tables=len(wanted) - len(lacking),
            rows=sum(one.rows for one in wanted),
            detail=f"missing: {', '.join(lacking[:_NAMED])}"
            if lacking
            else "its tables came with the database",
        )

    def _storage(self, backup: str, progress: Progress) -> RestoreReport:
        """Deleted buckets and objects come back from the target, where it answers."""
        source, sync = self.hands.source_objects, self.hands.storage
        report = RestoreReport(part=Part.STORAGE, outcome=Outcome.INCONCLUSIVE, backup=backup)
        if source is None or sync is None:
            return report.model_copy(update={"detail": "no storage is configured"})
        made = []
        for bucket, _ in self.settings.buckets:
            if not source.state(bucket).exists:
                progress(f"Making the bucket {bucket}.")
                source.make(bucket)
                made.append(bucket)
        report = report.model_copy(update={"place": source.place})
        lost = self._lost_target()
        if lost:
            known = sync.status().known_objects
            return report.model_copy(
                update={
                    "outcome": Outcome.FAILED,
                    "detail": f"{lost} {known:,} objects of it are known by the inventory; what"
                    " the source has lost of them stays lost until it answers. Then repeat this.",
                }
            )
        try:
            carried = sync.sync(progress)
        except UnreachableError:
            raise
        except FailbackError as error:
            raise RestoreFailedError(
                f"Objects could not be brought back: {error.cause}", error.cure
            ) from error
        told = f"made again: {', '.join(made)}; " if made else ""
        copied = sum(one.copied for one in carried.buckets)
        return report.model_copy(
            update={
                "outcome": carried.outcome,
                "rows": copied,
                "bytes": sum(one.copied_bytes for one in carried.buckets),
                "detail": f"{told}{copied:,} objects copied from the target",
            }
        )

    def _lost_target(self) -> str:
        """Why nothing can be had from the target's buckets; empty where it can."""
        target = self.hands.target_objects
        if target is None:
            return "The target's objects are not configured."
        try:
            states: list[BucketState] = [
                target.state(counterpart) for _, counterpart in self.settings.buckets
            ]
        except FailbackError as error:
            return error.cause
        missing = [one.bucket for one in states if not one.exists]
        return f"The target lacks {', '.join(missing)}." if missing else ""

    def _functions(self, backup: str, progress: Progress) -> RestoreReport:
        """Each is enabled on the source, and asked there."""
        report = RestoreReport(part=Part.FUNCTIONS, outcome=Outcome.INCONCLUSIVE, backup=backup)
        fleet = self.hands.functions
        if fleet is None:
            return report.model_copy(update={"detail": "no functions are configured"})
        items = []
        for name in self.loop.run(fleet.names()):
            progress(f"Bringing the function {name} back.")
            items.append(self.loop.run(fleet.bring_back(name)))
        wrong = [one for one in items if one.outcome is not Outcome.SUCCEEDED]
        told = "; ".join(f"{one.name}: {one.detail}" for one in wrong[:_NAMED])
        return report.model_copy(
            update={
                "outcome": Outcome.FAILED if wrong else Outcome.SUCCEEDED,
                "place": "the source's runtime",
                "rows": len(items) - len(wrong),
                "detail": f"{len(items) - len(wrong)} of {len(items)} answer on the source"
                + (f"; {told}" if told else ""),
            }
        )


class _Watching:
    """Tells how far a restore has got, and how long it will still take."""

    def __init__(
        self, standby: Standby, name: str, manifest: BackupManifest, progress: Progress
    ) -> None:
        self._standby = standby
        self._name = name
        self._manifest = manifest
        self._progress = progress
        self._began: float | None = None

    def tell(self, text: str) -> None:
        """Pass on what the restore says, with what the standby shows of it."""
        try:
            with closing(
                self._standby.servers(self._name).connect(Side.SOURCE, autocommit=True)
            ) as session:
                tables, rows, size = session.execute(statement("restore_progress")).fetchall()[0]
        except (FailbackError, psycopg.Error) as error:
            if isinstance(error, psycopg.Error) and not is_lost(error):
                raise
            self._progress(text)
            return
        if not rows:
            self._progress(text)
            return
        now = time.monotonic()
        self._began = self._began or now
        total = max(self._manifest.rows, int(rows))
        left = (now - self._began) * (total - int(rows)) / int(rows)
        self._progress(
            f"{tables} of {len(self._manifest.tables)} tables, {int(rows):,} of {total:,} rows,"
            f" {size:,} bytes on the disk; about {left:.0f} s to go."
        )
