"""What the score would be had the two numbers been chosen without the series they are scored on.

The threshold and the rest after an alarm are chosen on all groups of series but one, and scored on
that one; the sum over all groups is what a choice of this kind promises for series of other origin.
"""

from collections.abc import Mapping, Sequence

from bench.detection.scoring import Result, scored, total
from bench.detection.series import Series

RATIOS = tuple(round(0.8 + 0.05 * step, 2) for step in range(9))
"""Thresholds to choose from, as multiples of the detector's own surprise."""
RESTS = (50, 75, 100, 125, 150)
"""Rows after an alarm without another one."""
MOST_FLAGGED = 0.001

Choice = tuple[float, int]


def alarms(ratios: Sequence[float], choice: Choice) -> list[int]:
    """The rows that would be flagged."""
    threshold, rest = choice
    found: list[int] = []
    for row, ratio in enumerate(ratios):
        if ratio >= threshold and (not found or row - found[-1] > rest):
            found.append(row)
    return found


def cross_validated(
    series: Sequence[Series], ratios: Mapping[str, Sequence[float]]
) -> tuple[Result, dict[str, Choice]]:
    """The score of choices made without the group they are scored on.

    Args:
        series: all of them.
        ratios: by series, each row's surprise as a multiple of the threshold.

    Returns:
        The total, and what was chosen for each group.
    """
    choices = [(ratio, rest) for ratio in RATIOS for rest in RESTS]
    table = {
        choice: {
            one.name: scored(len(one.values), one.windows, alarms(ratios[one.name], choice))
            for one in series
        }
        for choice in choices
    }
    chosen: dict[str, Choice] = {}
    held_out: list[Result] = []
    for group in sorted({one.group for one in series}):
        others = [one.name for one in series if one.group != group]
        sums = {choice: total(table[choice][name] for name in others) for choice in choices}
        allowed = [one for one in choices if sums[one].false_positive_rate <= MOST_FLAGGED]
        best = max(allowed or choices, key=lambda one: sums[one].score or 0.0)
        chosen[group] = best
        held_out += [table[best][one.name] for one in series if one.group == group]
    return total(held_out), chosen
