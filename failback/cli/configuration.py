"""`failback configuration …`: values that differ between the sides."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from failback.cli.exits import of_outcome
from failback.cli.items import write_items
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.errors import ConfigurationError
from failback.models.common import Side
from failback.models.system import ItemsReport
from failback.providers.configuration import open_configuration
from failback.system_ports import ConfigurationSwitch

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def status(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Whose value each key has: the source's, the target's, or neither. Changes nothing."""
    session = opened(ctx, config, as_json)
    found = _asked(session, lambda switch: switch.status())
    session.output.show(found, lambda console: write_items(console, "Configuration", found))
    return of_outcome(found.outcome)


@app.command("switch")
def switch_to(
    ctx: typer.Context,
    side: Annotated[Side, typer.Argument(help="Whose values every key is given.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Give every key one side's value, and read it back. May be repeated; the other side undoes it.

    A key that has neither side's value is left alone, and named.
    """
    session = opened(ctx, config, as_json)
    found = _asked(session, lambda switch: switch.switch(side))
    title = f"Configuration switched to the {side.value}"
    session.output.show(found, lambda console: write_items(console, title, found))
    return of_outcome(found.outcome)


def _asked(
    session: Session, ask: Callable[[ConfigurationSwitch], Awaitable[ItemsReport]]
) -> ItemsReport:
    async def act() -> ItemsReport:
        switch = open_configuration(session.estate)
        if switch is None:
            raise ConfigurationError(
                f"{session.config} names no values to switch.",
                "Add a section `configuration` (docs/configuration-switch.md).",
            )
        try:
            return await ask(switch)
        finally:
            await switch.aclose()

    return asyncio.run(act())
