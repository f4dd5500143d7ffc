"""How the running service and its data are looked at."""

from pydantic import Field, SecretStr

from failback.sections.base import Section


class JourneyConfig(Section):
    """The critical user journey, through the customers' door."""

    email_domain: str = "failback.invalid"
    document_path: str = "/rest/v1/documents?select=id&limit=1"
    ai_query_path: str = "/functions/v1/ai-query"


class ChecksConfig(Section):
    """How the running service is looked at."""

    api_url: str
    """Base URL of the product as customers reach it."""
    database_dsn: SecretStr | None = None
    """The product's database as the product reaches it (through the balancer)."""
    anon_key: SecretStr | None = None
    service_key: SecretStr | None = None
    """Needed to clean the journey's test user up."""
    auth_path: str = "/auth/v1/health"
    health_path: str = "/rest/v1/"
    response_time_ms: float = 2000.0
    journey: JourneyConfig | None = JourneyConfig()
    probe_interval_seconds: float = Field(default=0.1, gt=0)
    timeout_seconds: float = Field(default=3.0, gt=0)


class BusinessRule(Section):
    """SQL that must return no row on the source."""

    name: str
    sql: str
