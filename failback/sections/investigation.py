"""How migration activities are paused while a person looks into something."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from failback.sections.base import Section


class InvestigationConfig(Section):
    """Hooks of whatever runs the migration's activities: forward sync, backfills, deploys."""

    pause_url: SecretStr | None = None
    """Gets a POST when an investigation is opened. Left out: nothing is paused."""
    resume_url: SecretStr | None = None
    """Gets a POST when it is closed and the migration may go on."""
    token: SecretStr | None = None
    """Sent as `Authorization: Bearer`."""
    timeout_seconds: float = Field(default=5.0, gt=0)
    """Of one of three tries."""

    @model_validator(mode="after")
    def _urls_are_http(self) -> Self:
        for name in ("pause_url", "resume_url"):
            url: SecretStr | None = getattr(self, name)
            if url is not None and not url.get_secret_value().startswith(("http://", "https://")):
                raise ValueError(f"{name} has no http or https address")
        return self
