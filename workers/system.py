"""The real ports of levels 3 and 4, opened for a worker and closed after it."""

import contextlib
from collections.abc import AsyncIterator

from failback.change_archive.opening import open_archive
from failback.config import Estate
from failback.ports import ReverseSyncEngine
from failback.providers.auth.opening import open_auth
from failback.providers.compose import Ports
from failback.providers.configuration.opening import open_configuration
from failback.providers.dry_run import (
    DryRunArchive,
    DryRunAuth,
    DryRunConfiguration,
    DryRunFunctions,
    DryRunJournal,
    DryRunPauses,
    DryRunRecovery,
    DryRunStorage,
    DryRunValidation,
)
from failback.providers.functions.opening import open_functions
from failback.providers.pauses.opening import open_pauses
from failback.providers.recovery.opening import open_recovery
from failback.providers.storage.opening import open_storage
from failback.providers.validation.opening import open_validation
from workers.composition import SystemPorts


@contextlib.asynccontextmanager
async def system_ports(
    estate: Estate, ports: Ports, engine: ReverseSyncEngine
) -> AsyncIterator[SystemPorts]:
    """What an estate has besides rows and traffic. Nothing is connected to before it is used.

    Args:
        estate: the configuration.
        ports: of the running service, whose checks belong to the whole product's.
        engine: the reverse sync, whose parked conflicts count against the data's integrity.

    Raises:
        ConfigurationError: sections do not fit together.
    """
    async with contextlib.AsyncExitStack() as opened:
        pauses, functions, auth = open_pauses(estate), open_functions(estate), open_auth(estate)
        configuration = open_configuration(estate)
        validation = open_validation(
            estate, checks=ports.checks, functions=functions, auth=auth, engine=engine
        )
        for port in (pauses, functions, auth, configuration, validation):
            if port is not None:
                opened.push_async_callback(port.aclose)
        storage = open_storage(estate.estate, estate.storage) if estate.storage else None
        archive = open_archive(estate)
        recovery = open_recovery(estate)
        for blocking in (storage, archive, recovery):
            if blocking is not None:
                opened.callback(blocking.close)
        yield SystemPorts(
            pauses=pauses,
            functions=functions,
            auth=auth,
            storage=storage,
            configuration=configuration,
            validation=validation,
            archive=archive,
            recovery=recovery,
        )


def told(real: SystemPorts, journal: DryRunJournal) -> SystemPorts:
    """The same ports with every write told to the journal instead of done."""
    return SystemPorts(
        pauses=DryRunPauses(real.pauses, journal) if real.pauses else None,
        functions=DryRunFunctions(real.functions, journal) if real.functions else None,
        auth=DryRunAuth(real.auth, journal) if real.auth else None,
        storage=DryRunStorage(real.storage, journal) if real.storage else None,
        configuration=(
            DryRunConfiguration(real.configuration, journal) if real.configuration else None
        ),
        validation=DryRunValidation(real.validation, journal) if real.validation else None,
        recovery=DryRunRecovery(real.recovery, journal) if real.recovery else None,
        archive=DryRunArchive(real.archive, journal) if real.archive else None,
    )
