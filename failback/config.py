"""The estate as its operator describes it: one `failback.yaml`, checked before anything runs."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from failback.config_keys import unknown_keys
from failback.decision.queries import MetricQuery, default_queries
from failback.errors import ConfigurationError
from failback.models.common import Side, StepName
from failback.models.decision import Rule
from failback.models.recovery import RecoveryPolicy
from failback.models.rollback import ApprovalPolicy, RollbackPlan
from failback.models.sync import SyncPolicy
from failback.models.traffic import ServiceRoute
from failback.sections.archive import ArchiveConfig
from failback.sections.audit import AuditConfig
from failback.sections.auth import AuthConfig
from failback.sections.backup import BackupConfig
from failback.sections.channels import ChannelConfig, MessagesConfig
from failback.sections.checks import BusinessRule, ChecksConfig
from failback.sections.configuration import ConfigurationSwitchConfig
from failback.sections.decision import DecisionConfig
from failback.sections.functions import FunctionsConfig
from failback.sections.gateway import GatewayConfig
from failback.sections.investigation import InvestigationConfig
from failback.sections.metrics import MetricsConfig
from failback.sections.pauses import PausesConfig
from failback.sections.people import ApprovalsConfig, LevelApprovalsConfig
from failback.sections.post_mortems import PostMortemsConfig
from failback.sections.proof import CertificatesConfig, TelemetryConfig
from failback.sections.recovery import RecoveryConfig
from failback.sections.routing import DnsConfig, TrafficConfig
from failback.sections.servers import DatabaseConfig, DataConfig, TemporalConfig
from failback.sections.storage import StorageConfig
from failback.sections.supabase import SupabaseConfig
from failback.sections.validation import ValidationConfig

DEFAULT_PATH = Path("failback.yaml")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


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
    messages: MessagesConfig = MessagesConfig()
    post_mortems: PostMortemsConfig = PostMortemsConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    certificates: CertificatesConfig | None = None
    audit: AuditConfig = AuditConfig()
    backup: BackupConfig | None = None
    archive: ArchiveConfig | None = None
    gateway: GatewayConfig | None = None
    metrics: MetricsConfig | None = None
    decision: DecisionConfig = DecisionConfig()
    investigation: InvestigationConfig = InvestigationConfig()
    storage: StorageConfig | None = None
    configuration: ConfigurationSwitchConfig | None = None
    pauses: PausesConfig | None = None
    validation: ValidationConfig = ValidationConfig()
    supabase: SupabaseConfig | None = None
    functions: FunctionsConfig | None = None
    auth: AuthConfig | None = None
    recovery: RecoveryConfig | None = None

    @field_validator("sync")
    @classmethod
    def _unarmed_is_a_choice(cls, sync: SyncPolicy) -> SyncPolicy:
        if sync.unarmed not in ("proceed", "refuse"):
            raise ValueError(f"unarmed is {sync.unarmed!r}: proceed or refuse")
        return sync

    @field_validator("notifications")
    @classmethod
    def _persons_are_known(
        cls, notifications: dict[str, ChannelConfig], info: ValidationInfo
    ) -> dict[str, ChannelConfig]:
        people = info.data["approvals"].people if "approvals" in info.data else {}
        for name, channel in notifications.items():
            if channel.person and people and channel.person not in people:
                known = ", ".join(sorted(people))
                raise ValueError(
                    f"{name}: nobody known is called {channel.person!r}; known: {known}"
                )
        return notifications

    @field_validator("functions")
    @classmethod
    def _supabase_is_known(
        cls, functions: FunctionsConfig | None, info: ValidationInfo
    ) -> FunctionsConfig | None:
        hosted = functions is not None and functions.source.platform == "supabase"
        if hosted and info.data.get("supabase") is None:
            raise ValueError("source.platform supabase needs the section supabase")
        return functions

    @field_validator("decision")
    @classmethod
    def _rules_are_known(cls, decision: DecisionConfig, info: ValidationInfo) -> DecisionConfig:
        if "metrics" in info.data:
            decision.check(_queries(info.data["metrics"]))
        return decision

    @property
    def queries(self) -> dict[str, MetricQuery]:
        """How each metric is asked for: the defaults, and what the configuration says."""
        return _queries(self.metrics)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The decision matrix of this estate."""
        return self.decision.matrix(self.queries)

    def database(self, side: Side) -> DatabaseConfig:
        """The database of one side."""
        return self.source if side is Side.SOURCE else self.target

    def plan(self, level: int) -> RollbackPlan:
        """What a rollback of this level will do, without a secret in it."""
        return RollbackPlan(
            estate=self.estate,
            routes=tuple(
                ServiceRoute(service=service, backends=backends)
                for service, backends in self.traffic.routes.items()
            ),
            records=self.dns.records if self.dns else (),
            resolver_wait_seconds=self.dns.wait_seconds if self.dns else 0.0,
            budgets={step.value: seconds for step, seconds in self.budgets.items()},
            approval=self._approval(level),
            escalation=self._approval(1) if level != 1 else None,
            sync=self.sync,
            hold_seconds=self.traffic.hold_seconds,
            stakeholders=tuple(self.notifications),
            recovery=self.recovery.policy() if self.recovery else RecoveryPolicy(),
        )

    def _approval(self, level: int) -> ApprovalPolicy:
        """Who must say yes before this level may act."""
        policy = self.approvals.levels.get(level, LevelApprovalsConfig())
        quorum = policy.quorum
        if quorum is None:
            quorum = max(int(level != 1), sum(policy.quorum_by_role.values()))
        return ApprovalPolicy(
            quorum=quorum,
            roles=policy.roles,
            people=self.approvals.people,
            quorum_by_role=policy.quorum_by_role,
            expires_seconds=policy.expires_seconds,
            on_expiry=policy.on_expiry,
            require_plan_hash=self.approvals.require_plan_hash,
        )


def _queries(metrics: MetricsConfig | None) -> dict[str, MetricQuery]:
    if metrics is None:
        return dict(default_queries())
    own = {
        name: MetricQuery(promql=query.promql, freshness=query.freshness)
        for name, query in metrics.queries.items()
    }
    return {**default_queries(metrics.selector), **own}


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
