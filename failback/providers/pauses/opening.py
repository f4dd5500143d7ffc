"""The pauses of an estate, from its configuration."""

from failback.config import Estate
from failback.errors import ConfigurationError
from failback.models.common import Side
from failback.providers.audit import open_audit_log
from failback.providers.pauses.activity import Activity
from failback.providers.pauses.command import CommandActivity
from failback.providers.pauses.hook import HookActivity
from failback.providers.pauses.memory import PauseMemory
from failback.providers.pauses.pausing import EstatePauses
from failback.providers.pauses.pg_cron import CronActivity
from failback.reverse_sync.connections import Servers
from failback.sections.pauses import ActivityConfig, PauseCronConfig


def open_pauses(estate: Estate) -> EstatePauses | None:
    """The pauses of an estate; None where it has no section `pauses`.

    Nothing is connected to yet.
    """
    return open_every_pause(estate) if estate.pauses is not None else None


def open_every_pause(estate: Estate) -> EstatePauses:
    """The same also without a section: what was paused before it was taken out is on record."""
    configured = estate.pauses.activities if estate.pauses is not None else {}
    return EstatePauses(
        {name: _activity(estate, name, one) for name, one in configured.items()},
        PauseMemory(open_audit_log(estate.estate, estate.audit)),
    )


def _activity(estate: Estate, name: str, config: ActivityConfig) -> Activity:
    if config.hook is not None:
        return HookActivity(estate.estate, name, config.hook)
    if config.pg_cron is not None:
        return CronActivity(config.pg_cron, _servers(estate, config.pg_cron))
    if config.command is not None:
        return CommandActivity(estate.estate, name, config.command)
    raise ConfigurationError(f"The activity {name} is paused in no way.", "Say how it is paused.")


def _servers(estate: Estate, config: PauseCronConfig) -> Servers:
    dsns = {side: estate.database(side).dsn for side in Side}
    if config.dsn is not None:
        dsns[config.side] = config.dsn
    return Servers(
        source_dsn=dsns[Side.SOURCE].get_secret_value(),
        target_dsn=dsns[Side.TARGET].get_secret_value(),
        connect_timeout_seconds=estate.database(config.side).connect_timeout_seconds,
    )
