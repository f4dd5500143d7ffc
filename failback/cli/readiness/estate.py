"""Asks every part of an estate at once and gathers the findings in a fixed order."""

import asyncio
from collections.abc import Awaitable

from failback.cli.readiness.archive import examine_archive
from failback.cli.readiness.auth import examine_auth
from failback.cli.readiness.backups import examine_backups
from failback.cli.readiness.capture import examine_capture
from failback.cli.readiness.databases import examine_database
from failback.cli.readiness.findings import CheckReport, Finding, Part
from failback.cli.readiness.functions import examine_functions
from failback.cli.readiness.metrics import examine_metrics
from failback.cli.readiness.names import examine_names
from failback.cli.readiness.people import examine_people
from failback.cli.readiness.storage import examine_storage
from failback.cli.readiness.system import (
    examine_configuration,
    examine_pauses,
    examine_validation,
)
from failback.cli.readiness.temporal import examine_temporal
from failback.cli.readiness.traffic import examine_balancer, examine_service
from failback.config import Estate
from failback.errors import FailbackError
from failback.models.common import Side
from failback.providers.compose import compose

PART_SECONDS = 20.0
"""A part that takes longer is reported as unknown."""


async def examine(estate: Estate) -> CheckReport:
    """Look at every part of an estate. Nothing is changed anywhere.

    Where the secret that signs tokens is not known, a user of our own signs in on the target, and
    is removed.
    """
    ports = compose(estate)
    try:
        parts = await asyncio.gather(
            _bounded("temporal", examine_temporal(estate)),
            *(
                _bounded(side.value, asyncio.to_thread(examine_database, estate, side))
                for side in Side
            ),
            _bounded("capture", asyncio.to_thread(examine_capture, estate)),
            _bounded("balancer", examine_balancer(estate, ports.balancer)),
            _bounded("dns", examine_names(estate, ports.dns)),
            _bounded("service", examine_service(estate, ports.checks)),
            _bounded("metrics", examine_metrics(estate, ports.metrics)),
            _bounded("auth", examine_auth(estate)),
            _bounded("functions", examine_functions(estate)),
            _bounded("storage", asyncio.to_thread(examine_storage, estate)),
            _bounded("backup", asyncio.to_thread(examine_backups, estate)),
            _bounded("archive", asyncio.to_thread(examine_archive, estate)),
            _bounded("configuration", examine_configuration(estate)),
            _bounded("pauses", examine_pauses(estate)),
            _bounded("validation", examine_validation(estate)),
        )
    finally:
        await ports.aclose()
    findings = (*(finding for part in parts for finding in part), *examine_people(estate))
    return CheckReport(estate=estate.estate, findings=findings)


async def _bounded(name: str, look: Awaitable[list[Finding]]) -> list[Finding]:
    """One part's findings within its time; what goes wrong in it is a finding too."""
    part = Part(name)
    try:
        return await asyncio.wait_for(look, PART_SECONDS)
    except TimeoutError:
        part.say("answers in time", None, f"no answer within {PART_SECONDS:g} s")
    except FailbackError as error:
        part.refuse("can be looked at", error)
    return part.findings
