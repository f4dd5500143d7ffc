"""`failback auth …`: whether sessions of the target go on when the source takes over."""

import asyncio

import typer

from failback.cli.exits import of_outcome
from failback.cli.items import write_items
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.errors import ConfigurationError
from failback.models.system import ItemsReport
from failback.providers.auth import open_auth

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Keep the commands' names, also while there is one."""


@app.command()
def status(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Whether the source takes the target's tokens, and how many sessions would end.

    Users that differ are named by their ids. Writes nothing on the source. Without auth.jwt_secret,
    a user of our own signs in on the target and is removed.
    """
    session = opened(ctx, config, as_json)
    found = asyncio.run(_status(session))
    session.output.show(found, lambda console: write_items(console, "Sessions", found))
    return of_outcome(found.outcome)


async def _status(session: Session) -> ItemsReport:
    bridge = open_auth(session.estate)
    if bridge is None:
        raise ConfigurationError(
            f"{session.config} does not say where auth is.",
            "Add a section `auth` (docs/sessions.md).",
        )
    try:
        return await bridge.status()
    finally:
        await bridge.aclose()
