"""The page that keeps the results: `docs/benchmarks.md`.

Changes when the page is to say something else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bench.support.measure import machine
from bench.support.table import Row, markdown

_HEAD = """# Benchmarks

Written by `python -m bench`, which `make bench` runs; do not edit. Each line compares with a
reference that was measured in the same run on the same machine, by turns with ours: read the
ratios, the seconds belong to this machine. The data is generated and seeded: eight tables, a
million rows at scale 1 (the command below names the scale, the table the rows of this run),
keys of type bigint, uuid, text and two composite ones; 60 % of the changed keys are updated, 25
% inserted and 15 % deleted, in transactions of 100 rows, and some rows swap a unique value. The
source is PostgreSQL 16, the target 18, failback's roles are no superusers; both servers, the
references and failback share this machine.
"""


@dataclass(frozen=True)
class Run:
    """How and where the rows were measured."""

    command: str
    seconds: float
    load_before: str
    loads: Mapping[str, str]
    """The machine's load averages right after each benchmark."""
    revision: str = ""
    """Of the code that was measured."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


def page(rows: Sequence[Row], run: Run) -> str:
    """The whole page in Markdown."""
    loads = ", ".join(f"{name} {load}" for name, load in run.loads.items())
    revision = f"; revision {run.revision}" if run.revision else ""
    facts = [
        f"- date: {run.at:%Y-%m-%d %H:%M} UTC; the run took {run.seconds / 60:.1f} minutes",
        f"- machine: {machine()}",
        f"- command: `{run.command}`{revision}",
        f"- load averages (1, 5, 15 minutes): before {run.load_before}; after {loads}",
    ]
    return "\n".join([_HEAD, *facts, "", markdown(rows), ""])
