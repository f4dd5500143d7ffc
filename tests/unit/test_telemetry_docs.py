"""docs/telemetry.md names every metric that the code publishes, and no other."""

import ast
import re
from pathlib import Path

from failback.telemetry import BUCKETS_SECONDS
from workflows.timeline import STEP_SECONDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")


def published() -> set[str]:
    """The names of the metrics that workflows and activities create."""
    names = {STEP_SECONDS}
    for package in ("workflows", "activities"):
        for path in (ROOT / package).glob("*.py"):
            names |= {
                node.args[0].value
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr.startswith("create_")
                and isinstance(node.args[0], ast.Constant)
            }
    return names


def test_page_then_it_lists_every_metric_and_no_other() -> None:
    rows = set(re.findall(r"^\| `((?:failback|migration)_[a-z_]+)` \|", PAGE, re.MULTILINE))
    assert rows == published()


def test_page_then_it_tells_the_buckets() -> None:
    told = re.search(r"have the buckets (.*?) seconds", PAGE, re.DOTALL)
    assert told is not None
    numbers = re.findall(r"[0-9.]*[0-9]", told.group(1))
    assert [float(number) for number in numbers] == list(BUCKETS_SECONDS)
