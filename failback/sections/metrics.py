"""Where metrics are read, and by which queries."""

from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from failback.sections.base import Section


class QueryConfig(Section):
    """How one metric is asked for."""

    promql: str = Field(min_length=1)
    """Must give one series; several are reported, never added up or picked from."""
    freshness: str = ""
    """PromQL of the newest raw sample's own time. Left out: asked of a plain selector itself."""


class MetricsConfig(Section):
    """A Prometheus, or what speaks its HTTP API."""

    prometheus_url: str
    """Base URL, without `/api/v1`."""
    bearer_token: SecretStr | None = None
    username: str = ""
    password: SecretStr | None = None
    timeout_seconds: float = Field(default=5.0, gt=0)
    """Of one query."""
    scrape_interval_seconds: float = Field(default=15.0, gt=0)
    """How often the product is scraped; what is older than 1.5 of it is not of now."""
    selector: str = ""
    """Label matchers in every default query, such as `job="shop"`."""
    queries: dict[str, QueryConfig] = Field(default_factory=dict)
    """By metric, instead of the default query or beside it."""

    @field_validator("prometheus_url")
    @classmethod
    def _url_is_http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("a Prometheus is reached by http:// or https://")
        return url.rstrip("/")

    @field_validator("selector")
    @classmethod
    def _selector_has_no_braces(cls, selector: str) -> str:
        return selector.strip().removeprefix("{").removesuffix("}").strip(" ,")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.bearer_token is not None and (self.username or self.password is not None):
            raise ValueError("name bearer_token, or username and password, not both")
        return self
