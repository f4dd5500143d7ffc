"""Opens the recovery that a configuration describes."""

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from failback.change_archive.opening import open_archive
from failback.config import Estate
from failback.errors import ConfigurationError
from failback.models.common import Side
from failback.models.recovery import RecoveryService
from failback.models.traffic import BackendRoute
from failback.providers.backup.vault import open_vault
from failback.providers.checks import HttpServiceChecks
from failback.providers.configuration.opening import open_configuration
from failback.providers.functions.opening import open_functions
from failback.providers.load_balancer import HaproxyLoadBalancer
from failback.providers.recovery.probing import HttpProbe
from failback.providers.storage import S3Endpoint
from failback.providers.storage.opening import open_storage
from failback.recovery import EstateRecovery, Hands, RecoverySettings
from failback.sections.recovery import RecoveryConfig

_POSTGRES_PORT = 5432
_CONNECTIONS = 4


def open_recovery(estate: Estate) -> EstateRecovery | None:
    """The recovery of an estate, None where it has none. The caller closes it.

    It has ports of its own, because it asks them in an event loop of its own. Nothing is
    connected to yet.

    Raises:
        ConfigurationError: it has no section `backup`, or an address cannot be used.
        CertificateError: a key cannot be read.
    """
    config = estate.recovery
    if config is None:
        return None
    storage = estate.storage
    endpoints = {
        side: S3Endpoint(
            side, storage.source if side is Side.SOURCE else storage.target, _CONNECTIONS
        )
        for side in Side
        if storage is not None
    }
    return EstateRecovery(
        recovery_settings(estate, config),
        Hands(
            vault=open_vault(estate),
            balancer=HaproxyLoadBalancer(estate.traffic.balancer),
            archive=open_archive(estate),
            checks=HttpServiceChecks(estate.checks) if estate.checks is not None else None,
            functions=open_functions(estate),
            storage=open_storage(estate.estate, storage) if storage is not None else None,
            source_objects=endpoints.get(Side.SOURCE),
            target_objects=endpoints.get(Side.TARGET),
            auth=HttpProbe("auth endpoint", config.auth_health_url)
            if config.auth_health_url
            else None,
            configuration=open_configuration(estate),
        ),
    )


def recovery_settings(estate: Estate, config: RecoveryConfig) -> RecoverySettings:
    """What a recovery has to know of an estate.

    Raises:
        ConfigurationError: `recovery.standby_dsn` is no connection string.
    """
    host, port = _address(config)
    return RecoverySettings(
        estate=estate.estate,
        source_dsn=estate.source.dsn.get_secret_value(),
        target_dsn=estate.target.dsn.get_secret_value(),
        standby_dsn=config.standby_dsn.get_secret_value(),
        standby_host=host,
        standby_port=port,
        routes=estate.traffic.routes,
        doors=tuple(
            BackendRoute(backend=backend, source=config.door_server) for backend in config.doors
        ),
        logins=config.logins or estate.source.writer_roles,
        read_only_roles=config.read_only_roles,
        required_schemas=config.required_schemas,
        services={service: config.stands_for(service) for service in RecoveryService},
        rules=estate.business_rules,
        buckets=tuple(
            (bucket.on(Side.SOURCE), bucket.on(Side.TARGET)) for bucket in estate.storage.buckets
        )
        if estate.storage is not None
        else (),
        amcheck=config.amcheck,
        amcheck_seconds=config.amcheck_seconds,
        connect_timeout_seconds=estate.source.connect_timeout_seconds,
        sequence_headroom=estate.data.sequence_headroom,
    )


def _address(config: RecoveryConfig) -> tuple[str, int]:
    """Where the balancer finds the standby."""
    if config.standby_address:
        host, _, port = config.standby_address.rpartition(":")
        return host, int(port)
    try:
        parameters = conninfo_to_dict(config.standby_dsn.get_secret_value())
    except ProgrammingError as error:
        # The parser quotes what it could not read, which may be the password.
        raise ConfigurationError(
            "recovery.standby_dsn is no libpq connection string.",
            "Write it as postgresql://user:password@host:port/database.",
        ) from error
    host = str(parameters.get("hostaddr") or parameters.get("host") or "")
    if not host or host.startswith("/"):
        raise ConfigurationError(
            "recovery.standby_dsn names no host that the balancer could reach.",
            "Name host and port there, or in recovery.standby_address.",
        )
    return host, int(parameters.get("port") or _POSTGRES_PORT)
