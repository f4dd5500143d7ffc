"""`failback rollback approve|reject|escalate|cancel|accept-tail`: what people say to a rollback."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.cli.writing import fact, heading
from failback.errors import ApprovalRefusedError, ConfigurationError
from failback.models.common import Outcome, Payload
from failback.models.rollback import Decision, Phase, RecordedDecision

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Of the rollback.")]
AsOption = Annotated[str, typer.Option("--as", metavar="NAME", help="Who decides.")]
RoleOption = Annotated[str, typer.Option("--role", help="The role in which they decide.")]
CommentOption = Annotated[str, typer.Option("--comment", help="Kept with the decision.")]


PlanOption = Annotated[
    str,
    typer.Option(
        "--plan-hash", help="Of the plan, as `rollback status` shows it; 12 characters do."
    ),
]


class MadeLink(Payload):
    """A signed link for one person."""

    url: str
    who: str
    role: str
    rollback_id: str
    plan_hash: str
    expires_at: datetime


class Cancelled(Payload):
    """A cancel that was passed on; the rollback undoes what it must and then ends."""

    rollback_id: str
    who: str


def register(app: typer.Typer) -> None:
    """Put the verbs into a command group."""
    app.command("approve")(approve)
    app.command("reject")(reject)
    app.command("escalate")(escalate)
    app.command("link")(link)
    app.command("accept-tail")(accept_tail)
    app.command("cancel")(cancel)


def approve(
    ctx: typer.Context,
    rollback_id: IdArgument,
    as_name: AsOption,
    role: RoleOption = "",
    comment: CommentOption = "",
    plan_hash: PlanOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let a waiting rollback act. With --plan-hash only as it was when that hash was shown."""
    decision = Decision(who=as_name, role=role, comment=comment, plan_hash=plan_hash)
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


def escalate(
    ctx: typer.Context,
    rollback_id: IdArgument,
    as_name: AsOption,
    role: RoleOption = "",
    comment: CommentOption = "",
    level: Annotated[
        int | None,
        typer.Option("--to", metavar="LEVEL", help="Let this higher level take over instead."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Have a waiting rollback act at once as level 1: traffic first, its data afterwards.

    It takes who may start a level 1: as many people as `approvals.levels.1` wants. With --to 3 or
    --to 4 the higher level takes over instead, keeps what is done, and asks its own people.
    """
    decision = Decision(who=as_name, role=role, comment=comment)
    if level is not None:
        return _raised(opened(ctx, config, as_json), rollback_id, level, decision)
    return _decided(opened(ctx, config, as_json), rollback_id, "escalate", decision)


def link(
    ctx: typer.Context,
    rollback_id: IdArgument,
    as_name: Annotated[str, typer.Option("--for", metavar="NAME", help="Who may follow it.")],
    role: RoleOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make a signed link by which one person may decide, once, without a login."""
    session = opened(ctx, config, as_json)
    made = asyncio.run(_link(session, rollback_id, as_name, role))

    def write(console: Console) -> None:
        heading(console, f"A link for {made.who}; whoever has it decides in that name")
        console.print(f"  {made.url}", markup=False, soft_wrap=True)
        fact(console, "until", f"{made.expires_at:%F %T} UTC, and for one decision")

    session.output.show(made, write)
    return ExitCode.DONE


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


def _raised(session: Session, rollback_id: str, level: int, decision: Decision) -> int:
    async def raise_level() -> RecordedDecision:
        return await (await session.rollbacks()).raise_level(rollback_id, level, decision)

    recorded = asyncio.run(raise_level())
    session.output.show(recorded, lambda console: _write(console, rollback_id, recorded))
    return ExitCode.DONE


async def _decide(
    session: Session, rollback_id: str, verb: str, decision: Decision
) -> RecordedDecision:
    return await (await session.rollbacks()).decide(rollback_id, verb, decision)


async def _link(session: Session, rollback_id: str, who: str, role: str) -> MadeLink:
    from failback.approvals.links import LinkSigner, address  # noqa: PLC0415 - not for --help

    estate = session.estate
    key, gateway = estate.approvals.link_key, estate.gateway
    if key is None or gateway is None or not gateway.public_url:
        raise ConfigurationError(
            "There are no links: approvals.link_key or gateway.public_url is not set.",
            "Set both, then start the gateway again.",
        )
    people = estate.approvals.people
    if people and role not in people.get(who, ()):
        raise ConfigurationError(
            f"{who} does not hold the role {role!r}.",
            f"Roles: {'; '.join(f'{name} {held}' for name, held in sorted(people.items()))}.",
        )
    status = await (await session.rollbacks()).status(rollback_id)
    if status.phase is not Phase.WAITING_FOR_APPROVAL:
        raise ApprovalRefusedError(
            f"Rollback {rollback_id} waits for no approval: it is {status.phase.value}."
        )
    signer = LinkSigner(key.get_secret_value(), estate.approvals.link_seconds)
    now = datetime.now(UTC)
    token = signer.token(
        estate=estate.estate,
        rollback_id=rollback_id,
        plan_hash=status.plan_hash,
        who=who,
        role=role,
        now=now,
    )
    return MadeLink(
        url=address(gateway.public_url, token),
        who=who,
        role=role,
        rollback_id=rollback_id,
        plan_hash=status.plan_hash,
        expires_at=signer.claims(token, now).expires_at,
    )


async def _cancel(session: Session, rollback_id: str, decision: Decision) -> None:
    await (await session.rollbacks()).cancel(rollback_id, decision)


def _write(console: Console, rollback_id: str, recorded: RecordedDecision) -> None:
    verb = recorded.verb.replace("_", " ")
    if recorded.counted:
        heading(console, f"Rollback {rollback_id}: {verb} by {recorded.who} counts")
        return
    heading(console, f"Rollback {rollback_id}: {verb} did not count", Outcome.FAILED)
    fact(console, "because", recorded.why_not)
