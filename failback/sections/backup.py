"""Where backups are kept, what they are taken of, and what proves them."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from failback.models.common import Side
from failback.sections.base import Section


class S3Config(Section):
    """A bucket on Amazon S3, or on anything else that speaks its protocol."""

    bucket: str
    prefix: str = ""
    """Folders before the estate's own."""
    endpoint: str = ""
    """Base URL of a server that is not Amazon's."""
    region: str = ""
    access_key: SecretStr | None = None
    """Left out: boto3 looks where it always does, such as the environment and the instance."""
    secret_key: SecretStr | None = None
    path_style: bool = False
    """Whether the bucket stands in the path instead of the host's name."""
    lock_days: int = Field(default=0, ge=0, le=36_500)
    """How long object lock (compliance mode) keeps each object from being deleted; 0 for not."""
    timeout_seconds: float = Field(default=30.0, gt=0)

    @model_validator(mode="after")
    def _whole_credentials(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key go together: name both or neither")
        return self


class PgBackRestConfig(Section):
    """A stanza of pgBackRest, on the machine where its commands are run."""

    stanza: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    config: Path | None = None
    """Its configuration file; left out, pgBackRest looks where it always does."""
    program: Path | None = None
    """Left out, `pgbackrest` is looked for on PATH."""
    type: Literal["full", "diff", "incr"] = "incr"
    """What `failback backup now` takes."""


class BackupConfig(Section):
    """Backups of one side, in a bucket or a folder."""

    provider: Literal["dump", "pgbackrest", "supabase_pitr"] = "dump"
    """Who takes them: pg_dump, pgBackRest, or Supabase itself."""
    pgbackrest: PgBackRestConfig | None = None
    s3: S3Config | None = None
    folder: Path | None = None
    """For tests and small estates: a disk that does not die with the server."""
    side: Side = Side.SOURCE
    dsn: SecretStr | None = None
    """A role that may read everything there; left out, failback's own."""
    exclude_schemas: tuple[str, ...] = ()
    """Schemas that the platform makes itself, and that nobody may restore."""
    pg_bin: Path | None = None
    """Folder of pg_dump, pg_restore and, for a scratch server, initdb and postgres."""
    parallel: int = Field(default=4, ge=1, le=64)
    """Tables dumped and restored, and parts carried, at once."""
    work_directory: Path | None = None
    """Where a dump lies until it was carried; left out, below the system's temporary folder."""
    scratch_dsn: SecretStr | None = None
    """A database on a server where proofs may make and drop databases and roles."""
    scratch_user: str = "nobody"
    """Whom a scratch server runs as where failback runs as root, which Postgres refuses."""
    max_age_hours: float = Field(default=24.0, gt=0)
    """`failback check` says so where the newest proven backup is older."""
    trusted_keys: tuple[Path, ...] = ()
    """Public keys whose signatures count besides the estate's own: earlier ones, say."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        places = (self.s3 is not None) + (self.folder is not None)
        if places > 1 or (places < 1 and self.provider != "supabase_pitr"):
            raise ValueError("backups are kept in one place: name s3 or folder")
        if (self.provider == "pgbackrest") != (self.pgbackrest is not None):
            raise ValueError("provider pgbackrest and the section pgbackrest go together")
        return self
