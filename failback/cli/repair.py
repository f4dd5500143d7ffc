"""`failback sync repair`: show the rows that the two sides do not share, and make them equal."""

from contextlib import closing
from typing import Annotated

import typer
from rich.console import Console

from failback.cli.exits import of_outcome
from failback.cli.output import ExitCode
from failback.cli.session import ConfigOption, JsonOption, opened
from failback.cli.writing import fact, heading
from failback.models.common import Outcome
from failback.models.repair import RepairReport, RowDifference, TableRepair


def repair(
    ctx: typer.Context,
    apply: Annotated[
        bool, typer.Option("--apply/--plan", help="Do it, or show what would be done.")
    ] = False,
    rows: Annotated[
        int, typer.Option(min=0, max=10_000, help="Rows of each table to show with both images.")
    ] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Find every row that the sides do not share; the target's version wins.

    Works while the source is fenced. A row is touched only if both sides still have it as it was
    compared. Exits 1 where a plan finds differences, or a repair leaves some.
    """
    session = opened(ctx, config, as_json)
    with closing(session.engine()) as engine:
        found = engine.repair(session.output.note, plan_only=not apply, rows=rows)
    session.output.show(found, lambda console: _write(console, found))
    if not found.applied and found.total:
        return ExitCode.FAILED
    return of_outcome(found.outcome)


def _write(console: Console, found: RepairReport) -> None:
    if found.applied:
        heading(console, f"{found.repaired:,} of {found.total:,} rows were repaired", found.outcome)
    else:
        heading(
            console,
            f"{found.total:,} rows would be repaired" if found.total else "Nothing to repair",
            Outcome.INCONCLUSIVE if found.total else found.outcome,
        )
    for table in found.tables:
        _write_table(console, table, applied=found.applied)
    after = found.verification
    if after is not None:
        left = after.missing + after.extra + after.different
        fact(console, "afterwards", f"{left} rows differ", "" if not left else "red")
        for rule in (*after.foreign_keys, *after.rules):
            if rule.violations:
                fact(console, "violated", f"{rule.name}: {rule.violations} rows", "red")
    if found.detail:
        fact(console, "detail", found.detail)
    if not found.applied and found.total:
        fact(console, "next", "failback sync repair --apply")


def _write_table(console: Console, table: TableRepair, *, applied: bool) -> None:
    counts = f"{table.missing} missing, {table.extra} extra, {table.different} different"
    fact(console, "table", f"{table.table}: {counts}")
    for effect in table.effects if not applied else ():
        fact(console, "  would", effect)
    for row in table.rows:
        _write_row(console, row)
    if table.total > len(table.rows) and table.rows:
        fact(console, "", f"… and {table.total - len(table.rows):,} more")
    if not table.repairable:
        fact(console, "  not done", table.why_not, "yellow")
    for key in table.skipped:
        fact(console, "  left alone", f"{key}: it is not any more what was compared", "yellow")


def _write_row(console: Console, row: RowDifference) -> None:
    key = ", ".join(f"{name}={value}" for name, value in row.key.items())
    fact(console, f"  {row.kind}", key)
    source, target = row.source_image, row.target_image
    if source is None or target is None:
        image = source or target
        if image is not None:
            fact(console, "    source" if source else "    target", _values(image))
        return
    differing = [name for name in target if target[name] != source.get(name)]
    fact(console, "    source", _values({name: source.get(name) for name in differing}))
    fact(console, "    target", _values({name: target[name] for name in differing}))


def _values(image: dict[str, str | None]) -> str:
    return ", ".join(f"{name}={'NULL' if text is None else text}" for name, text in image.items())
