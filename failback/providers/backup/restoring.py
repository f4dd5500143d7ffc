"""Restores a dump into an empty database, for a trial or for good."""

from collections.abc import Sequence
from pathlib import Path

from failback.errors import BackupRestoreError, BackupToolError
from failback.ports import Progress
from failback.providers.backup.programs import Programs

FOR_A_TRIAL = ("--no-owner", "--no-privileges", "--no-subscriptions", "--no-publications")
"""Whoever owned it, and without what would begin to work by itself."""
FOR_GOOD = ("--no-subscriptions", "--no-publications")
"""With owners and rights. A subscription would begin to work, and a publication belongs to whoever
arms next."""


def restore_dump(
    programs: Programs,
    dump: Path,
    dsn: str,
    parallel: int,
    tell: Progress,
    *,
    options: Sequence[str] = FOR_A_TRIAL,
    cure: str = "",
) -> None:
    """Restore schema and rows of a dump in pg_dump's directory format.

    Args:
        programs: with pg_restore.
        dump: its folder, whose bytes were checked.
        dsn: an empty database.
        parallel: tables at once.
        tell: told about once a second; what it raises ends the restore.
        options: `FOR_A_TRIAL` or `FOR_GOOD`.
        cure: what an error advises.

    Raises:
        BackupRestoreError: pg_restore failed; the text says with what.
    """
    try:
        programs.run(
            "pg_restore",
            [
                *("--format=directory", f"--jobs={parallel}", "--exit-on-error"),
                *options,
                dump,
            ],
            dsn=dsn,
            progress=tell,
            telling="pg_restore is still at work.",
        )
    except BackupToolError as error:
        raise BackupRestoreError(error.cause, error.cure or cure) from error
