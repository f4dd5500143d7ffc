"""`failback rollback watch`: the steps live against their budgets, until the rollback ends."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from failback.cli.exits import ENDED, of_status
from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, OptionalId, Session, opened
from failback.cli.stages import StepNews, outcome_of, steps_table, write_status
from failback.cli.writing import MARKS, STYLES
from failback.models.rollback import Phase, RollbackStatus

if TYPE_CHECKING:
    from failback.temporal.rollbacks import Rollbacks


def watch(
    ctx: typer.Context,
    rollback_id: OptionalId = None,
    interval: Annotated[
        float, typer.Option(min=0.05, max=60, help="Seconds between two looks.")
    ] = 0.5,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Follow a rollback to its end; exits as `status` does.

    On a terminal a table is kept up to date; elsewhere each change is one line.
    """
    session = opened(ctx, config, as_json)
    try:
        found = asyncio.run(_watched(session, rollback_id, interval))
    except KeyboardInterrupt:
        session.output.note("Not watching any more; the rollback goes on.")
        return ExitCode.WAITING
    session.output.show(found, lambda console: write_status(console, found))
    return of_status(found)


async def _watched(session: Session, rollback_id: str | None, interval: float) -> RollbackStatus:
    rollbacks = await session.rollbacks()
    status = await rollbacks.status(rollback_id)
    console = session.output.progress()
    if console.is_terminal:
        return await _live(rollbacks, status, console, interval)
    news = StepNews(console)
    news.tell(status)
    while status.phase not in ENDED:
        await asyncio.sleep(interval)
        status = await rollbacks.status(status.rollback_id)
        news.tell(status)
    return status


async def _live(
    rollbacks: "Rollbacks", status: RollbackStatus, console: Console, interval: float
) -> RollbackStatus:
    with Live(picture(status), console=console, transient=True, auto_refresh=False) as live:
        while status.phase not in ENDED:
            await asyncio.sleep(interval)
            status = await rollbacks.status(status.rollback_id)
            live.update(picture(status), refresh=True)
    return status


def picture(status: RollbackStatus) -> Group:
    """One frame: where the rollback stands, its steps, and what it waits for."""
    outcome = outcome_of(status)
    phase = status.phase.value.replace("_", " ")
    head = Text(f"{MARKS[outcome]} ", style=STYLES[outcome]) + Text(
        f"{status.rollback_id}  level {status.level.value}  {phase}", style="bold"
    )
    lines: list[Text] = [head, Text(f"  {status.reason} ({status.requested_by})", style="dim")]
    if status.phase is Phase.WAITING_FOR_APPROVAL:
        given = f"{status.approvals_given} of {status.approvals_needed} approvals"
        how = f"failback rollback approve {status.rollback_id} --as NAME --role ROLE"
        lines.append(Text(f"  {given}:  {how}", style="yellow"))
    if status.detail:
        lines.append(Text(f"  {status.detail}"))
    return Group(*lines, steps_table(status.steps)) if status.steps else Group(*lines)
