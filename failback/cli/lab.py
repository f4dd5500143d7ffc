"""`failback lab …`: the embedded estate, from `up` to `down`."""

import asyncio
import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import RootModel
from rich.console import Console

from failback.cli.output import ExitCode, Output
from failback.cli.writing import amount, fact, heading
from failback.lab import breaking, control
from failback.lab.audit import audit as compare
from failback.lab.channel import ask
from failback.lab.load import run as run_load
from failback.lab.loading import load_sql as load_on_both_sides
from failback.lab.state import LabState, read_state
from failback.lab.tally import LoadProgress, LoadSummary
from failback.models.common import Outcome, Side
from failback.models.decision import Mode

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

DirOption = Annotated[Path, typer.Option("--dir", "-d", help="The lab's folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print facts as one JSON document.")]


class Names(StrEnum):
    """Which name server a new lab gets."""

    AUTO = "auto"
    KNOT = "knot"
    BUILTIN = "builtin"


class LabFacts(RootModel[dict[str, Any]]):
    """A lab's endpoints, processes and faults."""


@app.command()
def up(
    ctx: typer.Context,
    directory: DirOption = control.DEFAULT_DIRECTORY,
    name: Annotated[str | None, typer.Option(help="Name of the estate; `lab` unless told.")] = None,
    dns: Annotated[Names, typer.Option(help="Which name server a new lab gets.")] = Names.AUTO,
    worker: Annotated[bool, typer.Option("--worker", help="Run a worker, too.")] = False,
    detection: Annotated[
        bool | None,
        typer.Option(
            "--detection/--no-detection",
            help="Run Prometheus, Alertmanager and the gateway, too; as --worker unless told.",
            show_default=False,
        ),
    ] = None,
    system: Annotated[
        bool,
        typer.Option(
            "--system/--no-system",
            help="Run what levels 3 and 4 take back, too: objects, functions, a standby.",
        ),
    ] = True,
    mode: Annotated[
        Mode, typer.Option(help="How far failback may go by itself when an alert comes.")
    ] = Mode.AUTOMATIC,
    as_json: JsonOption = False,
) -> int:
    """Start the lab, or go on with one that was stopped, and wait until everything answers.

    With a worker it takes itself back: `failback lab break errors` under load leads to a rollback
    that nobody started. Its thresholds' times are shortened for that.
    """
    output = _output(ctx, as_json)
    watched = worker if detection is None else detection
    state, was_up = control.up(
        directory,
        name=name,
        dns=dns.value,
        worker=worker,
        detection=watched,
        system=system,
        mode=mode,
    )
    if was_up:
        output.note(f"The lab in {directory} is up already.")
    elif watched and not state.facts["detection"]["on"]:
        output.note(f"Detection is off: {state.facts['detection']['why']}.")
    _show(output, state)
    return ExitCode.DONE


@app.command()
def status(
    ctx: typer.Context,
    directory: DirOption = control.DEFAULT_DIRECTORY,
    as_json: JsonOption = False,
) -> int:
    """Every endpoint, connection string and process. Exits 1 where the lab is not up."""
    state = control.state_of(directory)
    _show(_output(ctx, as_json), state)
    return ExitCode.DONE if state.is_up else ExitCode.FAILED


@app.command()
def down(
    ctx: typer.Context,
    directory: DirOption = control.DEFAULT_DIRECTORY,
    purge: Annotated[bool, typer.Option("--purge", help="Delete the lab's data, too.")] = False,
    as_json: JsonOption = False,
) -> int:
    """End every process of the lab. Its data stay for the next `up`, unless purged."""
    output = _output(ctx, as_json)
    state, outside = control.down(directory, purge=purge)
    kept = [str(folder) for folder in outside]
    facts = LabFacts({"state": state.state, "purged": purge, "data_outside": kept})
    output.show(facts, lambda console: heading(console, f"The lab in {directory} is down."))
    if kept:
        output.note(f"Its data are kept, also in {', '.join(kept)}; --purge deletes them.")
    return ExitCode.DONE


