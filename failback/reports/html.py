"""A rollback's report as one HTML file that needs nothing else: no script, no other file."""

from functools import lru_cache
from importlib import metadata

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from failback.models.rollback import RollbackResult
from failback.reports import facts
from failback.reports.facts import ReportExtras

__all__ = ["ReportExtras", "render"]


def render(result: RollbackResult, extras: ReportExtras | None = None) -> str:
    """The report of a rollback.

    Args:
        result: what the rollback reported when it ended.
        extras: what clients saw, where that was recorded.

    Returns:
        A whole HTML document. Every text in it is escaped.
    """
    seen = extras or ReportExtras()
    along = facts.axis(result)
    return _template().render(
        result=result,
        extras=seen,
        verdict=facts.verdict(result, seen),
        level_name=facts.LEVEL_NAMES[result.level],
        level_budget=facts.LEVEL_BUDGETS[result.level],
        level_availability=facts.LEVEL_AVAILABILITY[result.level],
        axis=along,
        bars=facts.bars(result, along),
        moments=facts.moments(result),
        next_steps=facts.next_steps(result, seen),
        version=metadata.version("failback"),
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("failback.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = facts.clock
    environment.filters["seconds"] = facts.seconds
    return environment.get_template("rollback.html.j2")
