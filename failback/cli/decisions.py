"""`failback rollback approve|reject|cancel|accept-tail`: what people say to a rollback."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.cli.writing import fact, heading
from failback.models.common import Outcome, Payload
from failback.models.rollback import Decision, RecordedDecision

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Of the rollback.")]
AsOption = Annotated[str, typer.Option("--as", metavar="NAME", help="Who decides.")]
RoleOption = Annotated[str, typer.Option("--role", help="The role in which they decide.")]
CommentOption = Annotated[str, typer.Option("--comment", help="Kept with the decision.")]


class Cancelled(Payload):
    """A cancel that was passed on; the rollback undoes what it must and then ends."""

    rollback_id: str
    who: str


def register(app: typer.Typer) -> None:
    """Put the four verbs into a command group."""
    app.command("approve")(approve)
    app.command("reject")(reject)
    app.command("accept-tail")(accept_tail)
    app.command("cancel")(cancel)


def approve(
    ctx: typer.Context,
    rollback_id: IdArgument,
    as_name: AsOption,
    role: RoleOption = "",
    comment: CommentOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let a waiting rollback act."""
    decision = Decision(who=as_name, role=role, comment=comment)
    return _decided(opened(ctx, config, as_json), rollback_id, "approve", decision)


def reject(
    ctx: typer.Context,
    rollback_id: IdArgument,
    as_name: AsOption,
    role: RoleOption = "",
    comment: CommentOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """End a waiting rollback before it acts."""
    decision = Decision(who=as_name, role=role, comment=comment)
    return _decided(opened(ctx, config, as_json), rollback_id, "reject", decision)


def accept_tail(
    ctx: typer.Context,
    rollback_id: IdArgument,
    as_name: AsOption,
    role: RoleOption = "",
    comment: CommentOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Close a rollback that has a tail left over.

    The changes that did not reach the source stay on the fenced target. Whoever accepts this
    answers for it by name.
    """
    decision = Decision(who=as_name, role=role, comment=comment)
    return _decided(opened(ctx, config, as_json), rollback_id, "accept_tail", decision)


def cancel(
    ctx: typer.Context,
    rollback_id: IdArgument,
    as_name: AsOption,
    role: RoleOption = "",
    comment: CommentOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Stop a rollback; what it began is undone.

    It refuses once traffic has moved.
    """
    session = opened(ctx, config, as_json)
    decision = Decision(who=as_name, role=role, comment=comment)
    asyncio.run(_cancel(session, rollback_id, decision))
    facts = Cancelled(rollback_id=rollback_id, who=as_name)

    def write(console: Console) -> None:
        heading(console, f"Rollback {rollback_id} was told to stop")
        fact(console, "watch", f"failback rollback watch {rollback_id}")

    session.output.show(facts, write)
    return ExitCode.DONE


def _decided(session: Session, rollback_id: str, verb: str, decision: Decision) -> int:
    recorded = asyncio.run(_decide(session, rollback_id, verb, decision))
    session.output.show(recorded, lambda console: _write(console, rollback_id, recorded))
    return ExitCode.DONE if recorded.counted else ExitCode.FAILED


async def _decide(
    session: Session, rollback_id: str, verb: str, decision: Decision
) -> RecordedDecision:
    return await (await session.rollbacks()).decide(rollback_id, verb, decision)


async def _cancel(session: Session, rollback_id: str, decision: Decision) -> None:
    await (await session.rollbacks()).cancel(rollback_id, decision)


def _write(console: Console, rollback_id: str, recorded: RecordedDecision) -> None:
    verb = recorded.verb.replace("_", " ")
    if recorded.counted:
        heading(console, f"Rollback {rollback_id}: {verb} by {recorded.who} counts")
        return
    heading(console, f"Rollback {rollback_id}: {verb} did not count", Outcome.FAILED)
    fact(console, "because", recorded.why_not)
