"""How far a stretch of a metric is from the most similar ones before it.

The strangeness is the mean distance to the k nearest earlier stretches. Sources: F. Angiulli,
C. Pizzuti, "Fast Outlier Detection in High Dimensional Spaces", PKDD 2002, as used on streams by
E. Burnaev, V. Ishimtsev, "Conformalized density- and distance-based anomaly detection in
time-series data", 2016, arXiv:1608.04585. A stretch is reduced to the means of its blocks, the
piecewise aggregate approximation of E. Keogh, K. Chakrabarti, M. Pazzani, S. Mehrotra,
"Dimensionality Reduction for Fast Similarity Search in Large Time Series Databases", 2001.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

BLOCKS = 4
"""Means that a stretch is reduced to."""
NEIGHBOURS = 10
"""The k: more than the stretches that overlap one strange moment."""
STRETCHES = 2_000
"""Earlier stretches that are compared with: a week of five minutes."""
FEWEST = 100
"""Of earlier stretches; with fewer nothing is said."""
FEWEST_AT_THIS_HOUR = 20
"""Of those at the same time of day."""
DAY_SECONDS = 86_400.0
HOUR_SECONDS = 3_600.0
"""Two moments so far apart in the day, or nearer, are the same time of day."""
_BUCKETS_A_DAY = 24

Vector: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Strangeness:
    """How far a stretch is from its like.

    Args:
        everywhere: mean distance to the nearest of all earlier ones, in the metric's unit.
        at_this_hour: to the nearest of those on other days at this time of day; None with too
            few of them.
    """

    everywhere: float
    at_this_hour: float | None


@dataclass(frozen=True, slots=True)
class _Stretch:
    vector: Vector
    level: float
    time: float
    bucket: int


class Neighbours:
    """The last `STRETCHES` stretches, searched exactly and without reading most of them."""

    def __init__(self) -> None:
        self._kept: deque[_Stretch] = deque()
        self._first = 0
        # The levels in order, and beside them the numbers of their stretches.
        self._levels: list[float] = []
        self._numbers: list[int] = []
        self._by_hour: list[deque[_Stretch]] = [deque() for _ in range(_BUCKETS_A_DAY)]
        self._vectors: dict[int, Vector] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def strangeness(self, vector: Vector, time: float) -> Strangeness | None:
        """How far a stretch that ends at `time` is from its like; None with too little past.

        Args:
            vector: the means of its blocks, newest first.
            time: Unix seconds.
        """
        if len(self._kept) < FEWEST:
            return None
        like = self._at_this_hour(time)
        return Strangeness(
            everywhere=self._nearest(vector),
            at_this_hour=(
                _mean_distance(_squares(vector, (one.vector for one in like)))
                if len(like) >= FEWEST_AT_THIS_HOUR
                else None
            ),
        )

    def expected(self, time: float) -> tuple[float, bool]:
        """The median level: of this time of day if enough is known of it, else of everything.

        Returns:
            The level, and whether it is that of this time of day.
        """
        like = sorted(one.level for one in self._at_this_hour(time))
        if len(like) >= FEWEST_AT_THIS_HOUR:
            return like[len(like) // 2], True
        return self._levels[len(self._levels) // 2], False

    def add(self, vector: Vector, time: float) -> None:
        """Keep a stretch for those that come; the oldest one makes room for it."""
        if len(self._kept) == STRETCHES:
            self._forget_oldest()
        number = self._first + len(self._kept)
        stretch = _Stretch(vector, level(vector), time, _bucket(time))
        self._kept.append(stretch)
        self._vectors[number] = vector
        self._by_hour[stretch.bucket].append(stretch)
        # Behind its equals, so that the first of equals is the oldest.
        place = bisect_right(self._levels, stretch.level)
        self._levels.insert(place, stretch.level)
        self._numbers.insert(place, number)

    def _forget_oldest(self) -> None:
        oldest = self._kept.popleft()
        place = bisect_left(self._levels, oldest.level)
        del self._levels[place]
        del self._vectors[self._numbers.pop(place)]
        self._by_hour[oldest.bucket].popleft()
        self._first += 1

    def _nearest(self, vector: Vector) -> float:
        """Mean distance to the nearest.

        By Jensen's inequality a squared distance is at least `BLOCKS` times that of the two
        levels. So the search goes outwards from the stretch's own level, and ends where that
        bound alone is as far as the k-th nearest found.
        """
        levels, numbers, vectors = self._levels, self._numbers, self._vectors
        a, b, c, d = vector
        own = level(vector)
        right = bisect_left(levels, own)
        left = right - 1
        end = len(levels)
        best: list[float] = []
        while True:
            below = own - levels[left] if left >= 0 else math.inf
            above = levels[right] - own if right < end else math.inf
            if below <= above:
                gap, place = below, left
                left -= 1
            else:
                gap, place = above, right
                right += 1
            if gap == math.inf:
                break
            full = len(best) == NEIGHBOURS
            if full and BLOCKS * gap * gap >= best[-1]:
                break
            e, f, g, h = vectors[numbers[place]]
            square = (a - e) * (a - e) + (b - f) * (b - f) + (c - g) * (c - g) + (d - h) * (d - h)
            if not full:
                insort(best, square)
            elif square < best[-1]:
                best.pop()
                insort(best, square)
        return _mean_distance(best)

    def _at_this_hour(self, time: float) -> list[_Stretch]:
        """Those that ended at this time of day on other days."""
        here = _bucket(time)
        found = []
        for bucket in (here - 1, here, here + 1):
            for one in self._by_hour[bucket % _BUCKETS_A_DAY]:
                apart = abs(time - one.time)
                days = round(apart / DAY_SECONDS)
                if days and abs(apart - days * DAY_SECONDS) <= HOUR_SECONDS:
                    found.append(one)
        return found


def level(vector: Vector) -> float:
    """The mean of a stretch."""
    return (vector[0] + vector[1] + vector[2] + vector[3]) / BLOCKS


def _bucket(time: float) -> int:
    return int(time % DAY_SECONDS // HOUR_SECONDS) % _BUCKETS_A_DAY


def _squares(vector: Vector, others: Iterable[Vector]) -> list[float]:
    """The squared distances to the nearest of some, in order."""
    a, b, c, d = vector
    found = [
        (a - e) * (a - e) + (b - f) * (b - f) + (c - g) * (c - g) + (d - h) * (d - h)
        for e, f, g, h in others
    ]
    found.sort()
    return found[:NEIGHBOURS]


def _mean_distance(squares: list[float]) -> float:
    return math.fsum(math.sqrt(one) for one in squares) / len(squares)
