"""What a recovery asks of backups and of the source's endpoints. Providers implement these."""

from typing import Protocol

from failback.models.backups import BackupList, BackupManifest, BackupProof
from failback.models.system import Item
from failback.ports import Progress


class BackupVault(Protocol):
    """An estate's backups, as a restore needs them. Blocking; thread-safe.

    All methods raise UnreachableError and errors of the BackupError family.
    """

    def listed(self) -> BackupList:
        """Every backup, newest first, with what is known of it without restoring it."""
        ...

    def checked(self, backup: str) -> tuple[BackupManifest, BackupProof | None]:
        """The manifest, once its signature, and that every part is there in full, were checked."""
        ...

    def restore(self, backup: str, dsn: str, progress: Progress) -> None:
        """Fetch every part, check its bytes, and restore schema, rows, owners and rights.

        Args:
            backup: its id.
            dsn: an empty database, by a role that may own what is restored.
            progress: told about once a second; what it raises ends the restore.
        """
        ...

    def differences(self, backup: str, dsn: str) -> tuple[str, ...]:
        """How a database differs from the manifest, in sentences; nothing where it does not."""
        ...

    def schema_differs(self, backup: str, dsn: str) -> bool:
        """Whether a database has another schema than the manifest says."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Probe(Protocol):
    """Asks one endpoint of the source. Blocking."""

    def ask(self) -> Item:
        """Whether it answers; what is wrong is a result."""
        ...
