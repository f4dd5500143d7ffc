"""How reports of several items look on a console."""

from rich.console import Console
from rich.text import Text

from failback.cli.output import redacted
from failback.cli.writing import MARKS, STYLES, heading
from failback.models.common import Outcome
from failback.models.system import ItemsReport


def write_items(
    console: Console, title: str, found: ItemsReport, none: Outcome = Outcome.INCONCLUSIVE
) -> None:
    """A heading, what holds for all, and a line for each item.

    Args:
        console: where it is printed.
        title: the heading.
        found: the report.
        none: what it means that there is no item.
    """
    heading(console, title, found.outcome if found.items else none)
    if found.note:
        console.print(Text(f"  {found.note}", style="dim"))
    for item in found.items:
        line = Text(f"  {MARKS[item.outcome]} ", style=STYLES[item.outcome]) + Text(item.name)
        if item.changed:
            line += Text(" changed", style="cyan")
        if item.detail:
            line += Text(f": {redacted(item.detail)}", style="dim")
        console.print(line)
