"""Follows metrics with a detector, and makes how unusual they are a metric like any other."""

import asyncio
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from failback.decision.matrix import ANOMALY_SCORE
from failback.decision.ranges import RangeRead
from failback.decision.reading import GAP_STEPS, clock
from failback.decision.unusual import NewDetector, Track, anchor_of
from failback.models.decision import MetricEvidence
from failback.ports import MetricStore

_KEPT = 4
"""Moments whose judgement is remembered."""
_SETTLED_SECONDS = 10.0
"""Samples of a moment are in the store so long after it."""
_TOLD = 300


class _Judged(NamedTuple):
    """How unusual one metric is, or why nobody knows."""

    metric: str
    ratio: float = 0.0
    explanation: str = ""
    error: str = ""


class AnomalyWatch:
    """Computes the anomaly score.

    The moments that are judged are whole multiples of the step, and a detector has always seen
    the same past of them, whoever asks: a restart changes nothing but that the past is read once
    more. This goes on beside the event loop; who cannot wait so long is told so, and finds the
    answer when asking again.

    Args:
        metrics: those that are watched.
        new_detector: makes a detector that has seen nothing.
        history_seconds: how much of the past it sees at least before it judges the present.
        step_seconds: between two of the values that it sees.
        patience_seconds: how long one reader waits.
        discount: taken off every ratio. Of several metrics one is more often unusual by chance.
    """

    def __init__(
        self,
        metrics: Sequence[str],
        new_detector: NewDetector,
        *,
        history_seconds: float,
        step_seconds: float,
        patience_seconds: float,
        discount: float = 0.0,
    ) -> None:
        self._metrics = tuple(metrics)
        self._new_detector = new_detector
        self._history = history_seconds
        self._step = step_seconds
        self._patience = patience_seconds
        self._discount = discount
        self._tracks: dict[str, Track] = {}
        self._following = asyncio.Lock()
        self._judged: dict[float, asyncio.Task[MetricEvidence]] = {}

    async def read(self, store: MetricStore, read: RangeRead) -> MetricEvidence:
        """The score at the newest moment that can be judged: the highest of all metrics."""
        settled = read.end.timestamp() - _SETTLED_SECONDS
        end = math.floor(settled / self._step) * self._step
        task = self._judged.get(end)
        if task is None or (task.done() and (task.exception() or task.result().error)):
            task = asyncio.create_task(self._judge(store, end))
            self._judged[end] = task
            for forgotten in list(self._judged)[:-_KEPT]:
                del self._judged[forgotten]
        done, _ = await asyncio.wait({task}, timeout=self._patience)
        if not done:
            return self._evidence(end, error="the detector is still reading the history")
        return task.result()

    async def _judge(self, store: MetricStore, end: float) -> MetricEvidence:
        # One at a time: a track goes on from where the one before has left it.
        async with self._following:
            judged = await asyncio.gather(
                *(self._judged_metric(store, metric, end) for metric in self._metrics)
            )
        worst = max(judged, key=lambda one: one.ratio)
        unknown = [f"{one.metric}: {one.error}" for one in judged if one.error]
        if unknown and worst.ratio < 1:
            return self._evidence(end, error="; ".join(unknown)[:_TOLD])
        evidence = self._evidence(end)
        note = f"{worst.metric}: {worst.explanation}"[:_TOLD]
        return evidence.model_copy(update={"samples": ((end, worst.ratio),), "note": note})

    async def _judged_metric(self, store: MetricStore, metric: str, end: float) -> _Judged:
        track = self._tracks.pop(metric, None)
        anchor = anchor_of(end, self._history)
        if track is None or track.anchor != anchor or track.read_to > end:
            track = Track(anchor, self._new_detector())
        if track.read_to < end:
            first = max(anchor, track.read_to + self._step)
            found = await store.read(metric, _moment(first), _moment(end), self._step)
            if found.error:
                self._tracks[metric] = track
                return _Judged(metric, error=found.error)
            # Where this fails the track is not put back: it may have seen a half of the samples.
            await asyncio.to_thread(track.follow, found.samples, end)
        self._tracks[metric] = track
        return self._of(metric, track, end)

    def _of(self, metric: str, track: Track, end: float) -> _Judged:
        if end - track.newest > GAP_STEPS * self._step:
            newest = clock(track.newest) if math.isfinite(track.newest) else "never"
            return _Judged(metric, error=f"the newest sample is of {newest}")
        if track.score is None:
            return _Judged(metric, error="too little history to know what is usual")
        ratio = max(0.0, track.score.ratio - self._discount)
        return _Judged(metric, ratio, track.score.explanation)

    def _evidence(self, end: float, error: str = "") -> MetricEvidence:
        return MetricEvidence(
            metric=ANOMALY_SCORE,
            start=_moment(anchor_of(end, self._history)),
            end=_moment(end),
            step_seconds=self._step,
            error=error,
        )


def _moment(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC)
