"""`failback arm` and `failback disarm`: make the way back, and take it away."""

import asyncio
from contextlib import closing

from rich.console import Console

from failback.cli.exits import ENDED, of_outcome
from failback.cli.output import ExitCode
from failback.cli.session import Session
from failback.cli.writing import fact, heading
from failback.errors import (
    ConfigurationError,
    RollbackNotFoundError,
    RollbackRunningError,
    UnreachableError,
)
from failback.models.common import Outcome
from failback.models.sync import CAPTURE_WAYS, ArmReport, DisarmReport


class ArmFacts(ArmReport):
    """What arming did, and whether the source is now kept up to date by itself."""

    continuous: bool = False
    continuous_detail: str = ""


class DisarmFacts(DisarmReport):
    """What disarming removed, and whether the continuous sync was stopped."""

    continuous_stopped: bool = False
    continuous_detail: str = ""


def arm_estate(session: Session, capture: str | None, *, continuous: bool) -> int:
    """Arm, and start the continuous sync where it was asked for."""
    session.estate  # noqa: B018 - a configuration error comes before any other
    if capture is not None and capture not in CAPTURE_WAYS:
        raise ConfigurationError(
            f"There is no way of capture named {capture}.", f"Write {', '.join(CAPTURE_WAYS)}."
        )
    with closing(session.engine()) as engine:
        report = engine.arm(capture)
    running, detail = False, "not asked for (--no-continuous)"
    if continuous:
        try:
            asyncio.run(_start_reverse_sync(session))
            running, detail = True, ""
        except UnreachableError as error:
            detail = f"{error.cause} {error.cure}".strip()
    facts = ArmFacts(**report.model_dump(), continuous=running, continuous_detail=detail)
    session.output.show(facts, lambda console: _write_armed(console, facts))
    code = of_outcome(facts.outcome)
    if continuous and not running:
        session.output.note(
            "Armed, but the continuous sync is not running; run `failback arm` again when "
            "Temporal answers."
        )
        return code or ExitCode.WAITING
    return code


def disarm_estate(session: Session, *, without_temporal: bool) -> int:
    """Stop the continuous sync and remove what arming made."""
    session.estate  # noqa: B018 - a configuration error comes before any other
    try:
        asyncio.run(_stop_reverse_sync(session))
        stopped, detail = True, ""
    except UnreachableError as error:
        if not without_temporal:
            raise UnreachableError(
                f"{error.cause} Whether a rollback is running is not known.",
                "Start Temporal, or say --without-temporal if you know that none is running.",
            ) from error
        stopped, detail = False, error.cause
    with closing(session.engine()) as engine:
        report = engine.disarm()
    facts = DisarmFacts(**report.model_dump(), continuous_stopped=stopped, continuous_detail=detail)
    session.output.show(facts, lambda console: _write_disarmed(console, facts))
    return ExitCode.DONE


async def _start_reverse_sync(session: Session) -> None:
    await (await session.rollbacks()).start_reverse_sync()


async def _stop_reverse_sync(session: Session) -> None:
    """Stop the continuous sync, unless a rollback needs what would be removed next."""
    rollbacks = await session.rollbacks()
    try:
        newest = await rollbacks.status(None)
    except RollbackNotFoundError:
        newest = None
    if newest is not None and newest.phase not in ENDED:
        raise RollbackRunningError(
            f"Rollback {newest.rollback_id} is {newest.phase.value.replace('_', ' ')}, and needs "
            "what disarming would remove.",
            "Wait until it has ended (failback rollback watch), or cancel it first.",
        )
    await rollbacks.stop_reverse_sync()


def _write_armed(console: Console, facts: ArmFacts) -> None:
    said = "Armed" if facts.outcome is Outcome.SUCCEEDED else "Not armed"
    heading(console, "Armed in part" if facts.problems else said, facts.outcome)
    fact(console, "capture", f"{facts.capture}{f' ({facts.why})' if facts.why else ''}")
    fact(console, "tables", f"{len(facts.tables)}: {', '.join(facts.tables)}")
    if facts.slot:
        fact(console, "slot", f"{facts.slot} at {facts.position}")
    if facts.canary is not None:
        said = f"{facts.canary.outcome.value} in {facts.canary.milliseconds:.0f} ms"
        fact(console, "canary", f"{said}. {facts.canary.detail}".rstrip(". "))
    kept = "the worker keeps the source up to date" if facts.continuous else "off"
    fact(console, "sync", f"{kept}: {facts.continuous_detail}".rstrip(": "))
    for problem in facts.problems:
        fact(console, "not armed", f"{problem.table} {problem.problem}. {problem.cure}.", "red")
    for warning in facts.warnings:
        fact(console, "warning", warning, "yellow")


def _write_disarmed(console: Console, facts: DisarmFacts) -> None:
    heading(console, f"Disarmed: {len(facts.removed)} objects removed")
    for name in facts.removed:
        fact(console, "removed", name)
    if not facts.continuous_stopped:
        fact(console, "warning", f"The continuous sync was not stopped. {facts.continuous_detail}")
