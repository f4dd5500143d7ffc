"""`failback sync …`: look at the reverse sync, drive it by hand, and compare both sides."""

from contextlib import closing
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from failback.cli.conflicts import app as conflicts_app
from failback.cli.exits import of_outcome
from failback.cli.output import ExitCode
from failback.cli.repair import repair
from failback.cli.session import ConfigOption, JsonOption, opened
from failback.cli.writing import amount, fact, heading
from failback.errors import SafetyRuleError
from failback.models.common import Outcome, Side
from failback.models.sync import BatchReport, DrainReport, SyncStatus, VerifyReport

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(conflicts_app, name="conflicts")

app.command()(repair)


@app.command()
def status(
    ctx: typer.Context,
    canary: Annotated[
        bool, typer.Option("--canary", help="Send a canary row there and back first.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """What a rollback would cost if it started now, and what would block it.

    Exits 1 where something would block it.
    """
    session = opened(ctx, config, as_json)
    with closing(session.engine()) as engine:
        found = engine.status(canary=canary)
    session.output.show(found, lambda console: _write_status(console, found))
    failed = found.canary is not None and found.canary.outcome is Outcome.FAILED
    blocked = not found.armed or bool(found.problems) or failed
    return ExitCode.FAILED if blocked else ExitCode.DONE


@app.command()
def run(
    ctx: typer.Context,
    once: Annotated[
        bool,
        typer.Option(
            "--once/--until-caught-up",
            help="One batch, or batches until one side has all that the other held by now.",
        ),
    ] = False,
    deadline: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which a drain stops, inconclusive.")
    ] = 300.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Carry changes over now: the target's to the source, or back after `failback reprotect`.

    A drain that ends well sets the sequences too.
    """
    session = opened(ctx, config, as_json)
    with closing(session.engine()) as engine:
        # A receiver that takes writes may have changed the same rows: those are parked.
        receiver = _receiver(engine.status())
        fenced = engine.fenced(receiver)
        if once and not fenced:
            raise SafetyRuleError(
                f"tail_drained: the {receiver.value} takes writes, and one batch looks for no "
                "conflicts.",
                "Leave --once out: a whole drain parks rows that changed on both sides.",
            )
        if once:
            batch = engine.run_batch()
            session.output.show(batch, lambda console: _write_batch(console, batch))
            return ExitCode.WAITING if batch.skipped else ExitCode.DONE
        drain = engine.drain if fenced else engine.drain_late
        drained = drain(deadline, session.output.note)
        if drained.outcome is Outcome.SUCCEEDED:
            moved = engine.synchronise_sequences()
            drained = drained.model_copy(update={"sequences": moved})
    session.output.show(drained, lambda console: _write_drain(console, drained, receiver))
    return of_outcome(drained.outcome)


@app.command()
def verify(
    ctx: typer.Context,
    cold: Annotated[
        bool, typer.Option("--cold", help="Read every row, whatever the ledger says.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compare both sides: rows, digests, foreign keys and business rules.

    Parts of tables that both sides agreed on earlier, and that nothing has changed since, are not
    read again without --cold.
    """
    session = opened(ctx, config, as_json)
    with closing(session.engine()) as engine:
        report = engine.verify(session.output.note, cold=cold)
    session.output.show(report, lambda console: _write_verify(console, report))
    return of_outcome(report.outcome)


def _receiver(found: SyncStatus) -> Side:
    """The side that changes are carried to."""
    return Side(found.direction.rpartition("-to-")[2])


def _write_status(console: Console, found: SyncStatus) -> None:
    ready = found.armed and not found.problems
    heading(
        console,
        "Armed" if found.armed else "Not armed: a rollback would leave the target's changes behind",
        Outcome.SUCCEEDED if ready else Outcome.FAILED,
    )
    if found.armed:
        sender, _, receiver = found.direction.partition("-to-")
        fact(console, "direction", f"the {sender}'s changes go to the {receiver}")
        position = found.position.lsn if found.position else "unknown"
        slot = f", slot {found.slot_status or 'unknown'}" if found.capture == "slot" else ""
        fact(console, "capture", f"{found.capture}{slot}{', LOST' if found.capture_lost else ''}")
        fact(console, "position", position)
        fact(
            console, "lag", f"{amount(found.lag_seconds, 's')}, {amount(found.lag_bytes, 'bytes')}"
        )
        fact(console, "kept WAL", amount(found.retained_wal_bytes, "bytes"))
        if found.capture == "changelog":
            fact(console, "changelog", amount(found.captured_bytes, "bytes"))
        if found.catch_up is not None:
            fact(console, "catch-up", found.catch_up.told.removeprefix("catching up: "))
        fact(console, "tables", f"{len(found.tables)}: {', '.join(found.tables)}")
    for side, fenced in (("source", found.source_fenced), ("target", found.target_fenced)):
        words = {True: "fenced, refuses writes", False: "takes writes", None: "unknown"}
        fact(console, side, words[fenced])
    if found.open_conflicts:
        fact(console, "conflicts", f"{found.open_conflicts} parked", "yellow")
    if found.canary is not None:
        said = f"{found.canary.outcome.value} in {found.canary.milliseconds:.0f} ms"
        fact(console, "canary", f"{said}. {found.canary.detail}".rstrip(". "))
    for problem in found.problems:
        fact(console, "problem", f"{problem.table}: {problem.problem}", "red")
        if problem.cure:
            fact(console, "  cure", problem.cure)
    for warning in found.warnings:
        fact(console, "warning", warning, "yellow")


def _write_batch(console: Console, batch: BatchReport) -> None:
    if batch.skipped:
        heading(console, f"Nothing done: {batch.skipped}", Outcome.INCONCLUSIVE)
        return
    heading(console, f"One batch, to {batch.position}")
    fact(
        console, "changes", f"{batch.changes:,} of {batch.keys:,} keys, {batch.rows:,} rows written"
    )
    fact(console, "took", amount(batch.seconds, "s"))
    fact(console, "caught up", "yes" if batch.caught_up else "no")


def _write_drain(console: Console, drained: DrainReport, receiver: Side) -> None:
    words = {
        Outcome.SUCCEEDED: f"The {receiver.value} has what the {receiver.other.value} held",
        Outcome.FAILED: "The tail could not be drained",
        Outcome.INCONCLUSIVE: "The tail is not empty yet",
    }
    heading(console, words[drained.outcome], drained.outcome)
    fact(console, "position", f"{drained.position}, wanted {drained.wanted or 'now'}")
    fact(console, "changes", f"{drained.changes:,} of {drained.keys:,} keys")
    fact(console, "took", f"{amount(drained.seconds, 's')} in {drained.batches} batches")
    if drained.conflicts:
        fact(console, "conflicts", f"{drained.conflicts} parked", "yellow")
    if drained.detail:
        fact(console, "detail", drained.detail)


def _write_verify(console: Console, report: VerifyReport) -> None:
    total = report.missing + report.extra + report.different
    heading(console, f"{total} rows differ over {len(report.tables)} tables", report.outcome)
    exact = "exact, both sides were fenced" if report.exact else "not fenced: writes may go on"
    fact(console, "compared", f"{exact}, {amount(report.seconds, 's')}")
    if report.chunks_by_ledger:
        since = f"since {report.ledger_oldest_at:%F %T} UTC or later"
        fact(
            console,
            "parts read",
            f"{report.chunks_verified:,}, and {report.chunks_by_ledger:,} unchanged {since}",
        )
    if report.certificate:
        fact(console, "certificate", report.certificate)
    table = Table(box=None, padding=(0, 2))
    for name in ("table", "source", "target", "missing", "extra", "different"):
        table.add_column(name, justify="left" if name == "table" else "right")
    for one in report.tables:
        numbers = (one.source_rows, one.target_rows, one.missing, one.extra, one.different)
        style = "" if one.equal else "red"
        table.add_row(one.table, *(f"{number:,}" for number in numbers), style=style)
    console.print(table)
    for rule in (*report.foreign_keys, *report.rules):
        if rule.violations:
            fact(console, "violated", f"{rule.name}: {rule.violations} rows. {rule.detail}", "red")
    for problem in report.problems:
        fact(console, "problem", f"{problem.table}: {problem.problem} {problem.cure}", "red")
    if report.detail:
        fact(console, "detail", report.detail)
