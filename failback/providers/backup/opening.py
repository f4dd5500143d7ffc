"""Opens the backups that a configuration describes."""

from pathlib import Path

from failback.backup_ports import Backups, ObjectStore
from failback.config import Estate
from failback.errors import ConfigurationError
from failback.models.common import Side
from failback.providers.backup.backups import EstateBackups
from failback.providers.backup.beside import Beside, Bucket
from failback.providers.backup.configuration import without_secrets
from failback.providers.backup.folder import FolderStore
from failback.providers.backup.pgbackrest import PgBackRestBackups
from failback.providers.backup.programs import Programs
from failback.providers.backup.proving import Trial
from failback.providers.backup.s3 import S3Store
from failback.providers.backup.shelf import Shelf
from failback.providers.backup.signing import Trust
from failback.providers.backup.supabase import SupabaseBackups
from failback.providers.backup.taking import Origin
from failback.providers.configuration.opening import open_configuration
from failback.providers.storage import S3Endpoint
from failback.providers.supabase import open_management
from failback.sections.backup import BackupConfig


def open_backups(estate: Estate, path: Path | None = None) -> Backups:
    """An estate's backups, whoever takes them. The caller closes them.

    Args:
        estate: whose.
        path: its configuration file, of which a dump carries what is no secret; without it
            none can be taken.

    Raises:
        ConfigurationError: the estate has no section `backup`, or none `supabase` where Supabase
            takes the backups.
        CertificateError: a key cannot be read.
    """
    config = estate.backup
    if config is None:
        raise ConfigurationError(
            f"The estate {estate.estate} has no section backup.",
            "Say where backups are kept; see docs/backups.md.",
        )
    if config.provider == "supabase_pitr":
        open_management(estate)  # says what is missing
        return SupabaseBackups(estate.estate, lambda: open_management(estate))
    shelf = Shelf(open_store(config), estate.estate, Trust.of(config, estate.certificates))
    origin, trial = _origin(estate, config, path), _trial(estate, config)
    if config.pgbackrest is not None:
        return PgBackRestBackups(config.pgbackrest, shelf, origin, trial, config.work_directory)
    return EstateBackups(shelf, origin, trial, config.work_directory)


def _origin(estate: Estate, config: BackupConfig, path: Path | None) -> Origin:
    database = estate.database(config.side)
    return Origin(
        side=config.side,
        dsn=(config.dsn or database.dsn).get_secret_value(),
        connect_timeout_seconds=database.connect_timeout_seconds,
        excluded=config.exclude_schemas,
        configuration=lambda: _configuration(path, estate),
        programs=Programs(config.pg_bin),
        parallel=config.parallel,
        beside=_beside(estate, config.side),
    )


def _trial(estate: Estate, config: BackupConfig) -> Trial:
    return Trial(
        programs=Programs(config.pg_bin),
        dsn="" if config.scratch_dsn is None else config.scratch_dsn.get_secret_value(),
        user=config.scratch_user,
        parallel=config.parallel,
        rules=estate.business_rules,
    )


def _beside(estate: Estate, side: Side) -> Beside:
    storage = estate.storage
    if storage is None:
        return Beside(switch=lambda: open_configuration(estate))
    endpoint = storage.source if side is Side.SOURCE else storage.target
    return Beside(
        endpoint=lambda: S3Endpoint(side, endpoint, connections=1),
        buckets=[Bucket(one.on(side), one.prefix) for one in storage.buckets],
        switch=lambda: open_configuration(estate),
    )


def _configuration(path: Path | None, estate: Estate) -> bytes:
    if path is None:
        raise ConfigurationError("Nobody has said which file the configuration is from.")
    return without_secrets(path, estate)


def open_store(config: BackupConfig) -> ObjectStore:
    """Where backups are kept."""
    if config.s3 is not None:
        return S3Store(config.s3)
    if config.folder is None:
        raise ConfigurationError("Backups have no place.", "Name backup.s3 or backup.folder.")
    return FolderStore(config.folder)
