"""Which ranges of which metrics a matrix asks for, and with what step between two samples."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from failback.models.common import Payload
from failback.models.decision import Rule

POINTS = 10
"""Steps within the shortest sustained time that a metric is judged by; one more point, as both
ends are included."""
LONGEST_STEP_SECONDS = 30.0
"""Between two points, however long a rule asks about: what is missing between them is not seen."""
NEWEST_SECONDS = 60.0
"""How far back is looked for the newest sample, where a rule asks about nothing but that."""
_MARGIN_STEPS = 2
"""Read before the longest sustained time, so that one missing sample at its start is bridged."""
_MANY_POINTS = 2_000
"""Of one range; sustained times without a useful common divisor get a step that misses some of
their starts."""
_MOST_POINTS = 10_000
"""Of one range; a store gives no more. The shortest times may be too short to be judged then."""


class RangeRead(Payload):
    """One metric over one range."""

    metric: str
    start: datetime
    end: datetime
    step_seconds: float


def ranges(rules: Iterable[Rule], at: datetime) -> tuple[RangeRead, ...]:
    """One range for each metric that is no count of events, in the order of the rules.

    Args:
        rules: the matrix.
        at: the last moment of every range.
    """
    sustained: dict[str, list[float]] = {}
    for rule in rules:
        if not rule.within_seconds:
            sustained.setdefault(rule.metric, []).append(rule.sustained_seconds)
    reads = []
    for metric, times in sustained.items():
        step = step_for(times)
        longest = max(times) or NEWEST_SECONDS
        reads.append(
            RangeRead(
                metric=metric,
                start=at - timedelta(seconds=longest + _MARGIN_STEPS * step),
                end=at,
                step_seconds=step,
            )
        )
    return tuple(reads)


def step_for(sustained: Iterable[float]) -> float:
    """A step of which at least ten make the shortest time, and that every time is a multiple of.

    Args:
        sustained: seconds that thresholds must be passed for; zeros ask for the newest value.
    """
    times = [seconds for seconds in sustained if seconds > 0] or [NEWEST_SECONDS]
    coarsest = min(min(times) / POINTS, LONGEST_STEP_SECONDS)
    common = math.gcd(*(round(seconds * 1000) for seconds in times)) / 1000
    if common <= 0:
        return coarsest
    step = common / math.ceil(common / coarsest - 1e-9)
    if max(times) / step <= _MANY_POINTS:
        return step
    return max(coarsest, max(times) / _MOST_POINTS)
