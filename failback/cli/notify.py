"""`failback notify …`: try a channel, and see who was told of what, and whether in time."""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, me, opened
from failback.cli.writing import amount, fact, heading
from failback.errors import ConfigurationError
from failback.models.audit import EntryKind, NewEntry
from failback.models.common import Outcome
from failback.models.messages import Delivery, DeliveryReport, Message, MessageKind

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("test")
def try_channel(
    ctx: typer.Context,
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="As in notifications.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Send a test on one channel now. Exits 1 where it was not taken."""
    session = opened(ctx, config, as_json)
    delivery = asyncio.run(_tested(session, channel))

    def write(console: Console) -> None:
        outcome = Outcome.SUCCEEDED if delivery.delivered else Outcome.FAILED
        verb = "took" if delivery.delivered else "did not take"
        heading(console, f"{channel} {verb} the test", outcome)
        fact(console, "it said", delivery.detail)
        if delivery.delivered:
            allowed = f" of {delivery.deadline_seconds:g} s" if delivery.deadline_seconds else ""
            fact(console, "after", amount(delivery.took_seconds, "s") + allowed)
        elif delivery.retryable:
            fact(console, "later", "it may work another time; a real message is tried again")

    session.output.show(delivery, write)
    return ExitCode.DONE if delivery.delivered else ExitCode.FAILED


@app.command("list")
def list_deliveries(
    ctx: typer.Context,
    rollback_id: Annotated[
        str, typer.Argument(metavar="[ID]", help="Of a rollback; else of all.", show_default=False)
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="At most so many, the newest.")
    ] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Who was told, and when, against what is allowed. Exits 3 where a message was late or lost."""
    session = opened(ctx, config, as_json)
    report = asyncio.run(_listed(session, rollback_id, limit))
    session.output.show(report, lambda console: _write_list(console, report))
    good = all(one.delivered and one.in_time is not False for one in report.deliveries)
    return ExitCode.DONE if good else ExitCode.WAITING


async def _tested(session: Session, channel: str) -> Delivery:
    """Deliver a test past every workflow, so that it needs no Temporal, and keep it on record."""
    estate = session.estate
    if channel not in estate.notifications:
        known = ", ".join(sorted(estate.notifications)) or "none"
        raise ConfigurationError(
            f"There is no channel {channel}; known: {known}.", "Add it to notifications."
        )
    from failback.providers.notify import ChannelNotifier  # noqa: PLC0415 - httpx is not for --help

    message = Message(
        kind=MessageKind.TEST,
        key=f"test/{channel}/{secrets.token_hex(4)}",
        estate=estate.estate,
        subject=f"{estate.estate}: this is a test",
        text="Nothing has happened, and there is nothing to do.",
        occurred_at=datetime.now(UTC),
        facts={"tried by": me(), "channel": channel},
    )
    notifier = ChannelNotifier(estate.notifications, estate.messages)
    try:
        delivery = await notifier.deliver(channel, message)
        planned = {one.channel: one for one in notifier.plan(message).addresses}
    finally:
        await notifier.aclose()
    if channel in planned:
        allowed = planned[channel].deadline_seconds
        took = delivery.took_seconds
        delivery = delivery.model_copy(
            update={
                "deadline_seconds": allowed,
                "audiences": planned[channel].audiences,
                "in_time": took is not None and took <= allowed,
            }
        )
    await _recorded(session, message, delivery)
    return delivery


async def _recorded(session: Session, message: Message, delivery: Delivery) -> None:
    log = session.audit()
    try:
        await log.append(
            NewEntry(
                kind=EntryKind.NOTIFICATION,
                key=f"{message.estate}/{message.key}/{delivery.channel}",
                at=delivery.delivered_at or datetime.now(UTC),
                who=delivery.channel,
                subject=message.key,
                body={
                    "subject": message.subject,
                    "severity": message.severity,
                    "delivery": delivery.model_dump(mode="json"),
                },
            )
        )
    finally:
        await log.aclose()


async def _listed(session: Session, rollback_id: str, limit: int) -> DeliveryReport:
    log = session.audit()
    try:
        entries = await log.read((EntryKind.NOTIFICATION,), subject=rollback_id, limit=limit)
    finally:
        await log.aclose()
    found = []
    for entry in entries:
        try:
            found.append(Delivery.model_validate(entry.body.get("delivery")))
        except ValidationError:
            session.output.note(f"Entry {entry.sequence} holds no delivery; it is left out.")
    return DeliveryReport(deliveries=tuple(found))


def _write_list(console: Console, report: DeliveryReport) -> None:
    if not report.deliveries:
        heading(console, "No delivery is on record", None)
        return
    late = sum(one.delivered and one.in_time is False for one in report.deliveries)
    lost = sum(not one.delivered for one in report.deliveries)
    heading(
        console,
        f"{len(report.deliveries)} deliveries, {late} late, {lost} not delivered",
        Outcome.INCONCLUSIVE if late or lost else Outcome.SUCCEEDED,
    )
    table = Table(box=None, padding=(0, 2))
    for name in (
        "happened (UTC)",
        "rollback",
        "message",
        "channel",
        "after",
        "allowed",
        "tries",
        "detail",
    ):
        table.add_column(name, justify="right" if name in ("after", "allowed", "tries") else "left")
    for one in report.deliveries:
        table.add_row(
            f"{one.occurred_at:%F %T}",
            Text(one.rollback_id),
            one.kind,
            Text(one.channel),
            _after(one),
            amount(one.deadline_seconds, "s", "–"),
            str(one.attempts),
            Text(one.detail),
        )
    console.print(table)


def _after(one: Delivery) -> Text:
    if not one.delivered:
        return Text("never", style="bold red")
    return Text(amount(one.took_seconds, "s"), style="yellow" if one.in_time is False else "")
