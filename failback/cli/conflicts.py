"""`failback sync conflicts …`: rows that both sides changed, looked at and settled."""

from contextlib import closing
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, me, opened
from failback.cli.writing import fact, heading
from failback.errors import ConfigurationError
from failback.models.common import Outcome, Payload
from failback.models.settling import ConflictChoice, Keep, Settled, Settlement, SettleReport
from failback.models.sync import Conflict

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Rows that changed on both sides."
)

_SHOWN = 48
"""Characters of a value on a console; JSON has all of it."""


class Conflicts(Payload):
    """Parked conflicts, oldest first."""

    conflicts: tuple[Conflict, ...]


@app.command("list")
def list_conflicts(
    ctx: typer.Context,
    settled: Annotated[bool, typer.Option("--settled", help="Show settled ones too.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Rows that changed on both sides after a flip, with the columns that differ."""
    session = opened(ctx, config, as_json)
    with closing(session.engine()) as engine:
        found = Conflicts(conflicts=engine.conflicts(include_settled=settled))
    session.output.show(found, lambda console: _write_list(console, found))
    return ExitCode.DONE


@app.command()
def show(
    ctx: typer.Context,
    number: Annotated[int, typer.Argument(metavar="ID", help="Of a conflict.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Both versions of one row, side by side; columns that differ are marked."""
    session = opened(ctx, config, as_json)
    with closing(session.engine()) as engine:
        found = [one for one in engine.conflicts(include_settled=True) if one.id == number]
    if not found:
        raise ConfigurationError(
            f"There is no conflict {number}.", "`failback sync conflicts list` shows those."
        )
    session.output.show(found[0], lambda console: _write_one(console, found[0]))
    return ExitCode.DONE


@app.command()
def settle(
    ctx: typer.Context,
    keep: Annotated[Keep, typer.Option(help="Whose version is right.")],
    number: Annotated[
        int | None, typer.Argument(metavar="[ID]", help="Of a conflict; else --all.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that --table matches.")] = False,
    table: Annotated[
        str, typer.Option(metavar="PATTERN", help="With --all: schema.table, with * and ?.")
    ] = "",
    column: Annotated[
        str, typer.Option(metavar="NAME", help="With --keep newest: the column that tells.")
    ] = "",
    who: Annotated[str, typer.Option("--as", help="Who decides.", show_default="you")] = "",
    comment: Annotated[str, typer.Option(help="Why; kept with the decision.")] = "",
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would come of it; change nothing.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Decide which version is right: one by one, or by a rule.

    The source's version is in place already. The target's takes its place only where the row is
    still the one that was shown. Exits 3 where a conflict was refused or left undecided.
    """
    session = opened(ctx, config, as_json)
    if every == (number is not None) or every != bool(table):
        raise ConfigurationError(
            "Either one conflict is settled, or all that a pattern matches.",
            "Give an ID, or --all with --table PATTERN ('*' for every table).",
        )
    choice = ConflictChoice(
        keep=keep,
        who=who or me(),
        ids=() if number is None else (number,),
        table=table,
        column=column,
        comment=comment,
        plan=plan,
    )
    with closing(session.engine()) as engine:
        report = engine.settle_conflicts(choice)
    session.output.show(report, lambda console: _write_report(console, report, plan=plan))
    return ExitCode.DONE if report.complete else ExitCode.WAITING


def _write_list(console: Console, found: Conflicts) -> None:
    if not found.conflicts:
        heading(console, "No conflict is parked")
        return
    still = sum(one.settled_at is None for one in found.conflicts)
    heading(console, f"{still} open conflicts", Outcome.INCONCLUSIVE if still else None)
    for one in found.conflicts:
        fact(console, f"#{one.id}", f"{one.table} {_bounded(one.key)}, {_standing(one)}")
        fact(console, "  differ", _differences(one))


def _differences(one: Conflict) -> str:
    for side, version in (("source", one.source_image), ("target", one.target_image)):
        if version is None:
            return f"the {side} has no such row"
    return ", ".join(one.differing) or "nothing any more"


def _standing(one: Conflict) -> str:
    if one.settled_at is None:
        return f"parked {one.parked_at:%F %T}"
    return f"settled {one.settled_at:%F %T} by {one.settled_by}: {one.resolution}"


def _write_one(console: Console, one: Conflict) -> None:
    heading(
        console,
        f"#{one.id} {one.table} {_bounded(one.key)}",
        Outcome.INCONCLUSIVE if one.settled_at is None else Outcome.SUCCEEDED,
    )
    fact(console, "state", _standing(one))
    if one.settled_at is None and one.resolution:
        fact(console, "reason", one.resolution)
    versions = Table(box=None, padding=(0, 2))
    for name in ("", "column", "source", "target"):
        versions.add_column(name)
    differing = set(one.differing)
    for name in dict.fromkeys((*(one.source_image or {}), *(one.target_image or {}))):
        style = "yellow" if name in differing else ""
        versions.add_row(
            Text("≠" if name in differing else " "),
            Text(name),
            *(Text(_value(version, name)) for version in (one.source_image, one.target_image)),
            style=style,
        )
    console.print(versions)


def _value(version: dict[str, str | None] | None, name: str) -> str:
    if version is None:
        return "(no row)"
    if name not in version:
        return "(no column)"
    value = version[name]
    return "NULL" if value is None else _bounded(value)


def _bounded(text: str) -> str:
    """A value on one line, and no longer than a column of a console."""
    line = text[: _SHOWN + 1].encode("unicode_escape").decode() if _is_odd(text) else text
    if len(text) <= _SHOWN and len(line) <= _SHOWN:
        return line
    return f"{line[:_SHOWN]}… ({len(text):,} characters)"


def _is_odd(text: str) -> bool:
    return not text[: _SHOWN + 1].isprintable()


def _write_report(console: Console, report: SettleReport, *, plan: bool) -> None:
    if not report.settlements:
        heading(console, "No open conflict is meant", Outcome.INCONCLUSIVE)
        return
    done = sum(
        one.result in (Settled.SETTLED, Settled.PLANNED, Settled.ALREADY)
        for one in report.settlements
    )
    heading(
        console,
        f"{done} of {len(report.settlements)} {'would be ' if plan else ''}settled",
        Outcome.SUCCEEDED if report.complete else Outcome.INCONCLUSIVE,
    )
    for one in report.settlements:
        _write_settlement(console, one)
    fact(console, "open", f"{report.open_conflicts} conflicts")


def _write_settlement(console: Console, one: Settlement) -> None:
    kept = f", {one.keep.value}'s version" if one.keep is not None else ""
    why = f": {one.detail}. {one.cure}".rstrip(". ") if one.detail else ""
    fact(
        console,
        f"#{one.conflict.id}",
        f"{one.conflict.table} {_bounded(one.conflict.key)}, {one.result.value}{kept}{why}",
        "" if one.result in (Settled.SETTLED, Settled.PLANNED, Settled.ALREADY) else "yellow",
    )
