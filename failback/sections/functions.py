"""The product's functions: where each side runs them, and what each of them has to answer."""

from typing import Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from failback.models.common import Side
from failback.sections.base import Section

_NAME = r"^[A-Za-z0-9_-]+$"


class FunctionsSideConfig(Section):
    """Where one side runs its functions."""

    platform: Literal["supabase", "runtime"]
    """`supabase`: edge functions of the project in the section `supabase`. `runtime`: our own."""
    url: str
    """What stands before a function's name when it is called on this side alone, not through the
    balancer; Supabase: `https://<ref>.supabase.co/functions/v1`."""
    api_key: SecretStr | None = None
    """Sent with each probe as `apikey` and as bearer token."""
    admin_url: str = ""
    """`runtime`: where its functions are listed, enabled and disabled."""
    admin_token: SecretStr | None = None
    """`runtime`: the bearer token of its admin API."""

    @field_validator("url", "admin_url")
    @classmethod
    def _is_web_address(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("begins with http:// or https://")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _runtime_has_an_admin_api(self) -> Self:
        if self.platform == "runtime" and not (self.admin_url and self.admin_token):
            raise ValueError("a runtime has both: admin_url and admin_token")
        return self


class FunctionProbeConfig(Section):
    """How one function is asked, and what it has to answer."""

    method: Literal["GET", "POST", "PUT", "DELETE"] = "POST"
    path: str = ""
    """After the function's name, such as `/health?deep=1`."""
    body: dict[str, Any] | None = None
    """Sent as JSON."""
    status: int = Field(default=200, ge=100, le=599)
    contains: str = ""
    """Text that has to be in the answer."""

    @field_validator("path")
    @classmethod
    def _begins_with_a_slash(cls, path: str) -> str:
        if path and not path.startswith(("/", "?")):
            raise ValueError("begins with / or ?")
        return path


class FunctionPinsConfig(Section):
    """Digests of code that belongs together where the platforms write digests differently."""

    source: str = Field(min_length=1)
    target: str = Field(min_length=1)


class FunctionConfig(Section):
    """One function."""

    name: str = Field(pattern=_NAME)
    probe: FunctionProbeConfig = FunctionProbeConfig()
    budget_seconds: float = Field(default=5.0, gt=0)
    """It has to have answered after so long."""
    secrets: tuple[str, ...] = ()
    """Names of secrets that it needs; both sides must have them, with the same values."""
    code: Literal["same", "may_differ"] = "same"
    """Whether other code on the other side is a problem."""
    pins: FunctionPinsConfig | None = None
    """Which code of both sides is the same release; `failback functions status` tells digests."""


class FunctionsConfig(Section):
    """Every function that has to be brought back."""

    source: FunctionsSideConfig
    target: FunctionsSideConfig
    deployed: tuple[FunctionConfig, ...] = Field(min_length=1)
    """In the order in which they go back."""
    timeout_seconds: float = Field(default=10.0, gt=0)
    """For one request to a runtime's admin API."""

    @field_validator("deployed")
    @classmethod
    def _each_once(cls, deployed: tuple[FunctionConfig, ...]) -> tuple[FunctionConfig, ...]:
        names = [function.name for function in deployed]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"function {min(twice)} is listed twice")
        return deployed

    @field_validator("target")
    @classmethod
    def _target_can_disable(cls, target: FunctionsSideConfig) -> FunctionsSideConfig:
        if target.platform == "supabase":
            # It can only delete a function, and what is deleted cannot be put back.
            raise ValueError(
                "Supabase has no switch that disables a function: the target is a runtime"
            )
        return target

    def side(self, side: Side) -> FunctionsSideConfig:
        """One side's platform."""
        return self.source if side is Side.SOURCE else self.target

    def function(self, name: str) -> FunctionConfig | None:
        """One function; None where it is not listed."""
        return next((each for each in self.deployed if each.name == name), None)
