"""How a rollback looks on a console: its steps against their budgets, its end, its people."""

from datetime import UTC, datetime

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from failback.cli.exits import ENDED
from failback.cli.writing import MARKS, STYLES, amount, fact, heading
from failback.models.common import Outcome
from failback.models.rollback import (
    Phase,
    RecordedDecision,
    RollbackResult,
    RollbackStatus,
    StepRecord,
)

BAR_WIDTH = 24


class StepNews:
    """Prints each step once when it ends, for people who wait without a live table.

    Args:
        console: where the lines go.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[tuple[str, datetime]] = set()
        self._phase: Phase | None = None

    def tell(self, status: RollbackStatus) -> None:
        """Print what is new since the last call."""
        self._tell_steps(status.steps)
        if status.phase is not self._phase:
            self._phase = status.phase
            detail = f": {status.detail}" if status.detail else ""
            self._console.print(Text(f"… {_words(status.phase)}{detail}", style="cyan"))

    def tell_result(self, result: RollbackResult) -> None:
        """Print the steps that ended since the last status."""
        self._tell_steps(result.steps)

    def _tell_steps(self, steps: tuple[StepRecord, ...]) -> None:
        for step in steps:
            key = (step.name, step.started_at)
            if step.ended_at is not None and key not in self._told:
                self._told.add(key)
                self._console.print(_line(step))


def outcome_of(status: RollbackStatus) -> Outcome | None:
    """The outcome of a rollback as it stands; None while it goes on."""
    if status.phase not in ENDED:
        return None
    if status.result is not None:
        return Outcome.SUCCEEDED if status.result.success else Outcome.FAILED
    return Outcome.SUCCEEDED if status.phase is Phase.DONE else Outcome.FAILED


def steps_table(steps: tuple[StepRecord, ...], now: datetime | None = None) -> Table:
    """Steps with a bar of the time they took against their budget.

    Args:
        steps: in the order they began.
        now: what a running step is measured against; the present where None.
    """
    now = now or datetime.now(UTC)
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in ("", "step", "", "took", "budget", "tries", "detail"):
        table.add_column(name, justify="right" if name in ("took", "budget", "tries") else "left")
    for step in steps:
        took = ((step.ended_at or now) - step.started_at).total_seconds()
        over = took > step.budget_seconds
        style = STYLES[step.outcome]
        table.add_row(
            Text(MARKS[step.outcome], style=style),
            step.name.replace("_", " "),
            ProgressBar(
                total=step.budget_seconds,
                completed=min(took, step.budget_seconds),
                width=BAR_WIDTH,
                complete_style="red" if over else "green",
                finished_style="red" if over else "green",
            ),
            Text(amount(took, "s"), style="bold red" if over else ""),
            f"{step.budget_seconds:g} s",
            str(step.attempts),
            Text(step.detail, style="dim", overflow="fold"),
        )
    return table


def write_status(console: Console, status: RollbackStatus) -> None:
    """A rollback as it stands, or its result once it has one."""
    never_acted = status.phase in (Phase.REJECTED, Phase.CANCELLED)
    if status.result is not None and not never_acted:
        write_result(console, status.result)
        return
    write_head(console, status)
    if status.result is not None and status.result.error:
        fact(console, "because", status.result.error)
    if status.steps:
        console.print(steps_table(status.steps))
    _write_decisions(console, status.decisions)


def write_head(console: Console, status: RollbackStatus) -> None:
    """The first lines of a rollback's status."""
    title = f"Rollback {status.rollback_id}, level {status.level.value}: {_words(status.phase)}"
    heading(console, title, outcome_of(status))
    fact(console, "reason", f"{status.reason} ({status.requested_by})")
    fact(console, "started", f"{status.started_at:%F %T} UTC")
    if status.detail:
        fact(console, "detail", status.detail)
    if status.phase is Phase.WAITING_FOR_APPROVAL:
        missing = f", missing {status.approvals_missing}" if status.approvals_missing else ""
        fact(
            console,
            "approvals",
            f"{status.approvals_given} of {status.approvals_needed}{missing}",
            "yellow",
        )
        if status.expires_at is not None:
            fact(console, "until", f"{status.expires_at:%F %T} UTC")
        fact(console, "plan", status.plan_hash)
        fact(
            console,
            "approve",
            f"failback rollback approve {status.rollback_id} --as NAME --role ROLE"
            f"{f' --plan-hash {status.plan_hash[:12]}' if status.plan_hash else ''}",
        )
    if status.phase is Phase.AT_GATE:
        fact(console, "gate", "failback recovery status", "yellow")
    if status.escalated:
        fact(console, "escalated", "acts as level 1", "yellow")


