"""`failback recovery …`: where a disaster recovery stands, and what people answer at its gates."""

import asyncio
from contextlib import closing
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from failback.cli.decisions import AsOption, RoleOption
from failback.cli.exits import of_outcome
from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, Session, opened
from failback.cli.writing import MARKS, STYLES, amount, fact, heading
from failback.errors import ConfigurationError
from failback.models.common import Outcome
from failback.models.recovery import (
    Assessment,
    Condition,
    GateAnswer,
    GateVerb,
    RecoveryGate,
    RecoveryResult,
    ReturnedService,
)

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

GateArgument = Annotated[str, typer.Argument(metavar="GATE", help="As `recovery status` shows it.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it stands in the record.")]
RollbackOption = Annotated[
    str | None, typer.Option("--rollback", metavar="ID", help="Of which rollback; else the newest.")
]

_OUTCOME = {
    Condition.HEALTHY: Outcome.SUCCEEDED,
    Condition.DEGRADED: Outcome.INCONCLUSIVE,
    Condition.CORRUPTED: Outcome.FAILED,
    Condition.GONE: Outcome.FAILED,
    Condition.UNKNOWN: Outcome.INCONCLUSIVE,
}


@app.command()
def status(
    ctx: typer.Context,
    rollback: RollbackOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """What was found, restored and returned, and the gate that waits.

    Exits 3 while a gate waits or a step runs, 1 where people have to take over, else 0.
    """
    session = opened(ctx, config, as_json)
    found = asyncio.run(_status(session, rollback))
    session.output.show(found, lambda console: write_recovery(console, found))
    if found.manual_intervention_required:
        return ExitCode.FAILED
    return ExitCode.DONE if _all_back(found) else ExitCode.WAITING


@app.command()
def assess(ctx: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> int:
    """Look at every part now, as a level 4 does first. Nothing stays written; no worker is needed.

    Exits 0 where every part is healthy, 1 where one has to be restored, 3 where one is degraded or
    could not be told, as one that is not configured.
    """
    session = opened(ctx, config, as_json)
    recovery = session.recovery()
    if recovery is None:
        raise ConfigurationError(
            "The configuration has no section `recovery`.",
            "Add one with standby_dsn (see docs/recovery.md).",
        )
    with closing(recovery):
        found = recovery.assess(session.output.note)
    outcome = _assessed(found)

    def write(console: Console) -> None:
        heading(console, f"Assessment of {session.estate.estate}", outcome)
        write_assessment(console, found)

    session.output.show(found, write)
    return of_outcome(outcome)


@app.command("go-on")
def go_on(
    ctx: typer.Context,
    gate: GateArgument,
    as_name: AsOption,
    role: RoleOption = "",
    reason: ReasonOption = "",
    rollback: RollbackOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let the step after a gate be done."""
    answer = GateAnswer(gate=gate, verb=GateVerb.GO_ON, who=as_name, role=role, reason=reason)
    return _answered(opened(ctx, config, as_json), rollback, answer)


@app.command()
def repeat(
    ctx: typer.Context,
    gate: GateArgument,
    as_name: AsOption,
    role: RoleOption = "",
    reason: ReasonOption = "",
    rollback: RollbackOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Do the step before a gate once more."""
    answer = GateAnswer(gate=gate, verb=GateVerb.REPEAT, who=as_name, role=role, reason=reason)
    return _answered(opened(ctx, config, as_json), rollback, answer)


@app.command()
def skip(
    ctx: typer.Context,
    gate: GateArgument,
    as_name: AsOption,
    reason: ReasonOption,
    role: RoleOption = "",
    rollback: RollbackOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Leave the step after a gate out; or, where the step before failed, leave that as it is."""
    answer = GateAnswer(gate=gate, verb=GateVerb.SKIP, who=as_name, role=role, reason=reason)
    return _answered(opened(ctx, config, as_json), rollback, answer)


@app.command()
def abort(
    ctx: typer.Context,
    gate: GateArgument,
    as_name: AsOption,
    reason: ReasonOption,
    role: RoleOption = "",
    rollback: RollbackOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """End the recovery; its result is a runbook of what was done and what is left."""
    answer = GateAnswer(gate=gate, verb=GateVerb.ABORT, who=as_name, role=role, reason=reason)
    return _answered(opened(ctx, config, as_json), rollback, answer)


def _answered(session: Session, rollback: str | None, answer: GateAnswer) -> int:
    passed = asyncio.run(_answer(session, rollback, answer))

    def write(console: Console) -> None:
        verb = answer.verb.value.replace("_", " ")
        heading(console, f"Gate {passed.gate}: {verb} by {answer.who}")
        fact(console, "follow", "failback recovery status")

    session.output.show(passed, write)
    return ExitCode.DONE


async def _status(session: Session, rollback: str | None) -> RecoveryResult:
    recoveries = await session.recoveries()
    return await recoveries.recovery(rollback)


async def _answer(session: Session, rollback: str | None, answer: GateAnswer) -> RecoveryGate:
    recoveries = await session.recoveries()
    return await recoveries.answer(rollback, answer)


def _assessed(found: Assessment) -> Outcome:
    """The gravest of what was found; an assessment of nothing says nothing."""
    outcomes = {_OUTCOME[one.condition] for one in found.parts}
    if Outcome.FAILED in outcomes:
        return Outcome.FAILED
    return Outcome.SUCCEEDED if outcomes == {Outcome.SUCCEEDED} else Outcome.INCONCLUSIVE


def _all_back(found: RecoveryResult) -> bool:
    waiting = bool(found.gates) and found.gates[-1].answer is None
    back = [one for one in found.services if one.outcome is Outcome.SUCCEEDED]
    return not waiting and len(back) == len(found.services) > 0


def write_recovery(console: Console, found: RecoveryResult) -> None:
    """A recovery as it stands: parts, backup, restores, services, and the gate that waits."""
    heading(console, "Recovery", None if not _all_back(found) else Outcome.SUCCEEDED)
    if found.assessment is not None:
        write_assessment(console, found.assessment)
    for report in found.restores:
        mark = MARKS[report.outcome]
        fact(
            console,
            f"{mark} {report.part.value}"[:12],
            f"{report.place or report.detail}, {report.rows:,} rows, {amount(report.seconds, 's')}",
        )
    if found.loss_seconds is not None:
        fact(console, "loss", f"at most {amount(found.loss_seconds, 's')}")
    if found.services:
        console.print(_services(found.services))
    for item in found.left:
        fact(console, "left out", f"{item.name}: {item.detail}", "yellow")
    if found.gates and found.gates[-1].answer is None:
        _write_gate(console, found.gates[-1])
    if found.manual_intervention_required:
        heading(console, "People have to take over", Outcome.FAILED)
        console.print(found.runbook, markup=False)


def write_assessment(console: Console, found: Assessment) -> None:
    """What is damaged, with the evidence, and what it can be restored from."""
    for one in found.parts:
        outcome = _OUTCOME[one.condition]
        fact(console, f"{MARKS[outcome]} {one.part.value}", one.condition.value, STYLES[outcome])
        for item in one.evidence:
            if item.outcome is not Outcome.SUCCEEDED:
                fact(console, "", f"{item.name}: {item.detail}", "dim")
    choice = found.choice
    if choice.backup:
        taken = f", taken {choice.taken_at:%F %T} UTC" if choice.taken_at else ""
        fact(console, "backup", f"{choice.backup}{taken}, {choice.rows:,} rows")
    else:
        fact(console, "backup", choice.detail or "none", "red")
    for item in choice.passed_over:
        fact(console, "passed over", f"{item.name}: {item.detail}", "yellow")
    archive = found.archive
    if archive.joins_backup:
        held = f"{archive.segments} segments, {archive.keys:,} keys beyond the backup"
        fact(console, "archive", held)
    else:
        fact(console, "archive", archive.detail or "does not reach back to the backup", "yellow")
    fact(console, "estimate", f"restore {amount(found.restore_seconds, 's', 'of unknown length')}")


def _services(services: tuple[ReturnedService, ...]) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("", "service", "enabled", "stable", "share", "holds", "detail"):
        table.add_column(name)
    for one in services:
        table.add_row(
            Text(MARKS[one.outcome], style=STYLES[one.outcome]),
            one.service.value.replace("_", " "),
            f"{one.enabled_at:%T}",
            f"{one.stable_at:%T}" if one.stable_at else "–",
            f"{one.traffic_share} %",
            str(one.holds),
            Text(one.detail, style="dim"),
        )
    return table


def _write_gate(console: Console, gate: RecoveryGate) -> None:
    heading(console, f"Gate {gate.gate} waits since {gate.opened_at:%T} UTC", None)
    fact(console, "next", gate.plan)
    failed = gate.last_outcome is Outcome.FAILED
    fact(console, "before", gate.last_detail or "done", "red" if failed else "")
    for line in gate.evidence:
        fact(console, "", line, "dim")
    if gate.loss_seconds is not None:
        fact(console, "loss", f"at most {amount(gate.loss_seconds, 's')}")
    fact(console, "takes", amount(gate.seconds, "s"))
    verbs = ("repeat", "skip", "abort") if failed else ("go-on", "repeat", "skip", "abort")
    for verb in verbs:
        reason = " --reason WHY" if verb in ("skip", "abort") else ""
        fact(console, verb, f"failback recovery {verb} {gate.gate} --as NAME --role ROLE{reason}")
