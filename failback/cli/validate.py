"""`failback validate`: seven looks at the whole product, and how fast the source was."""

import asyncio
from contextlib import AsyncExitStack, closing

from failback.cli.exits import of_outcome
from failback.cli.items import write_items
from failback.cli.session import Session
from failback.models.system import ItemsReport
from failback.providers.auth import open_auth
from failback.providers.compose import compose
from failback.providers.functions import open_functions
from failback.providers.validation import open_validation


def validate_product(session: Session, *, record: bool) -> int:
    """Run the checks, or record the baseline, and print what was found."""
    found = asyncio.run(_found(session, record))
    title = "Baseline of the source" if record else "The whole product"
    session.output.show(found, lambda console: write_items(console, title, found))
    return of_outcome(found.outcome)


async def _found(session: Session, record: bool) -> ItemsReport:
    estate = session.estate
    async with AsyncExitStack() as stack:
        engine = stack.enter_context(closing(session.engine()))
        ports = compose(estate)
        stack.push_async_callback(ports.aclose)
        functions, auth = open_functions(estate), open_auth(estate)
        for port in (functions, auth):
            if port is not None:
                stack.push_async_callback(port.aclose)
        validation = open_validation(
            estate, checks=ports.checks, functions=functions, auth=auth, engine=engine
        )
        stack.push_async_callback(validation.aclose)
        return await (validation.record_baseline() if record else validation.validate())
