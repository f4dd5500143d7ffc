"""docs/telemetry.md names every metric that the code publishes, and no other."""

import ast
import importlib
import re
from pathlib import Path
from types import ModuleType

from failback.gateway.metrics import Metrics
from failback.telemetry import BUCKETS_SECONDS
from workflows.timeline import STEP_SECONDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")


def published() -> dict[str, str]:
    """The metrics that workflows, activities and the gateway create, with each one's help text."""
    found = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name: metric.documentation
        for metric in Metrics().registry.collect()
    }
    for package in ("workflows", "activities"):
        for path in (ROOT / package).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and _makes_a_metric(node):
                    module = importlib.import_module(f"{package}.{path.stem}")
                    name, *more = (_text(argument, module) for argument in node.args)
                    found[name] = more[0] if more else ""
    return found


def _makes_a_metric(call: ast.Call) -> bool:
    kinds = ("create_counter", "create_gauge", "create_histogram")
    return isinstance(call.func, ast.Attribute) and call.func.attr.startswith(kinds)


def _text(argument: ast.expr, module: ModuleType) -> str:
    """A text as it stands in a call, or the module's constant of that name."""
    if isinstance(argument, ast.Name):
        return str(getattr(module, argument.id))
    assert isinstance(argument, ast.Constant)
    return str(argument.value)


def test_page_then_it_lists_every_metric_and_no_other() -> None:
    rows = set(re.findall(r"^\| `((?:failback|migration)_[a-z_]+)` \|", PAGE, re.MULTILINE))
    assert rows == published().keys()


def test_metric_then_it_has_a_help_text_of_one_sentence() -> None:
    texts = published()
    assert STEP_SECONDS in texts
    assert [name for name, text in texts.items() if not text or not text.endswith(".")] == []


def test_page_then_it_tells_the_buckets() -> None:
    told = re.search(r"have the buckets (.*?) seconds", PAGE, re.DOTALL)
    assert told is not None
    numbers = re.findall(r"[0-9.]*[0-9]", told.group(1))
    assert [float(number) for number in numbers] == list(BUCKETS_SECONDS)
