"""The estate as its operator describes it: one `failback.yaml`, checked before anything runs."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from failback.config_keys import unknown_keys
from failback.errors import ConfigurationError
from failback.models.common import Service, Side, StepName
from failback.models.rollback import ApprovalPolicy, RollbackPlan
from failback.models.sync import SyncPolicy
from failback.models.traffic import BackendRoute, DnsRecord, ServiceRoute

DEFAULT_PATH = Path("failback.yaml")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Section(BaseModel):
    """A part of the configuration. Unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TemporalConfig(Section):
    """How to reach Temporal."""

    address: str = "127.0.0.1:7233"
    namespace: str = "default"
    task_queue: str = "failback"
    api_key: SecretStr | None = None
    tls: bool = False
    client_cert: Path | None = None
    client_key: Path | None = None
    server_ca: Path | None = None
    ui_url: str = ""


class DatabaseConfig(Section):
    """One side's database."""

    dsn: SecretStr
    """libpq connection string of failback's own role; a direct connection, not a pooler."""
    writer_roles: tuple[str, ...] = ()
    """Roles that the product writes as; the fence is proved as each of them where allowed."""
    connect_timeout_seconds: float = 5.0


class TablesConfig(Section):
    """Patterns `schema.table`, with `*` and `?`; exclude wins over include."""

    include: tuple[str, ...] = ("public.*",)
    exclude: tuple[str, ...] = ()


class DataConfig(Section):
    """What the reverse sync carries, and how much of the servers it may use."""

    tables: TablesConfig = TablesConfig()
    batch_changes: int = Field(default=200_000, ge=100)
    """Captured changes per batch; a single larger transaction still goes as one."""
    parallel: int = Field(default=4, ge=1, le=64)
    interval_seconds: float = Field(default=1.0, gt=0)
    max_retained_wal_mb: int = Field(default=10_240, ge=64)
    on_wal_limit: Literal["warn", "drop_slot"] = "warn"
    """What happens there: a warning, or the slot is given up so that the disk is not filled."""
    sequence_headroom: int = Field(default=1000, ge=0)


class HaproxyConfig(Section):
    """HAProxy, by its runtime API."""

    provider: Literal["haproxy"] = "haproxy"
    runtime_api: str
    """`unix:///path/to.sock` or `tcp://host:port`."""
    doors_map: str = ""
    """The map file that the holding Lua action reads; empty where requests cannot be held."""


class TrafficConfig(Section):
    """Traffic routes by service."""

    balancer: HaproxyConfig
    routes: dict[Service, tuple[BackendRoute, ...]]
    hold_seconds: float = Field(default=10.0, gt=0, le=60)

    @field_validator("routes")
    @classmethod
    def _routes_have_backends(
        cls, routes: dict[Service, tuple[BackendRoute, ...]]
    ) -> dict[Service, tuple[BackendRoute, ...]]:
        for service, backends in routes.items():
            if not backends:
                raise ValueError(f"service {service.value} has no backend")
        return routes


class TsigConfig(Section):
    """The key that signs updates."""

    name: str
    secret: SecretStr
    algorithm: str = "hmac-sha256"


class DnsConfig(Section):
    """Dynamic DNS (RFC 2136) and the records that move."""

    provider: Literal["rfc2136"] = "rfc2136"
    server: str
    """`host:port` of the primary name server."""
    zone: str
    tsig: TsigConfig | None = None
    records: tuple[DnsRecord, ...]
    resolvers: tuple[str, ...] = ()
    """`host:port` each; empty asks the primary alone."""
    wait_seconds: float = Field(default=30.0, gt=0)


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


class LevelApprovalsConfig(Section):
    """Who must say yes before one level may act."""

    quorum: int | None = Field(default=None, ge=0)
    """How many different people must approve; 0 acts at once. Left out: 0 for level 1, else 1."""
    roles: tuple[str, ...] = ()
    """Roles that may approve; empty accepts every known role."""
    expires_seconds: float = Field(default=3600.0, gt=0)


class ApprovalsConfig(Section):
    """Who may decide, by level."""

    people: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    levels: dict[int, LevelApprovalsConfig] = Field(default_factory=dict)

    @field_validator("levels")
    @classmethod
    def _levels_exist(
        cls, levels: dict[int, LevelApprovalsConfig]
    ) -> dict[int, LevelApprovalsConfig]:
        for level in levels:
            if level not in (1, 2, 3, 4):
                raise ValueError(f"level {level} does not exist: levels are 1, 2, 3 and 4")
        return levels


class CertificatesConfig(Section):
    """Signed proof that both sides held the same rows."""

    signing_key: Path
    """Private Ed25519 key, made by `failback certificate keygen`; for the worker alone."""
    directory: Path
    """Where certificates are written."""


