"""`failback investigation …`: what a person looks into while the migration is paused."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.cli.writing import fact, heading
from failback.models.responses import CloseInvestigation, Investigation

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def root() -> None:
    """What a person looks into while the migration is paused."""


@app.command()
def close(
    ctx: typer.Context,
    as_name: Annotated[str, typer.Option("--as", metavar="NAME", help="Who looked into it.")],
    role: Annotated[str, typer.Option("--role", help="The role in which they did.")] = "",
    comment: Annotated[str, typer.Option("--comment", help="What it was; kept.")] = "",
    resume: Annotated[bool, typer.Option(help="Whether paused migration activities go on.")] = True,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Close the investigation that is open; see `failback alerts status`."""
    session = opened(ctx, config, as_json)
    closing = CloseInvestigation(who=as_name, role=role, comment=comment, resume=resume)
    closed = asyncio.run(_close(session, closing))

    def write(console: Console) -> None:
        heading(console, f"Investigation {closed.investigation_id} is closed by {closed.closed_by}")
        fact(console, "reason", closed.reason)
        if closed.resumed:
            fact(console, "migration", f"told to go on: {closed.resumed}")

    session.output.show(closed, write)
    return ExitCode.DONE


async def _close(session: Session, closing: CloseInvestigation) -> Investigation:
    return await (await session.responses()).close_investigation(closing)
