"""What `pgbackrest info` says, as far as failback reads it. The shapes are those of its JSON."""

import hashlib
from datetime import UTC, datetime
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from failback import certificates
from failback.errors import BackupError
from failback.models.common import Payload

APPLIED = "failback-applied-upto"
"""The annotation that holds `BackupManifest.applied_upto`."""
TAKING = "failback-taking"
"""The annotation by which whoever took a backup finds it again."""
_NONE_YET = 2
_FINE = 0


class Status(Payload):
    """Of a stanza: 0 is well, 2 is without a backup."""

    code: int
    message: str = ""


class Span(Payload):
    """From a backup's beginning to its end."""

    start: str
    stop: str


class Times(Payload):
    """The same in seconds since 1970."""

    start: int
    stop: int


class Sizes(Payload):
    """Bytes of the database."""

    size: int


class DatabaseId(Payload):
    """Which of the stanza's databases; a new one begins with each major upgrade."""

    id: int


class Backup(Payload):
    """One backup."""

    label: str
    type: str
    lsn: Span | None = None
    timestamp: Times
    info: Sizes
    database: DatabaseId
    error: bool | None = None
    """Whether pages had wrong checksums when it was taken."""
    annotation: dict[str, str] = Field(default_factory=dict)

    @property
    def taken_at(self) -> datetime:
        """Its end: what a restore to the first consistent point brings back."""
        return datetime.fromtimestamp(self.timestamp.stop, UTC)

    @property
    def digest(self) -> str:
        """Of what tells it from any other, for its proof."""
        facts: dict[str, Any] = self.model_dump(mode="json", exclude={"annotation", "error"})
        return hashlib.sha256(certificates.canonical(facts)).hexdigest()


class Database(Payload):
    """A database of the stanza."""

    id: int
    system_id: int = Field(default=0, alias="system-id")
    version: str


class Stanza(Payload):
    """A stanza, its backups oldest first."""

    name: str
    status: Status
    db: tuple[Database, ...] = ()
    backup: tuple[Backup, ...] = ()

    def of(self, backup: Backup) -> Database:
        """The database that a backup is of."""
        return next(
            (one for one in self.db if one.id == backup.database.id), Database(id=0, version="0")
        )


_STANZAS = TypeAdapter(tuple[Stanza, ...])


def read_info(text: str, name: str) -> Stanza:
    """The stanza of this name.

    Raises:
        BackupError: there is none, it is not well, or the text has another form.
    """
    try:
        stanzas = _STANZAS.validate_json(text)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise BackupError(
            f"pgbackrest info has a form that is not known: {where or 'it is no JSON'}.",
            "Use pgBackRest 2.41 or newer, or a newer failback.",
        ) from error
    found = next((one for one in stanzas if one.name == name), None)
    if found is None or found.status.code not in (_FINE, _NONE_YET):
        said = "there is none" if found is None else found.status.message
        raise BackupError(
            f"The stanza {name} of pgBackRest is not well: {said}.",
            "Run `pgbackrest check`; backup.pgbackrest names stanza and configuration.",
        )
    return found
