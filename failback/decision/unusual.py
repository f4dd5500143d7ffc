"""How unusual one metric is now, by a detector that goes on from value to value."""

import math
from collections.abc import Callable, Iterable
from typing import Protocol


class Score(Protocol):
    """What a detector says of the newest stretch of a series."""

    @property
    def ratio(self) -> float:
        """How unusual it is, over the detector's own threshold: from 1 on it is unusual."""
        ...

    @property
    def explanation(self) -> str:
        """What was seen, in one sentence."""
        ...


class StreamingDetector(Protocol):
    """Reads one series, value by value. What it says of one depends on nothing after it."""

    @property
    def ready(self) -> bool:
        """Whether it knows enough of the series to say what is unusual."""
        ...

    def update(self, timestamp: float, value: float) -> Score:
        """Judge the next value, at Unix seconds later than the one before."""
        ...


NewDetector = Callable[[], StreamingDetector]


class Track:
    """One metric as a detector has followed it since an anchor.

    Two tracks from one anchor that were given the same samples say the same, in however many
    pieces they got them.

    Args:
        anchor: Unix seconds of the first sample that may be given.
        detector: has seen nothing yet.
    """

    def __init__(self, anchor: float, detector: StreamingDetector) -> None:
        self.anchor = anchor
        self.read_to = -math.inf
        """Everything up to here was given."""
        self.newest = -math.inf
        """The time of the newest sample."""
        self.score: Score | None = None
        """Of the newest sample; None while too little is known."""
        self._detector = detector

    def follow(self, samples: Iterable[tuple[float, float]], read_to: float) -> None:
        """Take what came since, up to and with a moment."""
        for time, value in samples:
            if time > self.newest:
                score = self._detector.update(time, value)
                self.newest = time
                self.score = score if self._detector.ready else None
        self.read_to = read_to


def anchor_of(end: float, history_seconds: float) -> float:
    """Where a history begins that is one to two times as long as is wanted.

    It stays where it is for as long as that, so that what was read need not be read again, and is
    the same for whoever asks.
    """
    return (math.floor(end / history_seconds) - 1) * history_seconds
