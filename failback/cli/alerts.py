"""`failback alerts …`: what fires, what was decided about it, and every alert on record."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.cli.writing import fact, heading
from failback.errors import NoAlertsError
from failback.models.audit import AuditEntry, EntryKind
from failback.models.common import Outcome, Payload
from failback.models.responses import ResponseStatus

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


class Alerts(Payload):
    """Entries of alerts, oldest first."""

    alerts: tuple[AuditEntry, ...]


@app.command()
def status(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """What fires now, the last decision, and what was done. Exits 3 while anything fires."""
    session = opened(ctx, config, as_json)
    found = asyncio.run(_status(session))
    session.output.show(found, lambda console: _write_status(console, found))
    return ExitCode.WAITING if found.firing or found.investigation else ExitCode.DONE


@app.command("list")
def list_alerts(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, newest.")] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Alerts on record, oldest first; a resolved one stands there twice."""
    session = opened(ctx, config, as_json)
    found = Alerts(alerts=asyncio.run(_entries(session, "", limit)))
    session.output.show(found, lambda console: _write_list(console, found))
    return ExitCode.DONE


@app.command()
def show(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Of the alert, as list shows it.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """All that is on record about one alert."""
    session = opened(ctx, config, as_json)
    found = Alerts(alerts=asyncio.run(_entries(session, key, 10)))
    if not found.alerts:
        raise NoAlertsError(f"No alert {key} is on record.", "`failback alerts list` shows them.")
    session.output.show(found, lambda console: _write_one(console, found))
    return ExitCode.DONE


async def _status(session: Session) -> ResponseStatus:
    return await (await session.responses()).status()


async def _entries(session: Session, subject: str, limit: int) -> tuple[AuditEntry, ...]:
    log = session.audit()
    try:
        return await log.read((EntryKind.ALERT,), subject=subject, limit=limit)
    finally:
        await log.aclose()


def _write_status(console: Console, found: ResponseStatus) -> None:
    quiet = not found.firing
    heading(
        console,
        f"{found.estate}: {found.firing} alerts fire, {found.received} on record",
        Outcome.SUCCEEDED if quiet else Outcome.INCONCLUSIVE,
    )
    fact(console, "mode", found.mode.value if found.mode else "not known yet")
    for alert in found.alerts[:10]:
        fact(console, "firing", f"{alert.name} since {alert.starts_at:%F %T}: {alert.summary}")
    decided = found.decided
    if decided is not None:
        sure = "" if decided.conclusive else ", not conclusive"
        fact(console, "decided", f"{decided.decision.value} at {decided.at:%T}{sure}")
        fact(console, "because", decided.explanation)
        fact(
            console, "done", f"{decided.action.kind.value.replace('_', ' ')}: {decided.action.why}"
        )
    if found.handling is not None:
        fact(console, "rollback", f"{found.handling.rollback_id}, {found.handling.alerts} alerts")
    if found.investigation is not None:
        fact(console, "investigate", found.investigation.reason, "yellow")
        fact(console, "close", "failback investigation close --as NAME")


def _write_list(console: Console, found: Alerts) -> None:
    if not found.alerts:
        heading(console, "No alert is on record")
        return
    table = Table(box=None, padding=(0, 2))
    for name in ("received", "key", "from", "status", "name", "summary"):
        table.add_column(name, no_wrap=name in {"received", "key", "status"})
    for entry in found.alerts:
        table.add_row(
            f"{entry.at:%F %T}",
            entry.subject,
            Text(entry.who),
            Text(str(entry.body.get("status", ""))),
            Text(str(entry.body.get("name", ""))),
            Text(str(entry.body.get("summary", ""))),
        )
    console.print(table)


def _write_one(console: Console, found: Alerts) -> None:
    for entry in found.alerts:
        heading(console, f"{entry.body.get('name', '')}: {entry.body.get('status', '')}", None)
        fact(console, "received", f"{entry.at:%F %T} UTC from {entry.who}")
        for name, value in entry.body.items():
            if value not in (None, "", {}) and name not in ("name", "status"):
                fact(console, name.replace("_", " "), str(value))
