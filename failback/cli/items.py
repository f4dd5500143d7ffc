"""Reports of several items, such as functions, keys or sessions, for people."""

from rich.console import Console
from rich.text import Text

from failback.cli.output import redacted
from failback.cli.writing import MARKS, STYLES, amount, heading
from failback.models.system import ItemsReport


def write_items(console: Console, title: str, report: ItemsReport) -> None:
    """A heading, and below it each item with what is to be said about it."""
    heading(console, title, report.outcome)
    if report.note:
        console.print(Text(f"  {report.note}", style="yellow"))
    for item in report.items:
        mark = Text(f"  {MARKS[item.outcome]} ", style=STYLES[item.outcome])
        took = f"  {amount(item.milliseconds, 'ms')}" if item.milliseconds else ""
        console.print(mark + Text(f"{item.name}{took}"))
        for part in item.detail.split("; "):
            if part:
                console.print(Text(f"      {redacted(part)}", style="dim"))
