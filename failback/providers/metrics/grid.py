"""The moments of a range query, and which of its answers are more than repeats of old ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from failback.config_keys import nearest_of
from failback.errors import ConfigurationError

_FRESH_SCRAPES = 1.5
"""A raw sample stands for so many scrape intervals: the next one is due after one, and may be
late."""
_FRESH_SECONDS = 5.0
"""It stands for at least so long, however often is scraped: a busy machine scrapes late."""
_DEFAULT_STEPS = 10

Samples = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Grid:
    """Moments a step apart that end with the range's own end. Milliseconds, as stores count."""

    start_ms: int
    end_ms: int
    step_ms: int

    @classmethod
    def of(cls, start: datetime, end: datetime, step_seconds: float) -> "Grid":
        """The grid that covers a range; a step of 0 is a tenth of it.

        Raises:
            ConfigurationError: the range ends before it begins, or the step is negative.
        """
        start_ms, end_ms = (math.floor(time.timestamp() * 1000) for time in (start, end))
        if end_ms < start_ms or step_seconds < 0:
            raise ConfigurationError(
                f"There is no range from {start} to {end} in steps of {step_seconds:g} s."
            )
        span = end_ms - start_ms
        step_ms = round(step_seconds * 1000) or span // _DEFAULT_STEPS or 1
        return cls(end_ms - math.ceil(span / step_ms) * step_ms, end_ms, step_ms)

    @property
    def start(self) -> datetime:
        """The first moment."""
        return datetime.fromtimestamp(self.start_ms / 1000, UTC)

    @property
    def end(self) -> datetime:
        """The last moment."""
        return datetime.fromtimestamp(self.end_ms / 1000, UTC)

    @property
    def step_seconds(self) -> float:
        """Between two moments."""
        return self.step_ms / 1000

    def moments(self) -> list[float]:
        """Every moment, Unix seconds."""
        return [ms / 1000 for ms in range(self.start_ms, self.end_ms + 1, self.step_ms)]


def fresh_seconds(scrape_interval_seconds: float) -> float:
    """How long a raw sample says something about now."""
    return max(_FRESH_SCRAPES * scrape_interval_seconds, _FRESH_SECONDS)


def only_fresh(
    values: Samples, own_times: Mapping[float, float], seconds: float
) -> list[tuple[float, float]]:
    """The values that stand on a raw sample of their own time.

    Args:
        values: (moment, value), ascending.
        own_times: the newest raw sample's own time, by moment. Where one is missing, that of the
            moment before holds: the series may have been marked as ended since.
        seconds: how old the raw sample may be.
    """
    kept = []
    times = sorted(own_times)
    known = -math.inf
    index = 0
    for moment, value in values:
        while index < len(times) and times[index] <= moment:
            known = max(known, own_times[times[index]])
            index += 1
        if moment - known <= seconds:
            kept.append((moment, value))
    return kept


def unknown_metric(metric: str, known: Sequence[str]) -> ConfigurationError:
    """Nobody has said how a metric is asked for."""
    return ConfigurationError(
        f"No query is known for metric {metric}{nearest_of(metric, known)}.",
        "Say under metrics.queries how it is asked for.",
    )
