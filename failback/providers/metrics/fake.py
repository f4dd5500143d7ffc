"""A metric store in memory that answers as Prometheus does."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime

from failback.models.decision import MetricEvidence
from failback.providers.faults import Call, Faults
from failback.providers.metrics.grid import Grid, fresh_seconds, only_fresh, unknown_metric


class FakeMetricStore(Faults):
    """Holds raw samples by metric. An injected failure becomes the evidence's error.

    Args:
        scrape_interval_seconds: how far apart raw samples are; see `MetricsConfig`.
        calls: where calls are recorded.
    """

    def __init__(
        self, scrape_interval_seconds: float = 15.0, *, calls: list[Call] | None = None
    ) -> None:
        super().__init__("metrics", calls)
        self._fresh_seconds = fresh_seconds(scrape_interval_seconds)
        self._samples: dict[str, list[tuple[float, float]]] = {}
        self._several: set[str] = set()

    def know(self, metric: str) -> None:
        """Let a metric be known, with no sample yet."""
        self._samples.setdefault(metric, [])

    def add(self, metric: str, samples: Iterable[tuple[float, float]]) -> None:
        """Add raw samples of a metric, (Unix seconds, value)."""
        self._samples[metric] = sorted([*self._samples.get(metric, ()), *samples])

    def split(self, metric: str) -> None:
        """Let a metric have two series."""
        self._several.add(metric)

    async def read(
        self, metric: str, start: datetime, end: datetime, step_seconds: float = 0.0
    ) -> MetricEvidence:
        """See `MetricStore.read`."""
        failure = await self._passed("read", metric, start, end, step_seconds)
        if metric not in self._samples:
            raise unknown_metric(metric, list(self._samples))
        grid = Grid.of(start, end, step_seconds)
        evidence = MetricEvidence(
            metric=metric, start=grid.start, end=grid.end, step_seconds=grid.step_seconds
        )
        if failure is not None:
            return evidence.model_copy(update={"error": str(failure)})
        if metric in self._several:
            said = f'2 series where one was expected: {metric}{{a="1"}}, {metric}{{a="2"}}'
            return evidence.model_copy(update={"error": said})
        raw = self._samples[metric]
        times = [time for time, _ in raw]
        newest = {
            moment: raw[index - 1]
            for moment in grid.moments()
            if (index := bisect_right(times, moment))
        }
        kept = only_fresh(
            [(moment, value) for moment, (_, value) in newest.items()],
            {moment: time for moment, (time, _) in newest.items()},
            self._fresh_seconds,
        )
        return evidence.model_copy(update={"samples": tuple(kept)})

    async def aclose(self) -> None:
        """See `MetricStore.aclose`."""
        await self._called("aclose")
