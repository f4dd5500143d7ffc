"""`failback audit …`: read the append-only record, and check that nobody changed it."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.cli.writing import fact, heading
from failback.errors import ConfigurationError
from failback.models.audit import AuditEntry, AuditVerdict, EntryKind
from failback.models.common import Outcome, Payload

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_BODY_WIDTH = 120


class AuditEntries(Payload):
    """Entries in the order in which they were written."""

    entries: tuple[AuditEntry, ...]


@app.command()
def verify(
    ctx: typer.Context,
    head: Annotated[
        str, typer.Option("--head", help="SEQUENCE:HASH of an earlier check; it must still stand.")
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compute the whole chain again. Exits 1 where an entry was changed, removed or cut off."""
    session = opened(ctx, config, as_json)
    verdict = asyncio.run(_verify(session, head))

    def write(console: Console) -> None:
        if verdict.intact:
            heading(console, "The audit log is whole")
            fact(console, "entries", str(verdict.entries))
            fact(console, "head", f"{verdict.head} (note it where nobody can reach it)")
            return
        heading(console, "The audit log was changed", Outcome.FAILED)
        fact(console, "at entry", str(verdict.broken_at))
        fact(console, "because", verdict.explanation)

    session.output.show(verdict, write)
    return ExitCode.DONE if verdict.intact else ExitCode.FAILED


@app.command("list")
def list_entries(
    ctx: typer.Context,
    kind: Annotated[
        list[EntryKind] | None, typer.Option("--kind", help="Only these kinds; may be repeated.")
    ] = None,
    subject: Annotated[
        str, typer.Option("--subject", help="Only what is about this rollback, alert or event.")
    ] = "",
    since: Annotated[str | None, typer.Option("--since", help="ISO 8601; UTC if unsaid.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="As --since.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, help="At most so many, the newest.")
    ] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Entries, oldest first."""
    session = opened(ctx, config, as_json)
    after, before = (_time(text) for text in (since, until))
    found = asyncio.run(_list(session, tuple(kind or ()), after, before, subject, limit))
    session.output.show(found, lambda console: _write_list(console, found))
    return ExitCode.DONE


def _time(text: str | None) -> datetime | None:
    """A moment that a person typed."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is no time.", "Write it as 2026-03-01T03:15:00Z."
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


async def _verify(session: Session, head: str) -> AuditVerdict:
    log = session.audit()
    try:
        return await log.verify(head)
    finally:
        await log.aclose()


async def _list(
    session: Session,
    kinds: tuple[EntryKind, ...],
    since: datetime | None,
    until: datetime | None,
    subject: str,
    limit: int,
) -> AuditEntries:
    log = session.audit()
    try:
        return AuditEntries(
            entries=await log.read(kinds, since, until, subject=subject, limit=limit)
        )
    finally:
        await log.aclose()


def _write_list(console: Console, found: AuditEntries) -> None:
    if not found.entries:
        heading(console, "The audit log has no such entry")
        return
    table = Table(box=None, padding=(0, 2))
    for name in ("#", "at", "kind", "who", "about", "facts"):
        table.add_column(name, no_wrap=name in {"#", "at", "kind"})
    for entry in found.entries:
        facts = json.dumps(entry.body, ensure_ascii=False)
        table.add_row(
            str(entry.sequence),
            f"{entry.at:%F %T}",
            entry.kind.value,
            Text(entry.who),
            Text(entry.subject),
            Text(facts[:_BODY_WIDTH] + ("…" if len(facts) > _BODY_WIDTH else "")),
        )
    console.print(table)
