"""`failback rollback …`: start one, and look at those there are."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from failback.cli import decisions, watch
from failback.cli.exits import of_result, of_status
from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, OptionalId, Session, me, opened
from failback.cli.stages import StepNews, outcome_of, write_result, write_status
from failback.cli.writing import MARKS, STYLES, heading
from failback.errors import ConfigurationError, RollbackNotFoundError
from failback.models.common import Level, Payload
from failback.models.rollback import RollbackResult, RollbackStatus

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
decisions.register(app)
app.command("watch")(watch.watch)

POLL_SECONDS = 0.25


class DryRun(Payload):
    """What a rollback would do, as sentences; nothing was changed."""

    level: Level
    sentences: tuple[str, ...]


class Rollbacks(Payload):
    """Rollbacks of the estate, newest first."""

    rollbacks: tuple[RollbackStatus, ...]


@app.command()
def start(
    ctx: typer.Context,
    level: Annotated[int, typer.Option(help="1 traffic, 2 data sync, 3 full system, 4 recovery.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in every record.")],
    as_name: Annotated[
        str | None, typer.Option("--as", help="Who asks; else the operating system's user.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    accept_deletes: Annotated[
        str,
        typer.Option(
            "--accept-deletes",
            metavar="NAME",
            help="Who wants objects deleted even where they are most of a bucket (level 3).",
        ),
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Start a rollback.

    Without --wait it exits 0 as soon as the rollback runs. With --wait it exits 0 on success,
    1 on failure and 3 where the outcome is not known.
    """
    from failback.temporal.rollbacks import level_of  # noqa: PLC0415 - not for --help

    asked = level_of(level)
    session = opened(ctx, config, as_json)
    who = as_name or me()
    if dry_run:
        return asyncio.run(_dry_run(session, asked, reason, who))
    try:
        starting = _Starting(asked, reason, who, accept_deletes)
        return asyncio.run(_start(session, starting, wait=wait))
    except KeyboardInterrupt:
        session.output.note("Interrupted; a rollback that has started goes on without us.")
        session.output.note("Follow it: failback rollback watch")
        return ExitCode.WAITING


@app.command()
def status(
    ctx: typer.Context,
    rollback_id: OptionalId = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Where a rollback stands. Exits 0 ended well, 1 ended otherwise, 3 going on or waiting."""
    session = opened(ctx, config, as_json)
    found = asyncio.run(read_status(session, rollback_id))
    session.output.show(found, lambda console: write_status(console, found))
    return of_status(found)


@app.command("list")
def list_rollbacks(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """The estate's rollbacks, newest first."""
    session = opened(ctx, config, as_json)
    found = asyncio.run(_list(session, limit))
    session.output.show(found, lambda console: _write_list(console, found))
    return ExitCode.DONE


@app.command()
def report(
    ctx: typer.Context,
    rollback_id: OptionalId = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the report as one HTML file there.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """What a rollback did and proved, once it has ended."""
    session = opened(ctx, config, as_json)
    found = asyncio.run(read_status(session, rollback_id))
    if found.result is None:
        session.output.show(found, lambda console: write_status(console, found))
        session.output.note(f"Rollback {found.rollback_id} has no report before it has ended.")
        return of_status(found)
    result = found.result
    if html is not None:
        _write_html(result, html)
        session.output.note(f"Report written to {html}.")
    session.output.show(result, lambda console: write_status(console, found))
    return of_result(result)


async def read_status(session: Session, rollback_id: str | None) -> RollbackStatus:
    """The status of one rollback, or of the newest."""
    return await (await session.rollbacks()).status(rollback_id)


async def _list(session: Session, limit: int) -> Rollbacks:
    found = await (await session.rollbacks()).list(limit)
    return Rollbacks(rollbacks=tuple(found))


async def _dry_run(session: Session, level: Level, reason: str, who: str) -> int:
    plan = DryRun(level=level, sentences=await session.rehearsed(level, reason, who))

    def write(console: Console) -> None:
        heading(console, f"Level {level.value} would do this; nothing was changed:")
        for sentence in plan.sentences:
            console.print(f"  {sentence}", markup=False)

    session.output.show(plan, write)
    return ExitCode.DONE


class _Starting(NamedTuple):
    """What is asked for."""

    level: Level
    reason: str
    who: str
    deletes_accepted_by: str


async def _start(session: Session, asked: _Starting, *, wait: bool) -> int:
    rollbacks = await session.rollbacks()
    started = await rollbacks.start(
        asked.level, asked.reason, asked.who, deletes_accepted_by=asked.deletes_accepted_by
    )
    if not wait:
        session.output.show(started, lambda console: _write_started(console, started))
        return ExitCode.DONE
    session.output.note(f"Rollback {started.rollback_id} of level {asked.level.value} has started.")
    ending = asyncio.create_task(rollbacks.result(started.rollback_id))
    news = StepNews(session.output.progress())
    try:
        while not ending.done():
            with suppress(RollbackNotFoundError):
                news.tell(await rollbacks.status(started.rollback_id))
            await asyncio.wait({ending}, timeout=POLL_SECONDS)
    finally:
        if not ending.done():
            ending.cancel()
    result = await ending
    news.tell_result(result)
    session.output.show(result, lambda console: write_result(console, result))
    return of_result(result)


def _write_started(console: Console, started: RollbackStatus) -> None:
    heading(console, f"Rollback {started.rollback_id} of level {started.level.value} has started")
    console.print(f"  watch    failback rollback watch {started.rollback_id}", markup=False)
    if started.approvals_needed > started.approvals_given:
        console.print(
            f"  waiting for {started.approvals_needed} approvals:\n"
            f"  approve  failback rollback approve {started.rollback_id} --as NAME --role ROLE",
            markup=False,
        )


def _write_list(console: Console, found: Rollbacks) -> None:
    if not found.rollbacks:
        heading(console, "This estate has had no rollback")
        return
    table = Table(box=None, padding=(0, 2))
    for name in ("", "id", "level", "phase", "started", "reason"):
        table.add_column(name, no_wrap=name == "id")
    for one in found.rollbacks:
        outcome = outcome_of(one)
        table.add_row(
            f"[{STYLES[outcome]}]{MARKS[outcome]}[/]",
            one.rollback_id,
            str(one.level.value),
            one.phase.value.replace("_", " "),
            f"{one.started_at:%F %T}",
            Text(one.reason),
        )
    console.print(table)


def _write_html(result: RollbackResult, path: Path) -> None:
    from failback.reports.html import render  # noqa: PLC0415 - jinja is not for --help

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(result), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"The report cannot be written to {path}: {error.strerror}.",
            "Name a file in a folder that you may write to.",
        ) from error
