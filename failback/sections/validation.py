"""How the whole product is looked at once it is back."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from failback.sections.base import Section


class StatementConfig(Section):
    """A query whose time is measured on the source's database."""

    name: str = Field(min_length=1)
    sql: str = Field(min_length=1)
    """One statement; it runs in a read-only transaction."""


class PerformanceConfig(Section):
    """What is measured on the source, and how far it may be from its baseline."""

    source_url: str = ""
    """Base URL of the source's product itself, past the balancer."""
    paths: tuple[str, ...] = ()
    """Requested by GET with `checks.anon_key`."""
    statements: tuple[StatementConfig, ...] = ()
    requests: int = Field(default=40, ge=5, le=10_000)
    """Of each path, and runs of each statement."""
    parallel: int = Field(default=4, ge=1, le=64)
    """Requests at a time; statements run one after another."""
    factor: float = Field(default=2.0, ge=1)
    slack_ms: float = Field(default=50.0, ge=0)
    """p50 and p95 may be `factor` times their baseline's, and so much more."""

    @model_validator(mode="after")
    def _something_is_measured(self) -> Self:
        if not self.paths and not self.statements:
            raise ValueError("nothing is measured: name paths or statements")
        wrong = [path for path in self.paths if not path.startswith("/")]
        if wrong:
            raise ValueError(f"the path {wrong[0]!r} does not begin with /")
        if self.paths and not self.source_url.startswith(("http://", "https://")):
            raise ValueError("paths need source_url, which begins with http:// or https://")
        names = [one.name for one in self.statements]
        if len(set(names)) != len(names):
            raise ValueError("two statements have the same name")
        return self


class ValidationConfig(Section):
    """Seven checks of the whole product."""

    performance: PerformanceConfig | None = None
    baseline: Path | None = None
    """The file that remembers how fast the source was; left out, below the user's state folder."""
    timeout_seconds: float = Field(default=20.0, gt=0)
    """For each check but data_integrity."""
    integrity_timeout_seconds: float = Field(default=45.0, gt=0)
    """For every business rule and foreign key together."""
