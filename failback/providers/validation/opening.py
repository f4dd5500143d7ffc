"""The validation of an estate, from its configuration."""

import os
from pathlib import Path

from failback.config import Estate
from failback.models.common import Side
from failback.ports import ReverseSyncEngine, ServiceChecks
from failback.providers.storage import S3Endpoint
from failback.providers.validation.baseline import BaselineFile
from failback.providers.validation.integrity import IntegrityLook
from failback.providers.validation.performance import Performance
from failback.providers.validation.storage_access import StorageLook
from failback.providers.validation.validating import EstateValidation
from failback.reverse_sync.connections import Servers
from failback.storage_ports import ObjectEndpoint
from failback.system_ports import AuthBridge, FunctionFleet

_CONNECTIONS = 2


def open_validation(
    estate: Estate,
    *,
    checks: ServiceChecks | None = None,
    functions: FunctionFleet | None = None,
    auth: AuthBridge | None = None,
    engine: ReverseSyncEngine | None = None,
    endpoint: ObjectEndpoint | None = None,
) -> EstateValidation:
    """The validation of an estate. Nothing is connected to yet.

    Args:
        estate: whose.
        checks: the running service.
        functions: the product's functions.
        auth: whether sessions go on.
        engine: whose parked conflicts count.
        endpoint: the source's objects, closed with the validation; left out, one is opened where
            the estate has a section `storage`.
    """
    config = estate.validation
    servers = Servers(
        source_dsn=estate.source.dsn.get_secret_value(),
        target_dsn=estate.target.dsn.get_secret_value(),
        connect_timeout_seconds=estate.source.connect_timeout_seconds,
    )
    performance = None
    if config.performance is not None:
        performance = Performance(
            config.performance, servers, _headers(estate), config.timeout_seconds
        )
    return EstateValidation(
        config,
        IntegrityLook(
            servers, estate.data.tables, estate.business_rules, config.integrity_timeout_seconds
        ),
        BaselineFile(config.baseline or default_baseline(estate.estate), estate.estate),
        performance=performance,
        storage=_storage(estate, endpoint),
        checks=checks,
        functions=functions,
        auth=auth,
        engine=engine,
    )


def default_baseline(estate: str) -> Path:
    """Where the baseline lies when nobody has said so: with the state of the user's programs."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return folder / "failback" / estate / "performance.json"


def _storage(estate: Estate, endpoint: ObjectEndpoint | None) -> StorageLook | None:
    config = estate.storage
    if config is None:
        return None
    return StorageLook(
        endpoint or S3Endpoint(Side.SOURCE, config.source, _CONNECTIONS),
        [(bucket.on(Side.SOURCE), bucket.prefix) for bucket in config.buckets],
    )


def _headers(estate: Estate) -> dict[str, str]:
    """As a customer who is not signed in sends them."""
    key = estate.checks.anon_key if estate.checks is not None else None
    if key is None:
        return {}
    value = key.get_secret_value()
    return {"apikey": value, "Authorization": f"Bearer {value}"}
