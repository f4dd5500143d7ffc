"""What the management API answers, as far as failback reads it.

The shapes are those of Supabase's published description of the API. Unknown fields are ignored:
the API is only ever added to.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from failback.models.common import Payload


class Project(Payload):
    """A project and whether it is up."""

    ref: str
    name: str
    region: str
    status: str
    """`ACTIVE_HEALTHY` where all is well; others are `RESTORING`, `COMING_UP`, `INACTIVE`, …"""


class FunctionStatus(StrEnum):
    """What became of a deployed function."""

    ACTIVE = "ACTIVE"
    REMOVED = "REMOVED"
    THROTTLED = "THROTTLED"


class Function(Payload):
    """A deployed edge function."""

    id: str
    slug: str
    name: str
    status: FunctionStatus
    version: int
    verify_jwt: bool = True
    entrypoint_path: str = ""
    ezbr_sha256: str = ""
    """Of the bundle that is deployed; empty for one that was deployed long ago."""


class Secret(Payload):
    """A secret of the project. Its value is never answered."""

    name: str
    value: str
    """SHA-256 of the value in hexadecimal, which is what the API gives away of it, if anything."""
    updated_at: str = ""


class SigningKeyStatus(StrEnum):
    """What a signing key is used for."""

    IN_USE = "in_use"
    """Signs, and its tokens are accepted."""
    STANDBY = "standby"
    """Signs nothing yet; its tokens are accepted already."""
    PREVIOUSLY_USED = "previously_used"
    """Signs no more; its tokens are accepted until it is revoked."""
    REVOKED = "revoked"


class SigningKey(Payload):
    """A key that the project's auth signs or signed tokens with, or will."""

    id: str
    algorithm: str
    status: SigningKeyStatus
    public_jwk: dict[str, Any] | None = None
    """None for a shared secret (HS256)."""
    created_at: datetime
    updated_at: datetime


class SigningKeys(Payload):
    """All signing keys of a project."""

    keys: tuple[SigningKey, ...]


class PhysicalBackups(Payload):
    """The span of time that can be returned to, in seconds since 1970. None: nothing yet."""

    earliest_physical_backup_date_unix: int | None = None
    latest_physical_backup_date_unix: int | None = None


class Backup(Payload):
    """One backup that the platform took."""

    is_physical_backup: bool
    status: str
    """`COMPLETED` where it can be restored."""
    inserted_at: datetime


class Backups(Payload):
    """What the project can be restored from."""

    region: str
    walg_enabled: bool
    pitr_enabled: bool
    backups: tuple[Backup, ...]
    physical_backup_data: PhysicalBackups


class RestorePoint(Payload):
    """A named point that the database can be taken back to."""

    name: str
    status: str
    """`AVAILABLE`, `PENDING`, `REMOVED` or `FAILED`."""
