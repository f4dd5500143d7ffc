"""`failback fence …`: who may write, by hand, for when no rollback is there to do it."""

from contextlib import closing
from typing import Annotated

import typer
from rich.console import Console

from failback.cli.exits import of_outcome
from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.cli.writing import fact, heading
from failback.models.common import Payload, Side
from failback.models.sync import FenceReport

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

SideArgument = Annotated[Side, typer.Argument(help="source or target.")]


class Fences(Payload):
    """Whether each side refuses writes."""

    source_fenced: bool
    target_fenced: bool


@app.command()
def status(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Which side takes writes. Exits 1 where both do."""
    session = opened(ctx, config, as_json)
    with closing(session.engine()) as engine:
        found = Fences(
            source_fenced=engine.fenced(Side.SOURCE), target_fenced=engine.fenced(Side.TARGET)
        )

    def write(console: Console) -> None:
        for side, fenced in (("source", found.source_fenced), ("target", found.target_fenced)):
            fact(console, side, "fenced: it refuses writes" if fenced else "takes writes")

    session.output.show(found, write)
    return ExitCode.DONE if found.source_fenced or found.target_fenced else ExitCode.FAILED


@app.command("raise")
def raise_fence(
    ctx: typer.Context,
    side: SideArgument,
    grace: Annotated[
        float, typer.Option(min=0.0, help="Seconds after which writers in flight are ended.")
    ] = 1.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make it impossible to acknowledge a write on one side, and prove it."""
    session = opened(ctx, config, as_json)
    with closing(session.engine()) as engine:
        report = engine.raise_fence(side, grace)
    return _shown(session, report)


@app.command()
def lift(
    ctx: typer.Context,
    side: SideArgument,
    accepted_by: Annotated[
        str,
        typer.Option(
            "--accepted-by",
            metavar="NAME",
            help="Who accepts that the source is opened while it lacks a part of the tail.",
        ),
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let writes in on one side; refused where both would take them, or writes would be lost."""
    session = opened(ctx, config, as_json)
    with closing(session.engine()) as engine:
        report = engine.lift_fence(side, accepted_by)
    return _shown(session, report)


def _shown(session: Session, report: FenceReport) -> int:
    """A fence's report, and the exit code that its outcome has."""

    def write(console: Console) -> None:
        state = "fenced" if report.raised else "open to writers"
        heading(
            console,
            f"The {report.side.value} is {state}{'' if report.changed else ', as it was before'}.",
        )
        for name, values in (
            ("ended", report.terminated),
            ("prepared", report.prepared),
            ("proof", report.proofs),
        ):
            for value in values:
                fact(console, name, value)
        if report.detail:
            fact(console, "detail", report.detail)

    session.output.show(report, write)
    return of_outcome(report.outcome)
