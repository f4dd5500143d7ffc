"""`failback post-mortem …`: what is to be learnt from a rollback, until somebody is done."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, OptionalId, Session, me, opened
from failback.cli.writing import fact, heading
from failback.models.common import Outcome, Payload
from failback.models.post_mortem import (
    PostMortemList,
    PostMortemStatus,
    WritePostMortemRequest,
    WrittenPostMortem,
)
from failback.models.rollback import Decision

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PATIENCE_SECONDS = 10.0
"""A person waits longer for evidence than an alert may."""

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Of a rollback.")]


class Document(Payload):
    """One post-mortem as it is now."""

    rollback_id: str
    markdown: str


@app.command("list")
def list_post_mortems(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Open and complete ones, the newest first. Exits 3 where one is overdue."""
    session = opened(ctx, config, as_json)
    found = asyncio.run(_list(session, limit))
    session.output.show(found, lambda console: _write_list(console, found))
    overdue = any(one.completion is None and one.in_time is False for one in found.post_mortems)
    return ExitCode.WAITING if overdue else ExitCode.DONE


@app.command()
def show(
    ctx: typer.Context,
    rollback_id: IdArgument,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """The document as it is on this machine, with what people wrote in it."""
    session = opened(ctx, config, as_json)
    from failback.providers.post_mortems import FilePostMortems  # noqa: PLC0415 - not for --help

    store = FilePostMortems(session.estate.estate, session.estate.post_mortems)
    found = Document(rollback_id=rollback_id, markdown=store.read(rollback_id))
    session.output.show(found, lambda console: console.print(Text(found.markdown)))
    return ExitCode.DONE


@app.command()
def write(
    ctx: typer.Context,
    rollback_id: OptionalId = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write the document on this machine with what is on record by now; people's text stays."""
    session = opened(ctx, config, as_json)
    written = asyncio.run(_write(session, rollback_id))

    def say(console: Console) -> None:
        heading(console, "The post-mortem was written")
        fact(console, "to write in", written.markdown)
        fact(console, "to look at", written.html)
        fact(console, "look into", f"{written.findings} things")
        fact(console, "due", f"{written.due_at:%F %T} UTC")

    session.output.show(written, say)
    return ExitCode.DONE


@app.command()
def complete(
    ctx: typer.Context,
    rollback_id: IdArgument,
    who: Annotated[
        str | None, typer.Option("--as", help="Who is done; else the user.", show_default=False)
    ] = None,
    role: Annotated[str, typer.Option("--role", help="In which role.")] = "",
    comment: Annotated[str, typer.Option("--comment", help="What was found, in a line.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Mark a post-mortem complete; it goes on record with its time against the 24 h."""
    session = opened(ctx, config, as_json)
    decision = Decision(who=who or me(), role=role, comment=comment)
    status = asyncio.run(_complete(session, rollback_id, decision))

    def say(console: Console) -> None:
        late = status.in_time is False
        heading(
            console,
            f"Complete{', but late' if late else ', in time'}",
            Outcome.INCONCLUSIVE if late else Outcome.SUCCEEDED,
        )
        if status.completion is not None:
            fact(console, "by", f"{status.completion.who} at {status.completion.at:%F %T} UTC")
        if status.due_at is not None:
            fact(console, "due", f"{status.due_at:%F %T} UTC")

    session.output.show(status, say)
    return ExitCode.DONE


async def _list(session: Session, limit: int) -> PostMortemList:
    found = await (await session.post_mortems()).list(limit)
    return PostMortemList(post_mortems=tuple(found))


async def _complete(session: Session, rollback_id: str, decision: Decision) -> PostMortemStatus:
    return await (await session.post_mortems()).complete(rollback_id, decision)


async def _write(session: Session, rollback_id: str | None) -> WrittenPostMortem:
    """As the worker writes it, from Temporal, the audit log and the metric store."""
    result = await (await session.rollbacks()).result(rollback_id)
    estate = session.estate
    from activities.post_mortem import PostMortemWriter  # noqa: PLC0415 - not for --help
    from failback.errors import FailbackError  # noqa: PLC0415 - as above
    from failback.providers.compose import metric_store  # noqa: PLC0415 - as above
    from failback.providers.post_mortems import FilePostMortems  # noqa: PLC0415 - as above
    from workers.evidence import evidence_gatherer  # noqa: PLC0415 - as above

    completion = None
    try:
        completion = (await (await session.post_mortems()).status(result.rollback_id)).completion
    except FailbackError as error:
        session.output.note(f"Whether it is complete is not known: {error.cause}")
    metrics, audit = metric_store(estate), session.audit()
    store = FilePostMortems(estate.estate, estate.post_mortems)
    gather = evidence_gatherer(estate, metrics, audit, deadline_seconds=PATIENCE_SECONDS).gather
    try:
        return await PostMortemWriter(store, audit, gather if metrics else None).write(
            WritePostMortemRequest(result=result, completion=completion)
        )
    finally:
        await audit.aclose()
        if metrics is not None:
            await metrics.aclose()


def _write_list(console: Console, found: PostMortemList) -> None:
    if not found.post_mortems:
        heading(console, "There is no post-mortem", None)
        return
    waiting = sum(one.completion is None for one in found.post_mortems)
    heading(
        console,
        f"{len(found.post_mortems)} post-mortems, {waiting} open",
        Outcome.INCONCLUSIVE if waiting else Outcome.SUCCEEDED,
    )
    table = Table(box=None, padding=(0, 2))
    for name in ("rollback", "ended (UTC)", "due (UTC)", "look into", "state", "document"):
        table.add_column(name)
    for one in found.post_mortems:
        table.add_row(
            one.rollback_id,
            f"{one.ended_at:%F %T}",
            f"{one.due_at:%F %T}" if one.due_at else "not written yet",
            str(one.findings),
            _state(one),
            Text(one.markdown),
        )
    console.print(table)


def _state(one: PostMortemStatus) -> Text:
    if one.completion is not None:
        late = ", late" if one.in_time is False else ""
        return Text(f"complete, {one.completion.who}{late}", style="yellow" if late else "green")
    return Text("overdue", style="bold red") if one.in_time is False else Text("open")
