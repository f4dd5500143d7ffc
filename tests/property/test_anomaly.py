"""Of generated metrics: the detector never looks ahead, always says the same, and never breaks."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from failback.decision.anomaly import Detector, Score
from failback.decision.anomaly.detector import NEEDED_ROWS

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)
# What a metric does in pieces: how long, at what level, how noisy.
PIECES = st.lists(
    st.tuples(st.integers(20, 120), st.integers(-50, 50), st.sampled_from((0.0, 0.5, 4.0))),
    min_size=3,
    max_size=6,
)
SEEDS = st.integers(0, 2**16)


@given(PIECES, SEEDS, st.lists(ANY_FLOAT, max_size=40))
def test_scores_when_points_are_appended_then_those_before_do_not_change(
    pieces: list[tuple[int, int, float]], seed: int, appended: list[float]
) -> None:
    values = _metric(pieces, seed)
    # The first row that each prefix ends with is scored by a detector that saw nothing else.
    whole = _scores([*values, *appended, *(value * 1e6 for value in values[:50])])
    for end in (NEEDED_ROWS + 1, len(values) // 2, len(values)):
        assert _scores(values[:end]) == whole[: min(end, len(values))]


@given(PIECES, SEEDS, st.sampled_from((2.0**-20, 0.5, 4.0, 2.0**30, -1.0)))
def test_scores_when_the_unit_changes_then_are_the_same(
    pieces: list[tuple[int, int, float]], seed: int, factor: float
) -> None:
    values = _metric(pieces, seed)
    # Powers of two, so that the arithmetic is exact in either unit.
    scaled = _scores([value * factor for value in values])
    assert [_numbers(score) for score in scaled] == [_numbers(score) for score in _scores(values)]


@given(PIECES, SEEDS, st.integers(-1000, 1000))
def test_scores_when_an_offset_is_added_then_are_the_same(
    pieces: list[tuple[int, int, float]], seed: int, offset: int
) -> None:
    # In sixths of 2^-10 the means of six are exact, with the offset as without it.
    values = [6 * round(value * 1024) / 1024 for value in _metric(pieces, seed)]
    moved = _scores([value + 6 * offset for value in values])
    assert [_numbers(score) for score in moved] == [_numbers(score) for score in _scores(values)]


@given(
    st.lists(st.tuples(ANY_FLOAT, ANY_FLOAT), max_size=60),
    st.integers(NEEDED_ROWS, 300),
    st.sampled_from((0.0, 300.0, -300.0)),
)
def test_update_when_values_and_times_are_anything_then_scores_are_shares(
    anything: list[tuple[float, float]], usual: int, step: float
) -> None:
    detector = Detector()
    rows = [(step * row, float(row % 5)) for row in range(usual)]
    for time, value in [*anything, *rows, *anything, *rows[:30]]:
        score = detector.update(time, value)
        assert 0.0 <= score.value < 1.0
        assert math.isfinite(score.ratio)
        assert score.flag <= score.unusual == (score.ratio >= 1.0)
        assert (score.since is not None) is score.unusual
        assert score.explanation


def _metric(pieces: list[tuple[int, int, float]], seed: int) -> list[float]:
    chance = random.Random(seed)
    values = [chance.gauss(0, 1) for _ in range(NEEDED_ROWS)]
    for rows, level, noise in pieces:
        values += [level + chance.gauss(0, 1) * noise for _ in range(rows)]
    return values


def _scores(values: list[float]) -> list[Score]:
    detector = Detector()
    return [detector.update(1.7e9 + 300.0 * row, value) for row, value in enumerate(values)]


def _numbers(score: Score) -> tuple[float, bool, bool, float | None]:
    return score.value, score.unusual, score.flag, score.since
