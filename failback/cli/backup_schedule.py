"""`failback backup schedule …`: backups that are taken and proved without anybody asking."""

import asyncio
import re
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.cli.writing import fact, heading
from failback.errors import ConfigurationError
from failback.models.backup_schedule import BackupSchedule, BackupScheduleStatus
from failback.models.common import Outcome

if TYPE_CHECKING:
    from failback.temporal.backup_schedules import BackupSchedules

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)

_EVERY = re.compile(r"([1-9]\d{0,5})(m|h|d)")
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}


@app.callback()
def schedule(
    ctx: typer.Context,
    every: Annotated[
        str, typer.Option("--every", metavar="TIME", help="Such as 30m, 6h or 1d.")
    ] = "",
    cron: Annotated[
        str, typer.Option("--cron", metavar="'M H D M W'", help="Five fields, in UTC.")
    ] = "",
    take: Annotated[
        bool, typer.Option("--take", help="Take a backup each time; else only prove.")
    ] = False,
    keep: Annotated[
        int, typer.Option("--keep", min=0, help="Prune afterwards to so many; 0 never prunes.")
    ] = 0,
    keep_proven: Annotated[
        int, typer.Option("--keep-proven", min=1, help="Newest proven ones that stay besides.")
    ] = 1,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Have a worker take and prove backups by itself: one schedule an estate."""
    if ctx.invoked_subcommand is not None:
        return ExitCode.DONE
    wanted = BackupSchedule(
        every_seconds=_seconds(every), cron=cron, take=take, keep=keep, keep_proven=keep_proven
    )
    if bool(every) == bool(cron):
        raise ConfigurationError(
            "A schedule has one rhythm.", "Give --every or --cron; `schedule show` shows what is."
        )
    session = opened(ctx, config, as_json)
    if session.estate.backup is not None and session.estate.backup.provider == "supabase_pitr":
        raise ConfigurationError(
            "Backups that Supabase takes cannot be proved, so that a schedule has nothing to do.",
            "Set backup.provider to dump or pgbackrest (docs/backups.md).",
        )
    # A worker would find out with the first run, when nobody looks.
    session.backups().close()

    async def work() -> BackupScheduleStatus:
        return await (await _schedules(session)).set(wanted)

    return _shown(session, asyncio.run(work()))


@app.command()
def show(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """The schedule and its newest run. Exits 1 where it is paused, or the run failed."""
    session = opened(ctx, config, as_json)

    async def work() -> BackupScheduleStatus:
        return await (await _schedules(session)).show()

    return _shown(session, asyncio.run(work()))


@app.command()
def remove(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Take the schedule away. Backups stay; a run at work goes on to its end."""
    session = opened(ctx, config, as_json)

    async def work() -> None:
        await (await _schedules(session)).remove()

    asyncio.run(work())
    session.output.note(f"No schedule proves the backups of {session.estate.estate} any more.")
    return ExitCode.DONE


async def _schedules(session: Session) -> "BackupSchedules":
    estate = session.estate
    from failback.temporal.backup_schedules import BackupSchedules  # noqa: PLC0415 - takes 0.5 s
    from failback.temporal.client import connect  # noqa: PLC0415 - as above

    return BackupSchedules(await connect(estate), estate)


def _seconds(every: str) -> int:
    if not every:
        return 0
    found = _EVERY.fullmatch(every)
    if found is None:
        raise ConfigurationError(f"{every!r} is no time between two runs.", "Write 30m, 6h or 1d.")
    return int(found.group(1)) * _SECONDS[found.group(2)]


def _shown(session: Session, found: BackupScheduleStatus) -> int:
    session.output.show(found, lambda console: _write(console, found))
    return ExitCode.DONE if found.healthy else ExitCode.FAILED


def _write(console: Console, found: BackupScheduleStatus) -> None:
    wanted, last = found.schedule, found.last
    outcome = Outcome.SUCCEEDED if found.healthy else Outcome.FAILED
    state = "paused" if found.paused else wanted.when
    heading(console, f"Backups of {found.id.partition('/')[2]}: {state}", outcome)
    fact(console, "each run", "takes one and proves it" if wanted.take else "proves the newest")
    if wanted.keep:
        fact(console, "then keeps", f"{wanted.keep}, and {wanted.keep_proven} proven")
    if found.paused:
        fact(console, "paused", found.note or "somebody paused it in Temporal")
        fact(console, "cure", "unpause it in Temporal, or set the schedule again")
    if last is None:
        fact(console, "last run", "none yet")
    else:
        fact(console, "last run", f"{last.started_at:%F %T} UTC: {last.state} {last.problem}")
    if found.next_at and not found.paused:
        fact(console, "next", ", ".join(f"{at:%F %T} UTC" for at in found.next_at))
    if found.skipped:
        fact(console, "skipped", f"{found.skipped} times, because the run before was still at work")
    if found.missed:
        fact(console, "missed", f"{found.missed} times, while Temporal was away")