@app.command("break")
def break_(
    ctx: typer.Context,
    fault: Annotated[str, typer.Argument(help=f"One of: {', '.join(sorted(breaking.KNOWN))}.")],
    directory: DirOption = control.DEFAULT_DIRECTORY,
    side: Annotated[Side, typer.Option(help="Whose product carries it out.")] = Side.TARGET,
    share: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Part of the requests struck.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="What latency adds.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Break something, and keep it broken until it is healed."""
    command = {"command": "break", "fault": fault, "side": side.value}
    asked = breaking.Fault(fault, side, share, seconds)
    _command(
        _output(ctx, as_json),
        directory,
        {**command, "share": share, "seconds": seconds},
        f"Broken: {breaking.KNOWN[asked.name]}.",
    )
    return ExitCode.DONE


@app.command()
def heal(
    ctx: typer.Context,
    fault: Annotated[
        str | None, typer.Argument(help="The fault; all, where none is named.")
    ] = None,
    directory: DirOption = control.DEFAULT_DIRECTORY,
    as_json: JsonOption = False,
) -> int:
    """End a fault, and wait until what it kept down answers again."""
    if fault is not None:
        fault = breaking.Fault(fault).name
    _command(_output(ctx, as_json), directory, {"command": "heal", "fault": fault}, "Healed.")
    return ExitCode.DONE


@app.command("load-sql")
def load_sql(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file with SQL statements, such as a dump.")],
    directory: DirOption = control.DEFAULT_DIRECTORY,
    as_json: JsonOption = False,
) -> int:
    """Put a schema with its data on both sides, the source first."""
    state = control.running(directory)
    load_on_both_sides(file, state.facts)
    loaded = LabFacts({"file": str(file), "sides": [side.value for side in Side]})
    _output(ctx, as_json).show(
        loaded, lambda console: heading(console, f"{file} is on both sides.")
    )
    return ExitCode.DONE


@app.command()
def load(
    ctx: typer.Context,
    journal: Annotated[
        Path, typer.Option(help="File of acknowledged writes; one that is there is continued.")
    ],
    directory: DirOption = control.DEFAULT_DIRECTORY,
    users: Annotated[int, typer.Option(help="Customers that are signed up first.")] = 20,
    rps: Annotated[float, typer.Option(help="Requests that are due in a second.")] = 50.0,
    seconds: Annotated[float, typer.Option(help="How long requests are sent.")] = 30.0,
    seed: Annotated[
        int | None, typer.Option(help="Makes the customers' choices repeatable.")
    ] = None,
    objects: Annotated[
        bool | None,
        typer.Option(
            "--objects/--no-objects",
            help="Store objects, too; as the lab was started with --system unless told."
            " Levels 1 and 2 leave them on the target.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Be the product's customers, and write every acknowledged write to a journal.

    SIGINT and SIGTERM end it earlier, with a summary.
    """
    facts = control.running(directory).facts
    output = _output(ctx, as_json)

    async def act() -> LoadSummary:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        return await run_load(
            facts["balancer"]["api_url"],
            users=users,
            rps=rps,
            seconds=seconds,
            journal=journal,
            anon_key=facts["product"]["anon_key"],
            on_progress=lambda progress: output.note(_progress(progress)),
            seed=seed,
            objects="objects" in facts.get("system", {}) if objects is None else objects,
            stop=stop,
        )

    summary = asyncio.run(act())
    output.show(summary, lambda console: _write_summary(console, summary))
    return ExitCode.DONE


@app.command()
def audit(
    ctx: typer.Context,
    journal: Annotated[Path, typer.Option(help="What `failback lab load` wrote.")],
    directory: DirOption = control.DEFAULT_DIRECTORY,
    dsn: Annotated[
        str | None, typer.Option(help="The database to look into; else the lab's source.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Compare a journal of acknowledged writes with a database.

    Exits 1 where an acknowledged write is lost, or a value is wrong.
    """
    facts = {} if dsn and read_state(directory) is None else control.state_of(directory).facts
    if dsn is None:
        dsn = str(facts["source"]["dsn"])
    side = next((side for side in Side if dsn in facts.get(side.value, {}).values()), None)
    stored = facts.get("system", {}).get("objects", {})
    report = compare(journal, dsn, stored.get(side.value) if side else None)
    output = _output(ctx, as_json)
    output.show(report, lambda console: console.print(report.sentence))
    if report.objects_lost:
        output.note(
            f"{report.objects_lost} of the lost are objects: level 3 and `failback storage sync`"
            " bring them back, levels 1 and 2 leave them on the target."
        )
    if report.objects_unjudged:
        output.note(
            f"{report.objects_unjudged} objects were not judged: where they are is unknown."
        )
    return ExitCode.FAILED if report.lost or report.wrong else ExitCode.DONE


def _output(ctx: typer.Context, as_json: bool) -> Output:
    return Output(as_json=as_json or bool(ctx.find_root().params.get("as_json")))


def _command(output: Output, directory: Path, command: dict[str, Any], said: str) -> None:
    control.running(directory)
    answer = ask(directory, command)

    def write(console: Console) -> None:
        heading(console, said)
        fact(console, "faults on", ", ".join(answer["faults"]) or "none")

    output.show(LabFacts(answer), write)


def _show(output: Output, state: LabState) -> None:
    facts = control.facts(state)
    output.show(LabFacts(facts), lambda console: _write(console, facts))


def _write(console: Console, facts: dict[str, Any]) -> None:
    name, state = facts.get("name", "lab"), facts["state"]
    heading(
        console,
        f"Lab {name}: {state}",
        Outcome.SUCCEEDED if state == "running" else Outcome.FAILED,
    )
    if "config" in facts:
        fact(console, "config", facts["config"])
        fact(console, "product", facts["balancer"]["api_url"])
        fact(
            console, "Temporal", f"{facts['temporal']['address']}, UI {facts['temporal']['ui_url']}"
        )
        for side in Side:
            fact(console, side.value, facts[side.value]["dsn"])
        fact(console, "DNS", f"{facts['dns']['address']}, zone {facts['dns']['zone']}")
        _write_alerting(console, facts)
    fact(console, "faults on", ", ".join(facts["faults"]) or "none")
    for part, process in facts["processes"].items():
        lives = "runs" if process["running"] else "is not running"
        again = f", restarted {process['restarts']} times" if process["restarts"] else ""
        fact(console, "process", f"{part} {lives} (pid {process['pid']}{again})")
    if facts["failure"]:
        fact(console, "failure", facts["failure"])


def _write_alerting(console: Console, facts: dict[str, Any]) -> None:
    detection = facts.get("detection", {"on": False, "why": "an earlier version made this lab"})
    alerting = facts.get("alerting")
    how = (
        f"mode {alerting['mode']}" if alerting and detection["on"] else f"off ({detection['why']})"
    )
    fact(console, "detection", how)
    if alerting is None:
        return
    if detection["on"]:
        watching = f"{alerting['prometheus_url']}, Alertmanager {alerting['alertmanager_url']}"
        fact(console, "Prometheus", watching)
    fact(console, "gateway", alerting["gateway_url"])
    fact(console, "inbox", f"{alerting['inbox_file']} (notifications arrive here)")


def _progress(progress: LoadProgress) -> str:
    return (
        f"{progress.phase}, {progress.elapsed_seconds:.0f} s: {progress.acknowledged} writes"
        f" acknowledged, {progress.failed} requests failed, {progress.in_flight} in flight"
    )


def _write_summary(console: Console, summary: LoadSummary) -> None:
    heading(console, f"{summary.requests} requests of {summary.users} customers")
    fact(console, "writes", f"{summary.acknowledged} acknowledged, {summary.refused} refused")
    fact(console, "unknown", f"{summary.unknown} writes")
    reasons = ", ".join(f"{reason}: {count}" for reason, count in summary.failures.items())
    fact(console, "failed", f"{summary.failed} requests{f' ({reasons})' if reasons else ''}")
    if summary.failed_by_side:
        sides = ", ".join(f"{side}: {count}" for side, count in summary.failed_by_side.items())
        fact(console, "failed by", sides)
    if summary.requests_since_flip is not None:
        fact(
            console,
            "since flip",
            f"{summary.failed_since_flip} of {summary.requests_since_flip} requests failed",
        )
    fact(console, "skipped", f"{summary.skipped} requests")
    fact(console, "p95", amount(summary.latency_p95_ms, "ms"))
    fact(console, "write gap", amount(summary.write_gap_seconds, "s", unknown="not seen"))
