"""Questions about the rest of a system: its configuration, what is paused, and its baseline."""

import asyncio

from failback.cli.readiness.findings import Finding, Part
from failback.config import Estate
from failback.errors import PerformanceBaselineError
from failback.models.common import Outcome
from failback.providers.audit.opening import default_file
from failback.providers.configuration import open_configuration
from failback.providers.pauses import open_every_pause
from failback.providers.validation import default_baseline
from failback.providers.validation.baseline import RECORD, BaselineFile

_FINE = {Outcome.SUCCEEDED: True, Outcome.FAILED: False, Outcome.INCONCLUSIVE: None}


async def examine_configuration(estate: Estate) -> list[Finding]:
    """Whether every key has one side's value, so that it can be switched."""
    part = Part("configuration")
    switch = open_configuration(estate)
    if switch is None:
        return []
    try:
        report = await switch.status()
    finally:
        await switch.aclose()
    for item in report.items:
        part.say(f"{item.name} can be switched", _FINE[item.outcome], item.detail)
    return part.findings


async def examine_pauses(estate: Estate) -> list[Finding]:
    """Whether activities can be paused, and which still are."""
    part = Part("pauses")
    known = (
        estate.audit.dsn is not None or (estate.audit.file or default_file(estate.estate)).exists()
    )
    if estate.pauses is None and not known:
        return []
    pauses = open_every_pause(estate)
    try:
        ready = await pauses.ready()
        held = await pauses.paused() if known else None
        undecided = {hold.activity for hold in await pauses.undecided()} if known else set()
    finally:
        await pauses.aclose()
    for item in ready.items:
        part.say(f"{item.name} can be paused", _FINE[item.outcome], item.detail)
    for item in held.items if held is not None else ():
        fine = _FINE[item.outcome]
        if item.name in undecided and fine:
            fine = None
        part.say(
            f"{item.name} is paused by decision",
            fine,
            item.detail,
            f"failback pauses resume {item.name}, or failback pauses keep {item.name} --because …",
        )
    return part.findings


async def examine_validation(estate: Estate) -> list[Finding]:
    """Whether performance can be compared with anything."""
    part = Part("validation")
    config = estate.validation
    if config.performance is None:
        return []
    question = "the source's performance has a baseline"
    file = BaselineFile(config.baseline or default_baseline(estate.estate), estate.estate)
    try:
        baseline = await asyncio.to_thread(file.read)
    except PerformanceBaselineError as error:
        part.refuse(question, error)
        return part.findings
    part.say(
        question,
        None if baseline is None else True,
        f"recorded {baseline.recorded_at:%F %T} UTC" if baseline else f"none in {file.path}",
        f"While the source is well: {RECORD}.",
    )
    return part.findings
