"""How facts look on a console: a heading with its verdict, then one labelled line each.

Texts that come from servers and people are never read as markup.
"""

from rich.console import Console
from rich.text import Text

from failback.cli.output import redacted
from failback.models.common import Outcome

STYLES = {
    Outcome.SUCCEEDED: "green",
    Outcome.FAILED: "bold red",
    Outcome.INCONCLUSIVE: "yellow",
    None: "cyan",
}
MARKS = {
    Outcome.SUCCEEDED: "✓",
    Outcome.FAILED: "✗",
    Outcome.INCONCLUSIVE: "?",
    None: "…",
}
LABEL_WIDTH = 12


def heading(console: Console, text: str, outcome: Outcome | None = Outcome.SUCCEEDED) -> None:
    """The first line of an answer, marked with its outcome."""
    mark = Text(f"{MARKS[outcome]} ", style=STYLES[outcome])
    console.print(mark + Text(redacted(text), style="bold"))


def fact(console: Console, label: str, text: str, style: str = "") -> None:
    """One labelled line."""
    console.print(Text(f"  {label:<{LABEL_WIDTH}}") + Text(redacted(text), style=style))


def amount(number: float | None, unit: str, unknown: str = "unknown") -> str:
    """A number with its unit; a word where it is not known."""
    if number is None:
        return unknown
    if unit == "bytes":
        return _size(number)
    if unit == "s":
        return f"{number:.3f} s" if number < 1 else f"{number:.1f} s"
    return f"{number:,.0f} {unit}"


def _size(number: float) -> str:
    for name in ("B", "KiB", "MiB"):
        if number < 1024:  # noqa: PLR2004 - the step between binary units
            return f"{number:.0f} {name}" if name == "B" else f"{number:.1f} {name}"
        number /= 1024
    return f"{number:.1f} GiB"
