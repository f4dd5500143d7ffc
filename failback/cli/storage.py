"""`failback storage …`: carry the target's objects back, and compare both sides."""

from collections.abc import Callable
from contextlib import closing
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from failback.cli.exits import of_outcome
from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.cli.writing import amount, fact, heading
from failback.errors import ConfigurationError
from failback.models.storage import (
    StorageBaselineReport,
    StorageStatus,
    StorageSyncReport,
    StorageVerifyReport,
)
from failback.providers.storage import open_storage
from failback.storage_ports import StorageSyncEngine

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def status(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Whether both sides' buckets are there, keep versions, and have a baseline.

    Writes one nameless object on the source and removes it, to see whether conditions count there.
    """
    session = opened(ctx, config, as_json)
    with closing(_engine(session)) as engine:
        found = engine.status()
    session.output.show(found, lambda console: _write_status(console, found))
    return of_outcome(found.outcome)


@app.command()
def baseline(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Record what both sides have now, so that later deletes are known. Writes no object."""
    session = opened(ctx, config, as_json)
    with closing(_engine(session)) as engine:
        found = engine.baseline(_progress(session))
    session.output.show(found, lambda console: _write_baseline(console, found))
    return ExitCode.DONE


@app.command()
def sync(
    ctx: typer.Context,
    target_wins: Annotated[
        bool,
        typer.Option(
            "--target-wins", help="Overwrite what somebody else wrote on the source, too."
        ),
    ] = False,
    accept_deletes: Annotated[
        str,
        typer.Option(
            "--accept-deletes", metavar="NAME", help="Who wants a large number of deletes."
        ),
    ] = "",
    once: Annotated[
        bool,
        typer.Option("--once", help="One pass, while the target goes on being written to."),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Copy, replace and delete on the source until both sides are equal."""
    session = opened(ctx, config, as_json)
    with closing(_engine(session)) as engine:
        found = engine.sync(
            _progress(session),
            target_wins=target_wins,
            deletes_accepted_by=accept_deletes,
            settle=not once,
        )
    session.output.show(found, lambda console: _write_sync(console, found))
    return of_outcome(found.outcome)


@app.command()
def verify(
    ctx: typer.Context,
    read_all: Annotated[
        bool, typer.Option("--read-all", help="Trust no ETag: read every byte of both sides.")
    ] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Do not look again at what both listings show to be as it was when last equal.",
        ),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compare both sides object by object. Exits 1 where they differ."""
    session = opened(ctx, config, as_json)
    with closing(_engine(session)) as engine:
        found = engine.verify(_progress(session), read_all=read_all, quick=quick)
    session.output.show(found, lambda console: _write_verify(console, found))
    return of_outcome(found.outcome)


def _engine(session: Session) -> StorageSyncEngine:
    estate = session.estate
    if estate.storage is None:
        raise ConfigurationError(
            f"{session.config} names no buckets.", "Add a section `storage` (docs/storage.md)."
        )
    return open_storage(estate.estate, estate.storage)


def _progress(session: Session) -> Callable[[str], None] | None:
    return None if session.output.as_json else session.output.note


def _write_status(console: Console, found: StorageStatus) -> None:
    heading(console, f"Storage of {found.estate}", found.outcome)
    for state in found.buckets:
        words = [
            "there" if state.exists else "missing",
            "versions kept" if state.versioned else "no versions",
        ]
        if state.exists and state.side.value == "source":
            words.append(f"conditional writes {'yes' if state.conditional_writes else 'no'}")
        fact(console, state.side.value, f"{state.bucket}: {', '.join(words)}")
        if state.problem:
            fact(console, "", state.problem, "yellow")
            fact(console, "cure", state.cure)
    recorded = f"{found.recorded_at:%F %T} UTC" if found.recorded_at else "never"
    fact(console, "baseline", f"{recorded}, {found.known_objects:,} objects known")


def _write_baseline(console: Console, found: StorageBaselineReport) -> None:
    heading(console, f"Baseline recorded in {amount(found.seconds, 's')}")
    for one in found.buckets:
        fact(
            console,
            one.target,
            f"{one.both:,} on both sides, {one.target_only:,} only on the target,"
            f" {one.different:,} different, {one.source_own:,} the source's own",
        )


def _write_sync(console: Console, found: StorageSyncReport) -> None:
    heading(console, f"Storage synced in {amount(found.seconds, 's')}", found.outcome)
    for one in found.buckets:
        fact(
            console,
            one.target,
            f"{one.copied:,} copied ({amount(one.copied_bytes, 'bytes')}), {one.deleted:,} deleted,"
            f" {one.seen:,} on the target, {one.passes} passes",
        )
        left = {
            "changed under the last pass": one.unsettled,
            "conflicts": one.conflicts,
            "unexplained on the source": one.unexplained,
            "refused": one.failed,
        }
        told = ", ".join(f"{count:,} {name}" for name, count in left.items() if count)
        if told:
            fact(console, "left", told, "yellow")
    for note in found.notes:
        _write_key(console, note.fate.value, note.bucket, note.key, note.explanation)


def _write_verify(console: Console, found: StorageVerifyReport) -> None:
    heading(console, f"Storage compared in {amount(found.seconds, 's')}", found.outcome)
    for one in found.buckets:
        fact(
            console,
            one.target,
            f"{one.objects:,} objects, {amount(one.bytes, 'bytes')}: {one.missing:,} missing,"
            f" {one.extra:,} extra, {one.different:,} different, {one.unexplained:,} unexplained,"
            f" {one.changed:,} changed meanwhile, {one.own:,} the source's own",
        )
        if one.by_listing:
            fact(console, "", f"{one.by_listing:,} of them as listed when they were last equal")
        if one.source_digest:
            fact(console, "source", one.source_digest)
            fact(console, "target", one.target_digest)
    for difference in found.differences:
        _write_key(
            console,
            difference.kind.value,
            difference.bucket,
            difference.key,
            difference.explanation,
        )


def _write_key(console: Console, word: str, bucket: str, key: str, explanation: str) -> None:
    console.print(Text(f"  {word:<12}{bucket}/{key}") + Text(f"  {explanation}", style="dim"))
