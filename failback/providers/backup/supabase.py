"""Backups that Supabase takes of a hosted project, as its management API tells of them.

The API restores a project in place alone: what it lists can be told, and nothing of it can be
proved without a person who restores it to a new project. So nothing here is ever `proven`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import TypeVar

from failback.errors import BackupError, BackupNotFoundError, BackupPartMissingError
from failback.models.backups import (
    BackupList,
    BackupManifest,
    BackupProof,
    BackupState,
    BackupSummary,
    InventoriedObject,
    PruneReport,
)
from failback.ports import Progress
from failback.providers.supabase.answers import Backups as Listed
from failback.providers.supabase.client import SupabaseManagement

T = TypeVar("T")

_ID = "%Y%m%dT%H%M%SZ"
_COMPLETED = "COMPLETED"
_PROVE_ELSEWHERE = (
    "Restore it to a new project in Supabase's dashboard and look there; for backups that failback"
    " proves by itself, set backup.provider to dump."
)


class SupabaseBackups:
    """Implements `Backups` as far as Supabase lets anybody.

    Args:
        estate: whose.
        opened: opens the management API of its project.
    """

    def __init__(self, estate: str, opened: Callable[[], SupabaseManagement]) -> None:
        self._estate = estate
        self._opened = opened

    def take(self, progress: Progress | None = None) -> BackupManifest:
        """See `Backups.take`: nobody but Supabase does."""
        del progress
        raise BackupError(
            "Supabase takes this project's backups itself, at times of its own.",
            "With point-in-time recovery every moment is kept; for one now, use provider dump.",
        )

    def list(self) -> BackupList:
        """See `Backups.list`. The span of point-in-time recovery is told with the place."""
        ref, found = self._asked(_read)
        newest_first = sorted(found.backups, key=lambda one: one.inserted_at, reverse=True)
        return BackupList(
            estate=self._estate,
            place=f"Supabase project {ref}, {_span(found)}",
            backups=tuple(
                BackupSummary(
                    id=one.inserted_at.astimezone(UTC).strftime(_ID),
                    state=BackupState.COMPLETE if one.status == _COMPLETED else BackupState.BROKEN,
                    problem=f"Supabase says {one.status.lower()}; failback cannot restore it aside",
                    taken_at=one.inserted_at,
                )
                for one in newest_first
            ),
        )

    def prove(self, backup: str = "", progress: Progress | None = None) -> BackupProof:
        """See `Backups.prove`: it says why it cannot."""
        del progress
        known = [one.id for one in self.list().backups]
        if not known or backup not in ("", *known):
            raise BackupNotFoundError(
                f"Supabase lists no backup {backup or 'yet'}.",
                "`failback backup list` lists those that there are.",
            )
        raise BackupError(
            f"The backup {backup or known[0]} cannot be proved: Supabase's management API restores"
            " a project in place alone.",
            _PROVE_ELSEWHERE,
        )

    def inventory(self, backup: str, bucket: str) -> Iterator[InventoriedObject]:
        """See `Backups.inventory`: Supabase's backups hold no list of objects."""
        raise BackupPartMissingError(
            f"The backup {backup} has no inventory of bucket {bucket}: Supabase takes none.",
            "backup.provider `dump` lists buckets.",
        )

    def prune(self, keep: int, keep_proven: int, *, dry_run: bool = False) -> PruneReport:
        """See `Backups.prune`: Supabase expires them by the project's plan."""
        return PruneReport(
            left=tuple(one.id for one in self.list().backups),
            detail=f"Supabase expires backups by the project's plan, not by {keep} and"
            f" {keep_proven}: nothing can be deleted.",
            dry_run=dry_run,
        )

    def close(self) -> None:
        """See `Backups.close`. Each call has a connection of its own."""

    def _asked(self, question: Callable[[SupabaseManagement], Awaitable[T]]) -> T:
        async def asked() -> T:
            management = self._opened()
            try:
                return await question(management)
            finally:
                await management.aclose()

        return asyncio.run(asked())


async def _read(management: SupabaseManagement) -> tuple[str, Listed]:
    return management.ref, await management.backups()


def _span(found: Listed) -> str:
    data = found.physical_backup_data
    first, last = data.earliest_physical_backup_date_unix, data.latest_physical_backup_date_unix
    if not found.pitr_enabled:
        return "without point-in-time recovery"
    if first is None or last is None:
        return "whose point-in-time recovery has nothing yet"
    return f"any moment from {_told(first)} to {_told(last)}"


def _told(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%F %T} UTC"