def write_result(console: Console, result: RollbackResult) -> None:
    """A rollback's result: verdict, figures, steps, people."""
    verdict = "succeeded" if result.success else "FAILED"
    heading(
        console,
        f"Rollback {result.rollback_id}, level {result.level.value}: {verdict}",
        Outcome.SUCCEEDED if result.success else Outcome.FAILED,
    )
    fact(console, "reason", f"{result.reason} ({result.requested_by})")
    waited = f", after waiting {amount(result.waited_seconds, 's')} for people"
    took = amount(result.execution_seconds, "s")
    fact(console, "took", f"{took}{waited if result.waited_seconds else ''}")
    loss = result.data_loss
    lost = "not known" if loss.lost_rows is None else f"{loss.lost_rows:,} rows"
    bad = loss.lost_rows != 0 or loss.tail in ("pending", "unknown")
    parked = f", {loss.parked_conflicts} conflicts parked" if loss.parked_conflicts else ""
    told = f"{lost}, tail {loss.tail}{parked}. {loss.detail}".rstrip(". ")
    fact(console, "lost", told, "red" if bad else "")
    share = result.service_availability
    said = (
        "not measured" if share is None else f"{share:.2%} of {result.availability.probes} probes"
    )
    fact(console, "available", said)
    fact(console, "synced", f"{result.synced_records:,} records")
    if result.write_gap_seconds is not None:
        fact(console, "write gap", amount(result.write_gap_seconds, "s"))
    if result.lag_before_fence_seconds is not None:
        fact(console, "lag before", amount(result.lag_before_fence_seconds, "s"))
    if result.verification is not None:
        found = result.verification
        differing = found.missing + found.extra + found.different
        exact = "exact" if found.exact else "not fenced"
        fact(console, "compared", f"{len(found.tables)} tables, {differing} rows differ, {exact}")
    if result.validation is not None:
        right = sum(item.outcome is Outcome.SUCCEEDED for item in result.validation.items)
        fact(console, "validated", f"{right} of {len(result.validation.items)} checks right")
    if result.paused:
        fact(console, "paused", f"{', '.join(result.paused)}: failback pauses resume", "yellow")
    if result.recovery is not None and result.recovery.loss_seconds is not None:
        fact(console, "loss", f"at most {amount(result.recovery.loss_seconds, 's')}")
    if result.error:
        fact(console, "error", result.error, "red")
    if result.emergency_action:
        fact(console, "emergency", result.emergency_action.value, "bold red")
    console.print(steps_table(result.steps, result.ended_at))
    for child in result.children:
        console.print(Text(f"  child {child.rollback_id}, level {child.level.value}:"))
        console.print(steps_table(child.steps, child.ended_at))
    _write_decisions(console, result.decisions)


def _write_decisions(console: Console, decisions: tuple[RecordedDecision, ...]) -> None:
    for one in decisions:
        role = f" as {one.role}" if one.role else ""
        counted = "" if one.counted else f" (did not count: {one.why_not})"
        said = f"{one.who}{role} at {one.at:%T}{counted}. {one.comment}"
        fact(console, one.verb.replace("_", " "), said.strip(), "" if one.counted else "yellow")


def _line(step: StepRecord) -> Text:
    took = amount(step.seconds, "s")
    detail = f"  {step.detail}" if step.detail else ""
    tries = f", {step.attempts} tries" if step.attempts > 1 else ""
    text = f"{step.name.replace('_', ' ')}: {took} of {step.budget_seconds:g} s{tries}{detail}"
    return Text(f"{MARKS[step.outcome]} ", style=STYLES[step.outcome]) + Text(text, style="default")


def _words(phase: Phase) -> str:
    return phase.value.replace("_", " ")
