"""An estate's backups as a recovery needs them: looked at, fetched, restored for good."""

from contextlib import closing
from functools import partial
from pathlib import Path

from failback.backup_ports import Backups
from failback.config import Estate
from failback.errors import (
    BackupContentError,
    BackupRestoreError,
    BackupTableMissingError,
    ConfigurationError,
)
from failback.models.backups import BackupList, BackupManifest, BackupPart, BackupProof
from failback.models.common import Side
from failback.ports import Progress
from failback.providers.backup.content import hash_probe, read_content, schema_fingerprint
from failback.providers.backup.fetching import fetch
from failback.providers.backup.opening import open_backups, open_store
from failback.providers.backup.programs import Programs
from failback.providers.backup.proving import compare
from failback.providers.backup.restoring import FOR_GOOD, restore_dump
from failback.providers.backup.shelf import Shelf, parts_are_there
from failback.providers.backup.signing import Trust
from failback.providers.backup.taking import DUMP
from failback.providers.backup.work_folder import work_folder
from failback.recovery.vault import BackupVault
from failback.reverse_sync.connections import Servers

_CURE = "The standby needs every role and extension of the source: see docs/recovery.md."
_OTHER_HASHES = (
    "the standby hashes values in another way than the source did, so that digests cannot be"
    " compared: it has to be PostgreSQL {major}"
)


class ShelfVault:
    """Implements `BackupVault`.

    Args:
        shelf: where the backups are.
        programs: with pg_restore.
        parallel: tables and parts at once.
        work: where parts lie until they were restored; None takes the system's temporary folder.
    """

    def __init__(self, shelf: Shelf, programs: Programs, parallel: int, work: Path | None) -> None:
        self._shelf = shelf
        self._programs = programs
        self._parallel = parallel
        self._work = work

    def listed(self) -> BackupList:
        """See `BackupVault.listed`."""
        return self._shelf.list()

    def checked(self, backup: str) -> tuple[BackupManifest, BackupProof | None]:
        """See `BackupVault.checked`."""
        found = self._shelf.manifest(backup)
        folder = self._shelf.key(backup, "")
        parts_are_there(found.manifest, self._shelf.store.list(folder), folder)
        return found.manifest, self._shelf.proof(found)

    def restore(self, backup: str, dsn: str, progress: Progress) -> None:
        """See `BackupVault.restore`."""
        manifest, _ = self.checked(backup)
        with work_folder(self._work, "recovery", "backup") as folder:
            came = 0

            def fetched(part: BackupPart) -> None:
                nonlocal came
                came += part.bytes
                progress(f"Fetched {came:,} of {manifest.bytes:,} bytes.")

            fetch(self._shelf, manifest, folder, self._parallel, fetched)
            restore_dump(
                self._programs,
                folder / DUMP,
                dsn,
                self._parallel,
                progress,
                options=FOR_GOOD,
                cure=_CURE,
            )

    def differences(self, backup: str, dsn: str) -> tuple[str, ...]:
        """See `BackupVault.differences`."""
        manifest, _ = self.checked(backup)
        connect = partial(Servers(dsn, dsn).connect, Side.SOURCE, autocommit=True)
        with closing(connect()) as session:
            if hash_probe(session) != manifest.hash_probe:
                return (_OTHER_HASHES.format(major=manifest.server_major),)
        try:
            compare(read_content(connect, manifest.excluded_schemas, self._parallel), manifest)
        except (BackupTableMissingError, BackupContentError) as error:
            return (error.cause,)
        return ()

    def schema_differs(self, backup: str, dsn: str) -> bool:
        """See `BackupVault.schema_differs`."""
        manifest = self._shelf.manifest(backup).manifest
        with closing(Servers(dsn, dsn).connect(Side.SOURCE, autocommit=True)) as session:
            seen = schema_fingerprint(session, manifest.excluded_schemas)
        return seen != manifest.schema_fingerprint

    def close(self) -> None:
        """See `BackupVault.close`."""
        self._shelf.store.close()


class ElsewhereVault:
    """Implements `BackupVault` for backups that another tool keeps: people restore those.

    Args:
        backups: which there are.
        provider: what keeps them.
    """

    def __init__(self, backups: Backups, provider: str) -> None:
        self._backups = backups
        self._provider = provider

    def listed(self) -> BackupList:
        """See `BackupVault.listed`."""
        return self._backups.list()

    def checked(self, backup: str) -> tuple[BackupManifest, BackupProof | None]:
        """See `BackupVault.checked`."""
        raise self._refusal(backup)

    def restore(self, backup: str, dsn: str, progress: Progress) -> None:  # noqa: ARG002 - the port's
        """See `BackupVault.restore`."""
        raise self._refusal(backup)

    def differences(self, backup: str, dsn: str) -> tuple[str, ...]:  # noqa: ARG002 - the port's
        """See `BackupVault.differences`."""
        raise self._refusal(backup)

    def schema_differs(self, backup: str, dsn: str) -> bool:  # noqa: ARG002 - the port's
        """See `BackupVault.schema_differs`."""
        raise self._refusal(backup)

    def close(self) -> None:
        """See `BackupVault.close`."""
        self._backups.close()

    def _refusal(self, backup: str) -> BackupRestoreError:
        return BackupRestoreError(
            f"{self._provider} keeps {backup}: people restore it with their own tools.",
            "docs/backups.md says how. failback restores what backup.provider dump took.",
        )


def open_vault(estate: Estate) -> BackupVault:
    """The backups of an estate, for a recovery. The caller closes them.

    Raises:
        ConfigurationError: the estate has no section `backup`.
        CertificateError: a key cannot be read.
    """
    config = estate.backup
    if config is None:
        raise ConfigurationError(
            f"The estate {estate.estate} can recover from nothing: it has no section backup.",
            "Say where backups are kept; see docs/backups.md.",
        )
    if config.provider != "dump":
        return ElsewhereVault(open_backups(estate), config.provider)
    return ShelfVault(
        Shelf(open_store(config), estate.estate, Trust.of(config, estate.certificates)),
        Programs(config.pg_bin),
        config.parallel,
        config.work_directory,
    )
