"""Opens the change archive that a configuration describes."""

from dataclasses import dataclass

from failback.change_archive.archive import EstateArchive
from failback.change_archive.settings import ArchiveSettings
from failback.change_archive.shelf import ArchiveShelf, Document
from failback.config import Estate
from failback.errors import ConfigurationError
from failback.models.archive import ChainStart, SegmentManifest
from failback.providers.backup.opening import open_store
from failback.providers.backup.shelf import Shelf
from failback.providers.backup.signing import Trust, sealed, unsealed


@dataclass(frozen=True)
class _Sealing:
    """Signs as manifests of backups are signed, by the same keys."""

    estate: str
    trust: Trust

    def seal(self, document: ChainStart | SegmentManifest) -> bytes:
        """See `Sealing.seal`."""
        return sealed(document, self.trust)

    def unseal(self, data: bytes, kind: type[Document], name: str) -> Document:
        """See `Sealing.unseal`."""
        return unsealed(data, kind, name, self.estate, self.trust)[0]


def open_archive(estate: Estate) -> EstateArchive | None:
    """An estate's change archive, None where it has none. The caller closes it.

    Raises:
        ConfigurationError: it has no section `backup`, beside which changes could be kept.
        CertificateError: a key cannot be read.
    """
    config = estate.archive
    if config is None:
        return None
    if estate.backup is None:
        raise ConfigurationError(
            f"The estate {estate.estate} has a section archive and no section backup.",
            "Say where backups are kept: changes are archived beside them.",
        )
    store = open_store(estate.backup)
    trust = Trust.of(estate.backup, estate.certificates)
    backups = Shelf(store, estate.estate, trust)
    return EstateArchive(
        ArchiveSettings(
            estate=estate.estate,
            target_dsn=estate.target.dsn.get_secret_value(),
            include=estate.data.tables.include,
            exclude=estate.data.tables.exclude,
            prefix=config.prefix,
            max_retained_wal_mb=config.max_retained_wal_mb,
            idle_seconds=config.idle_seconds,
            sequence_headroom=estate.data.sequence_headroom,
            connect_timeout_seconds=estate.target.connect_timeout_seconds,
        ),
        ArchiveShelf(store, estate.estate, config.prefix, _Sealing(estate.estate, trust)),
        lambda backup: backups.manifest(backup).manifest,
    )
