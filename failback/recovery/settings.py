"""What a recovery has to know of an estate, and the ports that it works with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from psycopg.conninfo import conninfo_to_dict

from failback.models.common import Service
from failback.models.recovery import RecoveryService
from failback.models.traffic import BackendRoute
from failback.ports import LoadBalancer, ServiceChecks
from failback.recovery.vault import BackupVault, Probe
from failback.recovery_ports import ChangeArchive
from failback.reverse_sync.rules import Rule
from failback.storage_ports import ObjectEndpoint, StorageSyncEngine
from failback.system_ports import ConfigurationSwitch, FunctionFleet


@dataclass(frozen=True)
class RecoverySettings:
    """An estate as level 4 sees it. Holds secrets."""

    estate: str
    source_dsn: str
    target_dsn: str
    standby_dsn: str
    """Any database of the standby, by a role that may make databases."""
    standby_host: str
    """As the balancer reaches it."""
    standby_port: int
    routes: Mapping[Service, tuple[BackendRoute, ...]]
    doors: tuple[BackendRoute, ...] = ()
    """Backends whose server of the source leads to its database."""
    logins: tuple[str, ...] = ()
    read_only_roles: tuple[str, ...] = ()
    required_schemas: tuple[str, ...] = ()
    services: Mapping[RecoveryService, tuple[Service, ...]] = field(default_factory=dict)
    rules: Sequence[Rule] = ()
    buckets: tuple[tuple[str, str], ...] = ()
    """Pairs of the source's and the target's bucket."""
    amcheck: bool = True
    amcheck_seconds: float = 60.0
    connect_timeout_seconds: float = 5.0
    sequence_headroom: int = 1000

    @property
    def database(self) -> str:
        """The name of the source's database, which is what DSNs ask for."""
        parameters = conninfo_to_dict(self.source_dsn)
        return str(parameters.get("dbname") or parameters.get("user") or "postgres")

    @property
    def source_role(self) -> str:
        """Failback's own role on the source."""
        return str(conninfo_to_dict(self.source_dsn).get("user") or "")


@dataclass(frozen=True)
class Hands:
    """The ports of a recovery. They are its own: `close` gives them back."""

    vault: BackupVault
    balancer: LoadBalancer
    archive: ChangeArchive | None = None
    checks: ServiceChecks | None = None
    functions: FunctionFleet | None = None
    storage: StorageSyncEngine | None = None
    source_objects: ObjectEndpoint | None = None
    target_objects: ObjectEndpoint | None = None
    auth: Probe | None = None
    configuration: ConfigurationSwitch | None = None