class ChannelConfig(Section):
    """Where stakeholders are told."""

    kind: Literal["log", "webhook"] = "log"
    url: SecretStr | None = None


class TelemetryConfig(Section):
    """Traces and metrics of failback itself."""

    otlp_endpoint: str = ""
    """Base URL of an OTLP/HTTP collector; empty keeps traces off."""
    metrics_address: str = "127.0.0.1:0"
    """Where the worker serves Prometheus metrics; port 0 takes a free one."""


class Estate(BaseSettings):
    """Everything failback looks after, as `failback.yaml` describes it."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="FAILBACK_UNUSED_")

    estate: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    temporal: TemporalConfig = TemporalConfig()
    source: DatabaseConfig
    target: DatabaseConfig
    data: DataConfig = DataConfig()
    traffic: TrafficConfig
    dns: DnsConfig | None = None
    checks: ChecksConfig | None = None
    business_rules: tuple[BusinessRule, ...] = ()
    approvals: ApprovalsConfig = ApprovalsConfig()
    budgets: dict[StepName, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    sync: SyncPolicy = SyncPolicy()
    notifications: dict[str, ChannelConfig] = Field(
        default_factory=lambda: {"operators": ChannelConfig()}
    )
    telemetry: TelemetryConfig = TelemetryConfig()
    certificates: CertificatesConfig | None = None

    @field_validator("sync")
    @classmethod
    def _unarmed_is_a_choice(cls, sync: SyncPolicy) -> SyncPolicy:
        if sync.unarmed not in ("proceed", "refuse"):
            raise ValueError(f"unarmed is {sync.unarmed!r}: proceed or refuse")
        return sync

    def database(self, side: Side) -> DatabaseConfig:
        """The database of one side."""
        return self.source if side is Side.SOURCE else self.target

    def plan(self, level: int) -> RollbackPlan:
        """What a rollback of this level will do, without a secret in it."""
        policy = self.approvals.levels.get(level, LevelApprovalsConfig())
        quorum = policy.quorum if policy.quorum is not None else int(level != 1)
        return RollbackPlan(
            estate=self.estate,
            routes=tuple(
                ServiceRoute(service=service, backends=backends)
                for service, backends in self.traffic.routes.items()
            ),
            records=self.dns.records if self.dns else (),
            resolver_wait_seconds=self.dns.wait_seconds if self.dns else 0.0,
            budgets={step.value: seconds for step, seconds in self.budgets.items()},
            approval=ApprovalPolicy(
                quorum=quorum,
                roles=policy.roles,
                people=self.approvals.people,
                expires_seconds=policy.expires_seconds,
            ),
            sync=self.sync,
            hold_seconds=self.traffic.hold_seconds,
            stakeholders=tuple(self.notifications),
        )


def load(path: Path) -> Estate:
    """Read and check a configuration file.

    Raises:
        ConfigurationError: the file is missing, is no YAML, names an unset environment
            variable, or has a key or value that does not fit; the text names the key and,
            for an unknown key, the nearest known one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"There is no configuration file {path}.",
            "Name one with --config, or write failback.yaml here (docs/configuration.md).",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path} does not describe an estate: its top is not a mapping.")
    document = _with_environment(document, path)
    problems = unknown_keys(document, Estate)
    try:
        estate = Estate(**{str(key): value for key, value in document.items()})
    except ValidationError as error:
        raise _does_not_fit(path, [*problems, *_explained(error)]) from error
    if problems:
        # Payloads among the sections ignore what they do not know; the file may not.
        raise _does_not_fit(path, problems)
    return estate


def _does_not_fit(path: Path, problems: list[str]) -> ConfigurationError:
    return ConfigurationError(
        f"{path} does not fit: {'; '.join(problems)}.", "See docs/configuration.md for every key."
    )


def _with_environment(value: Any, path: Path) -> Any:
    """Replace `${NAME}` in every string; an unset name is an error, never an empty string."""
    if isinstance(value, dict):
        return {key: _with_environment(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_environment(item, path) for item in value]
    if not isinstance(value, str):
        return value

    def substituted(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise ConfigurationError(
                f"{path} refers to ${{{name}}}, which is not set.", f"Export {name} first."
            )
        return os.environ[name]

    return _REFERENCE.sub(substituted, value)


def _explained(error: ValidationError) -> list[str]:
    """One clause per problem, but for unknown keys: those are named with their nearest."""
    clauses = []
    for problem in error.errors(include_url=False, include_input=False):
        location = problem["loc"]
        unknown_name = problem["type"] == "enum" and location[-1] == "[key]"
        if problem["type"] != "extra_forbidden" and not unknown_name:
            clauses.append(f"{'.'.join(str(part) for part in location)}: {problem['msg']}")
    return clauses
