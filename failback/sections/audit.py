"""Where the audit log is kept."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from failback.sections.base import Section


class AuditConfig(Section):
    """The append-only record of alerts, decisions, approvals and what came of them."""

    file: Path | None = None
    """A SQLite file on a local disk, for one machine. Left out: below the user's state folder."""
    dsn: SecretStr | None = Field(default=None)
    """A Postgres database, for several machines; best one that is no side of the migration."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.file is not None and self.dsn is not None:
            raise ValueError("the audit log is kept in one place: name file or dsn, not both")
        return self
