"""What migrates besides failback, and how it is paused."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from failback.models.common import Side
from failback.sections.base import Section

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]


class PauseHookConfig(Section):
    """Addresses of whatever runs an activity: forward sync, backfills, deploys."""

    pause_url: SecretStr
    resume_url: SecretStr
    status_url: SecretStr | None = None
    """Answers GET with `{"paused": true}` or false; left out, an answer of success counts."""
    token: SecretStr | None = None
    """Sent as `Authorization: Bearer`."""
    signing_secret: SecretStr | None = None
    """Key of the HMAC that each POST is signed with, as Standard Webhooks has it."""
    timeout_seconds: float = Field(default=5.0, gt=0)
    """Of one of three tries."""

    @model_validator(mode="after")
    def _urls_are_http(self) -> Self:
        for name in ("pause_url", "resume_url", "status_url"):
            url: SecretStr | None = getattr(self, name)
            if url is not None and not url.get_secret_value().startswith(("http://", "https://")):
                raise ValueError(f"{name} has no http or https address")
        return self


class PauseCronConfig(Section):
    """Jobs of pg_cron in one side's database."""

    side: Side = Side.TARGET
    dsn: SecretStr | None = None
    """As who may change the jobs, in the database that pg_cron lives in; else failback's own."""
    jobs: tuple[str, ...] = Field(default=("*",), min_length=1)
    """Patterns of their names, with `*` and `?`; a job without a name is known by its number."""
    wait_seconds: float = Field(default=10.0, ge=0)
    """For so long runs that are under way are waited for."""


class PauseCommandConfig(Section):
    """Programs that pause and resume an activity, started without a shell."""

    pause: tuple[str, ...] = Field(min_length=1)
    """The program and its arguments; exit code 0 is success."""
    resume: tuple[str, ...] = Field(min_length=1)
    status: tuple[str, ...] = ()
    """Exits 0 while it is paused, 1 while it runs; left out, the others' exit codes count."""
    environment: tuple[str, ...] = ()
    """Names of the worker's environment variables that are passed on."""
    directory: Path | None = None
    """Working directory; left out, the root."""
    timeout_seconds: float = Field(default=30.0, gt=0)
    """After so long a program is ended, with all that it has started."""


class ActivityConfig(Section):
    """One activity: how it is paused, in one of these ways."""

    hook: PauseHookConfig | None = None
    pg_cron: PauseCronConfig | None = None
    command: PauseCommandConfig | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(ways) != 1:
            raise ValueError("an activity is paused in one way: hook, pg_cron or command")
        return self


class PausesConfig(Section):
    """Activities that a full-system rollback pauses first."""

    activities: dict[_Name, ActivityConfig] = Field(min_length=1)
