"""The table of results, on the console and as a page.

Changes when a result is shown in another way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

NOT_MEASURED = "not measured yet"


@dataclass(frozen=True)
class Row:
    """One line of the table: a piece of work, a reference, and how we compare.

    Args:
        work: what was done.
        reference: what it is compared with, with its figure of the same run.
        ours: our figure.
        ratio: how they compare, in words such as `4.2 × faster`.
        wanted: what it has to reach.
        reached: whether it did; None where nothing was measured or nothing is wanted.
        note: what has to be known about the figure.
    """

    work: str
    reference: str
    ours: str
    ratio: str
    wanted: str
    reached: bool | None
    note: str = ""

    @property
    def verdict(self) -> str:
        """`yes`, `no` or a dash."""
        return "–" if self.reached is None else "yes" if self.reached else "no"


def unmeasured(work: str, reference: str, wanted: str, note: str) -> Row:
    """A row for what cannot be measured, with why."""
    return Row(work, reference, NOT_MEASURED, "–", wanted, None, note)


def failed(name: str, error: Exception) -> Row:
    """A row for a benchmark that broke: no figure, and not reached."""
    why = (str(error).splitlines() or [""])[0][:200]
    return Row(name, "–", "failed", "–", "–", reached=False, note=f"{type(error).__name__}: {why}")


def times(ratio: float) -> str:
    """`4.20 × faster`, or slower."""
    return f"{ratio:.2f} × faster" if ratio >= 1 else f"{1 / ratio:.2f} × slower"


def faster(
    work: str, reference: str, ours: str, ratio: float, *, least: float, note: str = ""
) -> Row:
    """A row where the reference's time has to be at least so many times ours."""
    wanted = f"≥ {least:g} × faster" if least > 1 else "faster"
    return Row(work, reference, ours, times(ratio), wanted, ratio >= least, note)


def slower(
    work: str, reference: str, ours: str, ratio: float, *, most: float, note: str = ""
) -> Row:
    """A row where our time may be at most so many times the reference's."""
    return Row(work, reference, ours, f"{ratio:.2f} ×", f"≤ {most:g} ×", ratio <= most, note)


_HEADS = ("work", "reference", "ours", "ratio", "wanted", "reached")


def console(rows: Sequence[Row]) -> str:
    """The table as plain text, notes below it."""
    cells = [_HEADS, *(_cells(row) for row in rows)]
    widths = [min(46, max(len(line[place]) for line in cells)) for place in range(len(_HEADS))]
    lines = []
    for number, line in enumerate(cells):
        wrapped = [_wrap(cell, width) for cell, width in zip(line, widths, strict=True)]
        for part in range(max(map(len, wrapped))):
            texts = [each[part] if part < len(each) else "" for each in wrapped]
            padded = [text.ljust(width) for text, width in zip(texts, widths, strict=True)]
            lines.append("  ".join(padded).rstrip())
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
    lines += [f"* {row.work}: {row.note}" for row in rows if row.note]
    return "\n".join(lines)


def markdown(rows: Sequence[Row]) -> str:
    """The table and its notes in Markdown."""
    lines = [_line(_HEADS), _line(["---"] * len(_HEADS)), *(_line(_cells(row)) for row in rows)]
    notes = [f"- **{row.work}**: {row.note}" for row in rows if row.note]
    return "\n".join([*lines, "", *notes])


def _cells(row: Row) -> tuple[str, ...]:
    return (row.work, row.reference, row.ours, row.ratio, row.wanted, row.verdict)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _wrap(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
