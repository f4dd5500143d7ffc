"""`failback pauses …`: what is paused, and who decides that it goes on or stays so."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from failback.cli.exits import of_outcome
from failback.cli.items import write_items
from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, me, opened
from failback.models.common import Outcome
from failback.models.system import ItemsReport
from failback.providers.pauses import EstatePauses, open_every_pause

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]…", help="Activities; else all of them.")
]
RollbackOption = Annotated[
    str, typer.Option("--rollback", metavar="ID", help="Only what this rollback paused.")
]
AsOption = Annotated[str, typer.Option("--as", metavar="NAME", help="Who decides; else you.")]


@app.command("list")
def list_paused(
    ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False
) -> int:
    """What is paused now, by which rollback and since when, and whether it stands still.

    Exits 0 where nothing is wrong, also where nothing is paused; 1 where something runs although
    it is paused.
    """
    session = opened(ctx, config, as_json)
    found = _asked(session, lambda pauses: pauses.paused())
    _show(session, "Paused", found)
    return of_outcome(found.outcome) if found.items else ExitCode.DONE


@app.command()
def resume(
    ctx: typer.Context,
    names: NamesArgument = None,
    rollback: RollbackOption = "",
    as_name: AsOption = "",
    by_hand: Annotated[
        bool,
        typer.Option("--by-hand", help="They were resumed by hand: only put it on record."),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let paused activities go on, each as it was before."""
    session = opened(ctx, config, as_json)
    who, chosen = as_name or me(), tuple(names or ())

    async def act(pauses: EstatePauses) -> ItemsReport:
        if by_hand:
            return await pauses.settle(who, rollback, chosen)
        return await pauses.resume_as(who, rollback, chosen)

    found = _asked(session, act)
    _show(session, "Resumed", found)
    return of_outcome(found.outcome) if found.items else ExitCode.DONE


@app.command()
def keep(
    ctx: typer.Context,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why; kept.")],
    names: NamesArgument = None,
    rollback: RollbackOption = "",
    as_name: AsOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Leave paused activities paused, by decision: `failback check` asks no more."""
    session = opened(ctx, config, as_json)
    who, chosen = as_name or me(), tuple(names or ())
    found = _asked(session, lambda pauses: pauses.keep(who, because, rollback, chosen))
    _show(session, "Kept", found)
    return of_outcome(found.outcome) if found.items else ExitCode.DONE


def _show(session: Session, title: str, found: ItemsReport) -> None:
    session.output.show(
        found, lambda console: write_items(console, title, found, Outcome.SUCCEEDED)
    )


def _asked(session: Session, ask: Callable[[EstatePauses], Awaitable[ItemsReport]]) -> ItemsReport:
    async def act() -> ItemsReport:
        pauses = open_every_pause(session.estate)
        try:
            return await ask(pauses)
        finally:
            await pauses.aclose()

    return asyncio.run(act())
