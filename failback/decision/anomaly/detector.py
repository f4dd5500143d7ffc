"""The detector: one value in, how unusual the newest stretch is out. It never looks ahead.

Two strangenesses of the newest stretch, against everything before it and against this time of day
(`neighbours`), are each ranked among their own past (`conformal`). Their p-values are joined by
their geometric mean, the average of their logarithms as in R. A. Fisher's method ("Statistical
Methods for Research Workers", 1925). An alarm is followed by a rest, so that one episode is told
once. Nothing is fitted to labels while it runs, and nothing depends on what comes later: every
number is a rank among, or a distance from, what came before.
"""

import math
from collections import deque
from dataclasses import dataclass

from failback.decision.anomaly.conformal import FEWEST as FEWEST_RANKED
from failback.decision.anomaly.conformal import ConformalRank
from failback.decision.anomaly.neighbours import BLOCKS, Neighbours, Vector, level
from failback.decision.anomaly.neighbours import FEWEST as FEWEST_STRETCHES
from failback.decision.reading import clock, number

BLOCK_ROWS = 6
"""Values that one block of a stretch is the mean of: half an hour of five minutes."""
STRETCH_ROWS = BLOCKS * BLOCK_ROWS
_MEANS = STRETCH_ROWS - BLOCK_ROWS + 1
"""Running means that one stretch reaches over."""
RARITY = 0.02
"""A p-value of at most this is unusual: one stretch in fifty."""
THRESHOLD = 1.0 - RARITY
"""The same as a score. Fixed: the same for every metric, whatever its unit or its shape."""
REFRACTORY_ROWS = 100
"""Values after an alarm in which there is no other one."""
NEEDED_ROWS = STRETCH_ROWS + FEWEST_STRETCHES + FEWEST_RANKED
"""Values after which the first score is given."""
_SURPRISE = -math.log10(RARITY)
_EARLIEST, _LATEST = -62_135_596_800.0, 253_402_300_799.0
"""Unix seconds of the years 1 and 9999, between which a moment can be told."""
_LARGEST = 1e100
"""Larger values are taken for broken ones: their squared distances would be no numbers."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one value made of the newest stretch.

    Args:
        value: 0..1; 1 minus the p-value, so that 0.99 is what one stretch in a hundred reaches.
        unusual: the value is at least `THRESHOLD`.
        flag: an alarm: unusual, and none in the last `REFRACTORY_ROWS` values.
        ratio: the surprise (minus the logarithm of the p-value) as a multiple of what makes a
            stretch unusual; 1 and more is unusual.
        since: Unix seconds since when it has been unusual without a break; None where it is not.
        explanation: what was seen, what was expected, since when.
    """

    value: float
    unusual: bool = False
    flag: bool = False
    ratio: float = 0.0
    since: float | None = None
    explanation: str = ""


class Detector:
    """Watches one metric. Deterministic, causal, of bounded memory (about 1 MiB)."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=BLOCK_ROWS)
        self._means: deque[float] = deque(maxlen=_MEANS)
        self._neighbours = Neighbours()
        self._everywhere = ConformalRank()
        self._at_this_hour = ConformalRank()
        self._rest = 0
        self._since: float | None = None
        self._ready = False

    @property
    def ready(self) -> bool:
        """Whether there was enough past to score the newest value."""
        return self._ready

    def update(self, timestamp: float, value: float) -> Score:
        """Take the next value.

        Args:
            timestamp: Unix seconds; tells the time of day. The order of calls is the order of
                the values, whatever it says.
            value: in any unit. What is no number, not finite or beyond 1e100 is left out, and so
                is one of no moment between the years 1 and 9999.

        Returns:
            How unusual the stretch that it ends is; 0 until there is enough past.
        """
        # Comparisons with what is no number are false.
        if not (_EARLIEST <= timestamp <= _LATEST and abs(value) <= _LARGEST):
            return Score(0.0, explanation="not a number to compare: left out")
        time = float(timestamp)
        self._rest = max(0, self._rest - 1)
        vector = self._stretch(float(value))
        if vector is None:
            return self._nothing_said()
        rarities = self._rarities(vector, time)
        score = self._judged(vector, time, rarities) if rarities else self._nothing_said()
        self._neighbours.add(vector, time)
        return score

    def _stretch(self, value: float) -> Vector | None:
        """The newest stretch as the means of its blocks, newest first; None until there is one."""
        self._values.append(value)
        if len(self._values) < BLOCK_ROWS:
            return None
        # Anew each time: a running sum would keep the rounding of a spike for ever.
        self._means.append(math.fsum(self._values) / BLOCK_ROWS)
        if len(self._means) < _MEANS:
            return None
        newest = len(self._means) - 1
        return (
            self._means[newest],
            self._means[newest - BLOCK_ROWS],
            self._means[newest - 2 * BLOCK_ROWS],
            self._means[newest - 3 * BLOCK_ROWS],
        )

    def _rarities(self, vector: Vector, time: float) -> list[float]:
        """The p-values that there is enough past for."""
        found = self._neighbours.strangeness(vector, time)
        if found is None:
            return []
        rarities = [self._everywhere.update(found.everywhere)]
        if found.at_this_hour is not None:
            rarities.append(self._at_this_hour.update(found.at_this_hour))
        return [one for one in rarities if one is not None]

    def _judged(self, vector: Vector, time: float, rarities: list[float]) -> Score:
        self._ready = True
        surprise = -math.fsum(math.log10(one) for one in rarities) / len(rarities)
        value = 1.0 - 10.0**-surprise
        if surprise < _SURPRISE:
            self._since = None
            return Score(value, ratio=surprise / _SURPRISE, explanation="like what came before")
        if self._since is None:
            self._since = time
        flag = self._rest == 0
        if flag:
            self._rest = REFRACTORY_ROWS + 1
        return Score(
            value,
            unusual=True,
            flag=flag,
            ratio=surprise / _SURPRISE,
            since=self._since,
            explanation=self._explained(vector, time, surprise),
        )

    def _explained(self, vector: Vector, time: float, surprise: float) -> str:
        """What it saw, what it expected, and since when."""
        expected, of_this_hour = self._neighbours.expected(time)
        usual = "is usual at this time of day" if of_this_hour else "has been usual"
        return (
            f"the last {STRETCH_ROWS} values average {number(level(vector))} (the newest "
            f"{BLOCK_ROWS} {number(vector[0])}), where {number(expected)} {usual}; about one "
            f"stretch in {number(10.0**surprise)} was as unlike those before it; so since "
            f"{clock(self._since if self._since is not None else time)}"
        )

    def _nothing_said(self) -> Score:
        return Score(0.0, explanation="too little past to say what is usual")
