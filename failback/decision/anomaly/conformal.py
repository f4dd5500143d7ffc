"""How rare a strangeness is among those before it: a conformal p-value.

Source: V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World", Springer 2005;
on streams that drift, with a window: V. Ishimtsev, A. Bernstein, E. Burnaev, I. Nazarov, "Conformal
k-NN Anomaly Detector for Univariate Data Streams", PMLR 60 (2017), arXiv:1706.03412.
"""

from bisect import bisect_left, insort
from collections import deque

WINDOW = 5_000
"""Earlier strangenesses that a new one is ranked among."""
FEWEST = 50
"""With fewer not even the strangest one could be rare."""


class ConformalRank:
    """Ranks each strangeness among the last `WINDOW` ones. Memory: two floats for each of them.

    No distribution is assumed, so that metrics of every kind are flagged equally rarely.
    """

    def __init__(self) -> None:
        self._ordered: list[float] = []
        self._seen: deque[float] = deque()

    def __len__(self) -> int:
        return len(self._seen)

    def update(self, strangeness: float) -> float | None:
        """The share of the past that was at least as strange, in (0, 1]; None with too little past.

        Args:
            strangeness: finite, at least 0; in the metric's own unit.
        """
        count = len(self._ordered)
        rarity = None
        if count >= FEWEST:
            as_strange = count - bisect_left(self._ordered, strangeness)
            rarity = (1 + as_strange) / (1 + count)
        insort(self._ordered, strangeness)
        self._seen.append(strangeness)
        if count == WINDOW:
            del self._ordered[bisect_left(self._ordered, self._seen.popleft())]
        return rarity
