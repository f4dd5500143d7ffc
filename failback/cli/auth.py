"""`failback auth …`: whether sessions of the target go on when the source takes over."""

import asyncio
from collections.abc import Awaitable, Callable

import typer

from failback.cli.exits import of_outcome
from failback.cli.items import write_items
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.errors import ConfigurationError
from failback.models.system import ItemsReport
from failback.providers.auth import open_auth
from failback.system_ports import AuthBridge

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def status(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Whether the source takes the target's tokens, and how many sessions would end.

    Users that differ are named by their ids. Writes nothing on the source. Without auth.jwt_secret,
    a user of our own signs in on the target and is removed.
    """
    session = opened(ctx, config, as_json)
    found = asyncio.run(_asked(session, lambda bridge: bridge.status()))
    session.output.show(found, lambda console: write_items(console, "Sessions", found))
    return of_outcome(found.outcome)


@app.command()
def prepare(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Make the source trust the key that the target signs with, where auth.signing_key names it.

    Level 3 does it by itself; done long before, nobody has to wait for it then. Changes nothing
    where the source takes the target's tokens already. Signs nobody out, and can be repeated.
    """
    session = opened(ctx, config, as_json)
    found = asyncio.run(_asked(session, lambda bridge: bridge.prepare()))
    session.output.show(found, lambda console: write_items(console, "Sessions", found))
    return of_outcome(found.outcome)


async def _asked(
    session: Session, ask: Callable[[AuthBridge], Awaitable[ItemsReport]]
) -> ItemsReport:
    bridge = open_auth(session.estate)
    if bridge is None:
        raise ConfigurationError(
            f"{session.config} does not say where auth is.",
            "Add a section `auth` (docs/sessions.md).",
        )
    try:
        return await ask(bridge)
    finally:
        await bridge.aclose()
