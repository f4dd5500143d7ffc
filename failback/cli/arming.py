"""`failback arm`, `reprotect` and `disarm`: make the way back, turn it round, take it away."""

import asyncio
import contextlib
from contextlib import closing
from typing import TYPE_CHECKING

from rich.console import Console

from failback.cli.archiving import ArchiveArmed, archive_disarming, arm_archive
from failback.cli.exits import ENDED, of_outcome
from failback.cli.output import ExitCode
from failback.cli.session import Session
from failback.cli.storage_arming import StorageArmed, arm_storage
from failback.cli.writing import fact, heading
from failback.errors import (
    ConfigurationError,
    RollbackNotFoundError,
    RollbackRunningError,
    UnreachableError,
)
from failback.models.common import Outcome, Side
from failback.models.sync import CAPTURE_WAYS, ArmReport, DisarmReport, ReprotectReport

if TYPE_CHECKING:
    from failback.temporal.rollbacks import Rollbacks


class ArmFacts(ArmReport):
    """What arming did, and whether the source is now kept up to date by itself."""

    continuous: bool = False
    continuous_detail: str = ""
    storage: StorageArmed | None = None
    """None where the estate names no buckets."""
    archive: ArchiveArmed | None = None
    """None where the estate has no change archive."""


class ReprotectFacts(ReprotectReport):
    """What was turned round, and whether the target is now kept up to date by itself."""

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
    running, detail = _started(session, wanted=continuous)
    facts = ArmFacts(
        **report.model_dump(),
        continuous=running,
        continuous_detail=detail,
        storage=arm_storage(session),
        archive=arm_archive(session, continuous=continuous),
    )
    session.output.show(facts, lambda console: _write_armed(console, facts))
    code = _code(session, facts.outcome, "arm", lacking=continuous and not running)
    if facts.storage is not None and not facts.storage.known:
        return code or ExitCode.WAITING
    if facts.archive is not None and not facts.archive.armed:
        return code or ExitCode.WAITING
    return code


def reprotect_estate(session: Session, accepted: str, *, plan: bool, continuous: bool) -> int:
    """Turn the stream round after a rollback, and keep it going."""
    session.estate  # noqa: B018 - a configuration error comes before any other
    if not plan:
        _refuse_while_running(session)
    with closing(session.engine()) as engine:
        report = engine.reprotect(accepted, plan=plan)
    running, detail = _started(session, wanted=continuous and not plan)
    facts = ReprotectFacts(**report.model_dump(), continuous=running, continuous_detail=detail)
    session.output.show(facts, lambda console: _write_reprotected(console, facts))
    lacking = continuous and not plan and not running
    return _code(session, facts.outcome, "reprotect", lacking=lacking)


def _started(session: Session, *, wanted: bool) -> tuple[bool, str]:
    """Whether the continuous sync runs now, and why not."""
    if not wanted:
        return False, "not asked for (--no-continuous)"
    try:
        asyncio.run(_start_reverse_sync(session))
    except UnreachableError as error:
        return False, f"{error.cause} {error.cure}".strip()
    return True, ""


def _code(session: Session, outcome: Outcome, verb: str, *, lacking: bool) -> int:
    code = of_outcome(outcome)
    if lacking:
        session.output.note(
            f"{verb.capitalize()}ed, but the continuous sync is not running; run `failback {verb}` "
            "again when Temporal answers."
        )
        return code or ExitCode.WAITING
    return code


def _refuse_while_running(session: Session) -> None:
    """A rollback that has not ended needs the stream as it is. Without Temporal none runs."""
    with contextlib.suppress(UnreachableError):
        asyncio.run(_none_running(session, "what would be turned round"))


def disarm_estate(
    session: Session, accepted: str, only: Side | None, *, without_temporal: bool
) -> int:
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
    with archive_disarming(session, only), closing(session.engine()) as engine:
        report = engine.disarm(accepted, only)
    facts = DisarmFacts(**report.model_dump(), continuous_stopped=stopped, continuous_detail=detail)
    session.output.show(facts, lambda console: _write_disarmed(console, facts))
    return ExitCode.DONE


async def _start_reverse_sync(session: Session) -> None:
    await (await session.rollbacks()).start_reverse_sync()


async def _stop_reverse_sync(session: Session) -> None:
    """Stop the continuous sync, unless a rollback needs what would be removed next."""
    rollbacks = await _none_running(session, "what disarming would remove")
    await rollbacks.stop_reverse_sync()
    if session.estate.archive is not None:
        # A round at work would make anew what is removed next.
        await rollbacks.stop_archiving()


async def _none_running(session: Session, needed: str) -> "Rollbacks":
    """The estate's rollbacks, of which none is running."""
    rollbacks = await session.rollbacks()
    try:
        newest = await rollbacks.status(None)
    except RollbackNotFoundError:
        newest = None
    if newest is not None and newest.phase not in ENDED:
        raise RollbackRunningError(
            f"Rollback {newest.rollback_id} is {newest.phase.value.replace('_', ' ')}, and needs "
            f"{needed}.",
            "Wait until it has ended (failback rollback watch), or cancel it first.",
        )
    return rollbacks


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
    if facts.storage is not None:
        fact(console, "objects", facts.storage.detail, "" if facts.storage.known else "yellow")
    if facts.archive is not None:
        fact(console, "archive", facts.archive.detail, "" if facts.archive.armed else "yellow")
    for problem in facts.problems:
        fact(console, "not armed", f"{problem.table} {problem.problem}. {problem.cure}.", "red")
    for warning in facts.warnings:
        fact(console, "warning", warning, "yellow")


def _write_reprotected(console: Console, facts: ReprotectFacts) -> None:
    if facts.planned:
        heading(console, "The source's changes can be carried to the target", facts.outcome)
    else:
        ready = facts.outcome is Outcome.SUCCEEDED
        said = "Reprotected" if ready else "Not reprotected"
        heading(console, f"{said}: the source's changes go to the target", facts.outcome)
    fact(console, "tables", f"{len(facts.tables)}: {', '.join(facts.tables)}")
    if facts.uncaptured:
        fact(console, "compared", f"not captured: {', '.join(facts.uncaptured)}", "yellow")
    if not facts.planned:
        fact(console, "slot", f"{facts.slot} at {facts.position}")
        fact(console, "sequences", f"{facts.sequences} of the target moved")
        if facts.canary is not None:
            fact(console, "canary", f"{facts.canary.outcome.value}. {facts.canary.detail}")
        kept = "the worker keeps the target up to date" if facts.continuous else "off"
        fact(console, "sync", f"{kept}: {facts.continuous_detail}".rstrip(": "))
    for problem in facts.problems:
        fact(console, "left out", f"{problem.table} {problem.problem}. {problem.cure}.", "red")
    for warning in facts.warnings:
        fact(console, "warning", warning, "yellow")


def _write_disarmed(console: Console, facts: DisarmFacts) -> None:
    heading(console, f"Disarmed: {len(facts.removed)} objects removed")
    for name in facts.removed:
        fact(console, "removed", name)
    if not facts.continuous_stopped:
        fact(console, "warning", f"The continuous sync was not stopped. {facts.continuous_detail}")
