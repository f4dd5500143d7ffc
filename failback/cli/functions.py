"""`failback functions …`: whether both sides have the same functions, and whether they answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from failback.cli.exits import of_outcome
from failback.cli.output import redacted
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.cli.writing import MARKS, STYLES, amount, heading
from failback.errors import ConfigurationError
from failback.models.common import Side
from failback.models.system import Item, ItemsReport
from failback.providers.functions import open_functions
from failback.system_ports import FunctionFleet

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
_Found = TypeVar("_Found")


@app.command()
def status(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Per function: on both sides, the same code and the same secrets. Changes nothing."""
    session = opened(ctx, config, as_json)
    found = _asked(session, lambda fleet: fleet.status())
    session.output.show(found, lambda console: _write(console, "Functions of both sides", found))
    return of_outcome(found.outcome)


@app.command()
def probe(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Functions; else all of them.")
    ] = None,
    side: Annotated[Side, typer.Option(help="Which side is asked.")] = Side.SOURCE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Ask functions on one side, past the balancer. Exits 1 where one does not answer as it has to.

    What a probe does is up to the function: each gets the request that the configuration says.
    """
    session = opened(ctx, config, as_json)

    async def ask(fleet: FunctionFleet) -> ItemsReport:
        wanted = names or await fleet.names()
        return ItemsReport(items=tuple([await fleet.probe(name, side) for name in wanted]))

    found = _asked(session, ask)
    title = f"Functions asked on the {side.value}"
    session.output.show(found, lambda console: _write(console, title, found))
    return of_outcome(found.outcome)


def _asked(session: Session, ask: Callable[[FunctionFleet], Awaitable[_Found]]) -> _Found:
    async def act() -> _Found:
        fleet = open_functions(session.estate)
        if fleet is None:
            raise ConfigurationError(
                f"{session.config} names no functions.",
                "Add a section `functions` (docs/functions.md).",
            )
        try:
            return await ask(fleet)
        finally:
            await fleet.aclose()

    return asyncio.run(act())


def _write(console: Console, title: str, found: ItemsReport) -> None:
    heading(console, title, found.outcome)
    if found.note:
        console.print(Text(f"  {found.note}", style="yellow"))
    for item in found.items:
        _write_item(console, item)


def _write_item(console: Console, item: Item) -> None:
    mark = Text(f"  {MARKS[item.outcome]} ", style=STYLES[item.outcome])
    took = f"  {amount(item.milliseconds, 'ms')}" if item.milliseconds else ""
    console.print(mark + Text(f"{item.name}{took}"))
    for part in item.detail.split("; "):
        if part:
            console.print(Text(f"      {redacted(part)}", style="dim"))
