"""`failback archive …`: what is archived, archive by hand, and let go what no backup needs."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.cli.writing import fact, heading
from failback.errors import ConfigurationError
from failback.models.archive import PruneArchiveReport
from failback.models.common import Outcome
from failback.models.recovery import ArchiveState

if TYPE_CHECKING:
    from failback.recovery_ports import ChangeArchive

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_MISSED_INTERVALS = 6
"""From so many on, besides the idle time, the archive is behind."""


@app.command()
def status(
    ctx: typer.Context,
    backup: Annotated[
        str,
        typer.Option(
            "--backup",
            metavar="ID",
            help="What lies beyond this backup; else all.",
            show_default="",
        ),
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """What is in the archive, and how far behind it is. Exits 1 where that is too far."""
    session = opened(ctx, config, as_json)
    with _archive(session) as archive:
        state = archive.state(backup)
    good = not _behind(session, state) and (state.joins_backup or not backup)
    outcome = Outcome.SUCCEEDED if good else Outcome.FAILED
    session.output.show(state, lambda console: _write_state(console, state, backup, outcome))
    return ExitCode.DONE if good else ExitCode.FAILED


@app.command()
def now(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Archive now all that the target has committed."""
    session = opened(ctx, config, as_json)
    with _archive(session) as archive:
        state = archive.archive_once()
    session.output.show(state, lambda console: _write_state(console, state, "", Outcome.SUCCEEDED))
    return ExitCode.DONE


@app.command()
def prune(
    ctx: typer.Context,
    keep_from: Annotated[
        str,
        typer.Option(
            "--keep-from",
            metavar="ID",
            help="The oldest backup that must be followed; else the oldest that there is.",
            show_default="",
        ),
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Delete segments that no backup needs any more."""
    session = opened(ctx, config, as_json)
    with _archive(session) as archive:
        kept = keep_from or _oldest(session)
        report = PruneArchiveReport(keep_from=kept, deleted=archive.prune(kept))
    session.output.show(report, lambda console: _write_pruned(console, report))
    return ExitCode.DONE


@contextmanager
def _archive(session: Session) -> "Iterator[ChangeArchive]":
    archive = session.archive()
    if archive is None:
        raise ConfigurationError(
            f"The estate {session.estate.estate} has no section archive.",
            "See docs/change-archive.md.",
        )
    with closing(archive):
        yield archive


def _oldest(session: Session) -> str:
    """The oldest backup of ours; what is not trusted needs nothing."""
    with closing(session.backups()) as backups:
        ours = [one.id for one in backups.list().backups if one.ours]
    if not ours:
        raise ConfigurationError(
            "There is no backup, so that nothing says what may go.",
            "Take one with `failback backup now`.",
        )
    return min(ours)


def _behind(session: Session, state: ArchiveState) -> bool:
    """Whether the archive has missed several of its intervals."""
    config = session.estate.archive
    if config is None or state.last_commit_at is None:
        return True
    allowed = _MISSED_INTERVALS * config.interval_seconds + config.idle_seconds
    return (datetime.now(UTC) - state.last_commit_at).total_seconds() > allowed


def _write_state(console: Console, state: ArchiveState, backup: str, outcome: Outcome) -> None:
    if state.last_commit_at is None:
        heading(console, "Nothing is archived", outcome)
    else:
        heading(console, f"Archived up to {state.last_commit_at:%F %T} UTC", outcome)
        beyond = f" beyond {backup}" if backup else ""
        fact(console, "holds", f"{state.segments} segments, {state.keys:,} keys{beyond}")
        fact(console, "positions", f"{state.first_position} to {state.last_position}")
    if backup:
        joins = "can be followed to now" if state.joins_backup else "cannot be followed to now"
        fact(console, "backup", joins, "" if state.joins_backup else "red")
    if state.detail:
        fact(console, "detail", state.detail, "yellow")


def _write_pruned(console: Console, report: PruneArchiveReport) -> None:
    heading(console, f"{report.deleted} segments deleted")
    fact(console, "kept", f"what backups from {report.keep_from} on need")
