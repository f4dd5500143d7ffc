"""Questions about functions: whether each could go back, with its code and its secrets."""

from failback.cli.readiness.findings import Finding, Part
from failback.config import Estate
from failback.models.common import Outcome
from failback.providers.functions import open_functions
from failback.system_ports import FunctionFleet

_FINE = {Outcome.SUCCEEDED: True, Outcome.FAILED: False}


async def examine_functions(estate: Estate) -> list[Finding]:
    """Ask both sides' platforms. Nothing is asked where the estate has no functions."""
    fleet = open_functions(estate)
    if fleet is None:
        return []
    try:
        return await findings_of(fleet)
    finally:
        await fleet.aclose()


async def findings_of(fleet: FunctionFleet) -> list[Finding]:
    """A question for each function, and whether the target has others. None of them is called."""
    part = Part("functions")
    report = await fleet.status()
    for item in report.items:
        part.say(f"{item.name} could go back", _FINE.get(item.outcome), item.detail)
    part.say(
        "every function of the target is listed",
        None if report.note else True,
        report.note,
        "Add it under functions.deployed (docs/functions.md).",
    )
    return part.findings
