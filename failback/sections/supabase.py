"""The source's Supabase project, as its management API is asked."""

from pydantic import Field, SecretStr, field_validator

from failback.sections.base import Section


class SupabaseConfig(Section):
    """The project that we return to."""

    ref: str = Field(pattern=r"^[a-z]{20}$")
    """The project's reference: the first label of its host, twenty lower-case letters."""
    access_token: SecretStr
    """Personal access token, or one of an OAuth application, that may manage the project."""
    api_url: str = "https://api.supabase.com"
    timeout_seconds: float = Field(default=15.0, gt=0)
    """For one request, from connecting to the last byte."""
    tries: int = Field(default=4, ge=1, le=10)
    """How often a request is sent that may be sent again."""
    patience_seconds: float = Field(default=60.0, gt=0)
    """After so long a request is given up, whatever a Retry-After header asks for."""

    @field_validator("api_url")
    @classmethod
    def _is_web_address(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("begins with http:// or https://")
        return url.rstrip("/")
