"""Where both sides' auth answers, and how failback sees that sessions go on."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from failback.models.common import Side
from failback.sections.base import Section


class AuthSideConfig(Section):
    """One side's auth, as it is reached on this side alone, not through the balancer."""

    url: str
    """What stands before `/token`; Supabase: `https://<ref>.supabase.co/auth/v1`."""
    anon_key: SecretStr
    """The key that every client of this side sends."""
    service_key: SecretStr
    """The key that may manage users: our own user is made and deleted with it."""

    @field_validator("url")
    @classmethod
    def _is_web_address(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("begins with http:// or https://")
        return url.rstrip("/")


class AuthConfig(Section):
    """Both sides' auth: Supabase's, or another server with its API."""

    source: AuthSideConfig
    target: AuthSideConfig
    jwt_secret: SecretStr | None = None
    """The secret that signs access tokens on both sides (HS256). With it, readiness is known
    without making a user on the target."""
    signing_key: Path | None = None
    """A file with the target's private signing key as a JWK, to be imported into the source's
    project where that does not trust it."""
    probe_domain: str = Field(default="failback.invalid", pattern=r"^[A-Za-z0-9.-]+$")
    """The domain of our own users' addresses. No mail is sent there."""
    reuse_interval_seconds: float = Field(default=10.0, ge=0, le=600)
    """How long after its rotation the servers let a refresh token be shown again."""
    import_wait_seconds: float = Field(default=15.0, gt=0)
    """How long an imported key may take until the source trusts it."""
    timeout_seconds: float = Field(default=10.0, gt=0)
    """For one request, from connecting to the last byte."""

    @model_validator(mode="after")
    def _two_sides(self) -> Self:
        if self.source.url == self.target.url:
            raise ValueError("source.url and target.url are the same: name each side's own address")
        return self

    def side(self, side: Side) -> AuthSideConfig:
        """One side's auth."""
        return self.source if side is Side.SOURCE else self.target
