"""The auth bridge of an estate, from its configuration."""

from failback.config import Estate
from failback.models.common import Side
from failback.providers.auth.bridge import BridgeSettings, GoTrueBridge
from failback.providers.auth.directory import DatabaseDirectory
from failback.providers.auth.http import HttpAuthSide
from failback.providers.auth.importing import KeyImport
from failback.providers.auth.sealing import Secrets
from failback.providers.supabase import open_management
from failback.reverse_sync.connections import Servers
from failback.system_ports import AuthBridge


def open_auth(estate: Estate) -> AuthBridge | None:
    """The bridge of an estate; None where no section `auth` is there. Nothing is connected to yet.

    Raises:
        ConfigurationError: a key is to be imported, and the section `supabase` is missing.
    """
    config = estate.auth
    if config is None:
        return None
    importing = None
    if config.signing_key is not None:
        importing = KeyImport(
            open_management(estate), config.signing_key, config.import_wait_seconds
        )
    secret = config.jwt_secret
    return GoTrueBridge(
        {side: HttpAuthSide(side, config.side(side), config.timeout_seconds) for side in Side},
        DatabaseDirectory(
            Servers(
                source_dsn=estate.source.dsn.get_secret_value(),
                target_dsn=estate.target.dsn.get_secret_value(),
                connect_timeout_seconds=max(
                    estate.database(side).connect_timeout_seconds for side in Side
                ),
            )
        ),
        BridgeSettings(
            secrets=Secrets(
                estate.estate, config.target.service_key.get_secret_value(), config.probe_domain
            ),
            jwt_secret=secret.get_secret_value() if secret is not None else None,
            reuse_interval_seconds=config.reuse_interval_seconds,
        ),
        importing,
    )
