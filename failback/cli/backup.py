"""`failback backup …`: take backups, see what they are worth, prove them, and let old ones go."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from failback.cli import backup_schedule
from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.cli.writing import amount, fact, heading
from failback.models.backups import (
    BackupList,
    BackupManifest,
    BackupProof,
    BackupState,
    BackupSummary,
    PruneReport,
)
from failback.models.common import Outcome
from failback.ports import Progress

if TYPE_CHECKING:
    from failback.backup_ports import Backups

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(backup_schedule.app, name="schedule")

_AUTH = ("users", "identities", "sessions", "refresh_tokens", "mfa_factors", "one_time_tokens")
_STYLES = {
    BackupState.PROVEN: "green",
    BackupState.COMPLETE: "yellow",
    BackupState.BROKEN: "bold red",
}


@app.command()
def now(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Take a backup now: database and configuration, read back and signed."""
    session = opened(ctx, config, as_json)
    with _backups(session) as backups:
        taken = backups.take(_noted(session))
    session.output.show(taken, lambda console: _write_taken(console, taken))
    return ExitCode.DONE


@app.command("list")
def list_backups(
    ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False
) -> int:
    """Every backup, newest first. Exits 1 where none is proven."""
    session = opened(ctx, config, as_json)
    with _backups(session) as backups:
        found = backups.list()
    session.output.show(found, lambda console: _write_list(console, found))
    return ExitCode.DONE if found.newest_proven is not None else ExitCode.FAILED


@app.command()
def prove(
    ctx: typer.Context,
    backup: Annotated[
        str,
        typer.Argument(metavar="[ID]", help="Of a backup; else the newest.", show_default=False),
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Restore a backup aside and compare all of it. Exits 1 and says why where it does not hold."""
    session = opened(ctx, config, as_json)
    with _backups(session) as backups:
        proof = backups.prove(backup, _noted(session))
    session.output.show(proof, lambda console: _write_proof(console, proof))
    return ExitCode.DONE


@app.command()
def prune(
    ctx: typer.Context,
    keep: Annotated[int, typer.Option("--keep", min=1, help="Newest sound ones that stay.")],
    keep_proven: Annotated[
        int, typer.Option("--keep-proven", min=1, help="Newest proven ones that stay besides.")
    ] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and delete nothing.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Delete old backups. The newest proven one always stays; without one nothing goes."""
    session = opened(ctx, config, as_json)
    with _backups(session) as backups:
        report = backups.prune(keep, keep_proven, dry_run=dry_run)
    session.output.show(report, lambda console: _write_pruned(console, report))
    return ExitCode.WAITING if report.detail else ExitCode.DONE


@contextmanager
def _backups(session: Session) -> "Iterator[Backups]":
    with closing(session.backups()) as backups:
        yield backups


def _noted(session: Session) -> Progress:
    """Each sentence once, on standard error."""
    told: set[str] = set()

    def note(text: str) -> None:
        if text not in told:
            told.add(text)
            session.output.note(text)

    return note


def _write_taken(console: Console, taken: BackupManifest) -> None:
    outcome = Outcome.INCONCLUSIVE if taken.lacking else Outcome.SUCCEEDED
    heading(console, f"Backup {taken.id} was taken", outcome)
    fact(console, "of", f"{taken.side.value} database {taken.database} at {taken.position}")
    fact(console, "holds", f"{taken.rows:,} rows in {len(taken.tables)} tables")
    if taken.auth:
        shown = [name for name in _AUTH if name in taken.auth]
        fact(console, "auth", ", ".join(f"{taken.auth[name]:,} {name}" for name in shown))
    for bucket in taken.buckets:
        kept = "with versions" if bucket.versioned else "without versions: what goes is gone"
        size = amount(bucket.bytes, "bytes")
        told = f"{bucket.objects:,} objects of {size}, listed {kept}"
        fact(console, f"bucket {bucket.bucket}", told)
    if taken.configuration_keys:
        fact(console, "keys", f"{len(taken.configuration_keys)} values, by digest")
    for sentence in taken.lacking:
        fact(console, "lacks", sentence)
    if taken.applied_upto:
        fact(console, "applied", f"the target's changes up to {taken.applied_upto}")
    if taken.applied_except:
        fact(console, "but for", ", ".join(taken.applied_except))
    fact(console, "size", f"{amount(taken.bytes, 'bytes')} in {len(taken.parts)} parts, read back")
    fact(console, "next", f"failback backup prove {taken.id}")


def _write_list(console: Console, found: BackupList) -> None:
    proven = found.newest_proven
    if proven is None:
        heading(console, f"{found.place}: no backup is proven", Outcome.FAILED)
    else:
        heading(console, f"{found.place}: {proven.id} is the newest proven backup")
    if found.backups:
        table = Table(box=None, padding=(0, 2))
        for name in ("backup", "state", "size", "rows", "applied up to", "what is known"):
            table.add_column(name, justify="right" if name in {"size", "rows"} else "left")
        for one in found.backups:
            table.add_row(
                one.id,
                Text(one.state.value, style=_STYLES[one.state]),
                amount(one.bytes, "bytes") if one.ours else "",
                f"{one.rows:,}" if one.ours else "",
                one.applied_upto,
                Text(_known(one)),
            )
        console.print(table)
    if found.unfinished:
        fact(console, "unfinished", ", ".join(found.unfinished))


def _known(one: BackupSummary) -> str:
    if one.problem:
        return one.problem
    known = "every part was read back; never restored"
    if one.state is BackupState.PROVEN:
        known = f"restored {one.proven_at:%F %T} UTC by {one.proven_by}"
    return "; lacks ".join((known, *one.lacking))


def _write_proof(console: Console, proof: BackupProof) -> None:
    heading(console, f"Backup {proof.backup} is proven")
    fact(
        console,
        "restored",
        f"{proof.rows:,} rows in {proof.tables} tables into PostgreSQL {proof.server_version},"
        f" in {amount(proof.seconds, 's')}",
    )
    fact(console, "compared", "every part, row count, digest and the schema with the manifest")
    if proof.objects:
        fact(console, "inventory", f"{proof.objects:,} objects, every line read")
    fact(console, "rules", ", ".join(proof.rules) or "none are configured")
    fact(console, "amcheck", proof.amcheck)


def _write_pruned(console: Console, report: PruneReport) -> None:
    verb = "would go" if report.dry_run else "deleted"
    heading(
        console,
        f"{len(report.deleted)} {verb}, {len(report.kept)} kept",
        Outcome.INCONCLUSIVE if report.detail else Outcome.SUCCEEDED,
    )
    for label, names in ((verb, report.deleted), ("kept", report.kept), ("not ours", report.left)):
        if names:
            fact(console, label, ", ".join(names))
    if report.detail:
        fact(console, "because", report.detail)
