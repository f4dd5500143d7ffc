"""NAB's score of alarms, standard profile.

Source: A. Lavin, S. Ahmad, "Evaluating Real-time Anomaly Detection Algorithms – the Numenta Anomaly
Benchmark", ICMLA 2015, arXiv:1510.03336, with the details of its implementation that the paper
leaves open: positions count rows, the first 15 % (at most 750 rows) are not scored, the best
alarm of a window counts (the first one, as the weight falls), and an alarm behind a window costs
less the nearer it is to its end.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FALSE_ALARM_WEIGHT = 0.11
"""Of the standard profile, where a detected window earns up to 1 and a missed one costs 1."""
PROBATION_SHARE, PROBATION_AT_MOST = 0.15, 750
_FAR_BEHIND = 3.0

Window = tuple[int, int]
"""The first and the last row of a labelled anomaly."""


@dataclass(frozen=True)
class Result:
    """What the alarms in one series, or in several, come to.

    Args:
        points: NAB's raw score.
        windows: labelled ones that can be detected.
        detected: of those.
        false_alarms: alarms outside of every window.
        alarms: all of them, behind the probation.
        normal: scored rows outside of every window.
    """

    points: float = 0.0
    windows: int = 0
    detected: int = 0
    false_alarms: int = 0
    alarms: int = 0
    normal: int = 0

    @property
    def score(self) -> float | None:
        """0 for a detector that never fires, 100 for a perfect one; None without windows."""
        if not self.windows:
            return None
        return 100.0 * (self.points + self.windows) / (2 * self.windows)

    @property
    def accuracy(self) -> float | None:
        """The share of the windows that were detected."""
        return self.detected / self.windows if self.windows else None

    @property
    def false_positive_rate(self) -> float:
        """The share of the normal rows that were flagged."""
        return self.false_alarms / self.normal if self.normal else 0.0


def scaled_sigmoid(position: float) -> float:
    """What an alarm is worth: near 1 at the start of a window (-1), 0 at its end, -1 far behind."""
    return -1.0 if position >= _FAR_BEHIND else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def probation(rows: int) -> int:
    """How many of the first rows are for learning."""
    return min(math.floor(PROBATION_SHARE * rows), PROBATION_AT_MOST)


def scored(rows: int, windows: Sequence[Window], alarms: Iterable[int]) -> Result:
    """The score of one series.

    Args:
        rows: of the series.
        windows: in order, not overlapping.
        alarms: the rows that were flagged.
    """
    begin = probation(rows)
    open_windows = [(first, last) for first, last in windows if last >= begin]
    best: dict[Window, float] = {}
    points, false_alarms, count = 0.0, 0, 0
    for row in sorted(set(alarms)):
        if row < begin:
            continue
        count += 1
        within = next((one for one in open_windows if one[0] <= row <= one[1]), None)
        if within is None:
            false_alarms += 1
            points += FALSE_ALARM_WEIGHT * scaled_sigmoid(_behind(row, windows))
        else:
            worth = scaled_sigmoid(_inside(row, within)) / scaled_sigmoid(-1.0)
            best[within] = max(worth, best.get(within, -1.0))
    inside = sum(last - max(first, begin) + 1 for first, last in open_windows)
    return Result(
        points=points + sum(best.values()) - (len(open_windows) - len(best)),
        windows=len(open_windows),
        detected=len(best),
        false_alarms=false_alarms,
        alarms=count,
        normal=rows - begin - inside,
    )


def total(results: Iterable[Result]) -> Result:
    """Several series as one."""
    all_of_them = list(results)
    return Result(
        points=math.fsum(one.points for one in all_of_them),
        windows=sum(one.windows for one in all_of_them),
        detected=sum(one.detected for one in all_of_them),
        false_alarms=sum(one.false_alarms for one in all_of_them),
        alarms=sum(one.alarms for one in all_of_them),
        normal=sum(one.normal for one in all_of_them),
    )


def _inside(row: int, window: Window) -> float:
    """-1 in a window's first row, almost 0 in its last one."""
    first, last = window
    return -(last - row + 1) / (last - first + 1)


def _behind(row: int, windows: Sequence[Window]) -> float:
    """How many widths of the window before it a row lies behind that one."""
    before = [one for one in windows if one[1] < row]
    if not before:
        return _FAR_BEHIND
    first, last = before[-1]
    return (row - last) / max(1, last - first)
