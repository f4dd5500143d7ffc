"""The anomaly detector: what it notices, what it leaves alone, and what it says of a range."""

import math
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from failback.decision.anomaly import (
    REFRACTORY_ROWS,
    THRESHOLD,
    Detector,
    Score,
    Unusual,
    replay,
    unusual,
)
from failback.decision.anomaly.conformal import WINDOW, ConformalRank
from failback.decision.anomaly.detector import NEEDED_ROWS
from failback.decision.anomaly.neighbours import NEIGHBOURS, STRETCHES, Neighbours
from failback.models.decision import MetricEvidence, RuleVerdict

START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = 300.0
DAY_ROWS = 288


def test_update_when_a_level_jumps_then_an_alarm_says_what_was_seen_and_expected() -> None:
    values = [*_noisy(400), *(_noisy(30, level=200.0))]
    scores = _scores(values)
    alarm = next(row for row, score in enumerate(scores) if score.flag and row >= 400)
    assert alarm < 410
    assert scores[alarm].value >= THRESHOLD
    assert scores[alarm].ratio >= 1
    assert "where 100" in scores[alarm].explanation or "where 99" in scores[alarm].explanation
    assert "since 2026-03-03" in scores[alarm].explanation


def test_update_when_unusual_for_long_then_is_one_alarm_until_the_rest_is_over() -> None:
    scores = _scores([*_noisy(400), *(100.0 + 5 * row for row in range(60))])
    flagged = [row for row, score in enumerate(scores) if score.flag and row >= 400]
    unbroken = [score for score in scores[flagged[0] :] if score.unusual]
    assert len(flagged) == 1
    assert len(unbroken) > 30
    assert {score.since for score in unbroken} == {scores[flagged[0]].since}


def test_update_when_alarms_follow_then_they_are_a_rest_apart() -> None:
    wild = random.Random(7)
    scores = _scores(wild.gauss(0, 1) * 1.003**row for row in range(1500))
    flagged = [row for row, score in enumerate(scores) if score.flag]
    assert len(flagged) > 3
    assert min(later - row for row, later in pairwise(flagged)) > (REFRACTORY_ROWS)


def test_update_when_a_daily_peak_does_not_come_then_is_unusual_for_this_time_of_day() -> None:
    """The level that is left out is what most of the day is: only the hour makes it strange."""

    def day(row: int) -> float:
        return 100.0 if 96 <= row % DAY_ROWS < 192 else 10.0

    noise = random.Random(3)
    days = [day(row) + noise.gauss(0, 1) for row in range(6 * DAY_ROWS)]
    missing = [10.0 + noise.gauss(0, 1) for _ in range(150)]
    scores = _scores([*days, *missing])
    alarms = [
        score for row, score in enumerate(scores) if row >= 6 * DAY_ROWS + 96 and score.unusual
    ]
    assert alarms
    assert any("usual at this time of day" in score.explanation for score in alarms)


@pytest.mark.parametrize(
    "value_of",
    [lambda _: 5.0, lambda row: float(row % 2), lambda row: math.sin(row / 288 * 2 * math.pi)],
    ids=["constant", "square", "sine"],
)
def test_update_when_a_pattern_repeats_exactly_then_says_nothing(
    value_of: Callable[[int], float],
) -> None:
    assert not any(score.flag for score in _scores(value_of(row) for row in range(700))[320:])


def test_update_when_the_past_is_too_short_then_is_not_ready_and_scores_nothing() -> None:
    detector = Detector()
    noise = _noisy(NEEDED_ROWS)
    early = [detector.update(_time(row), value) for row, value in enumerate(noise[:-1])]
    assert {score.value for score in early} == {0.0}
    assert not detector.ready
    detector.update(_time(len(noise)), noise[-1])
    assert detector.ready


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf, 1e101, -1e300])
def test_update_when_a_value_is_broken_then_nothing_else_changes(broken: float) -> None:
    values = _noisy(300)
    whole, holed = Detector(), Detector()
    for row, value in enumerate(values):
        expected = whole.update(_time(row), value)
        left_out = holed.update(_time(row), broken)
        assert (left_out.value, left_out.flag) == (0.0, False)
        assert holed.update(_time(row), value) == expected


@pytest.mark.parametrize("timestamp", [math.nan, math.inf])
def test_update_when_a_time_is_broken_then_is_left_out(timestamp: float) -> None:
    assert "left out" in Detector().update(timestamp, 1.0).explanation


def test_update_when_a_million_values_come_then_memory_is_what_two_windows_hold() -> None:
    rank, neighbours = ConformalRank(), Neighbours()
    for row in range(WINDOW + 500):
        rank.update(float(row % 97))
    for row in range(STRETCHES + 500):
        value = float(row % 89)
        neighbours.add((value, value, value, value), _time(row))
    assert len(rank) == len(rank._ordered) == WINDOW
    assert len(neighbours) == len(neighbours._levels) == len(neighbours._vectors) == STRETCHES
    assert sum(map(len, neighbours._by_hour)) == STRETCHES


def test_rank_when_a_strangeness_is_the_greatest_then_is_one_in_all_of_them() -> None:
    rank = ConformalRank()
    for row in range(99):
        rank.update(float(row))
    assert rank.update(1000.0) == pytest.approx(1 / 100)
    assert rank.update(-1.0) == pytest.approx(101 / 101)


def test_strangeness_when_searched_from_the_level_outwards_then_is_that_of_reading_all() -> None:
    chance = random.Random(5)
    neighbours = Neighbours()
    kept = [
        (chance.gauss(0, 3), chance.gauss(0, 3), chance.choice((0.0, 1.0)), chance.gauss(0, 1))
        for _ in range(STRETCHES + 300)
    ]
    for row, vector in enumerate(kept):
        neighbours.add(vector, _time(row))
    for vector in kept[:50]:
        asked = (vector[1], vector[0], vector[3], vector[2])
        nearest = sorted(math.dist(asked, other) for other in kept[-STRETCHES:])[:NEIGHBOURS]
        found = neighbours.strangeness(asked, _time(0))
        assert found is not None
        assert found.everywhere == pytest.approx(sum(nearest) / NEIGHBOURS, rel=1e-12)


def test_unusual_when_the_newest_stretch_jumps_then_fires_with_since_and_a_sentence() -> None:
    reading = unusual(_evidence([*_noisy(400), *_noisy(4, level=200.0)]))
    assert reading.verdict is RuleVerdict.FIRED
    assert reading.value is not None
    assert reading.value >= 1
    assert reading.since is not None
    assert START + timedelta(seconds=400 * STEP) <= reading.since
    assert reading.explanation.startswith("error_rate: the last 24 values average")


def test_unusual_when_nothing_changes_then_is_clear() -> None:
    reading = unusual(_evidence([5.0] * 400))
    assert (reading.verdict, reading.since) == (RuleVerdict.CLEAR, None)
    assert reading.value == 0.0


def test_unusual_when_there_is_too_little_then_says_how_much_is_needed() -> None:
    reading = unusual(_evidence(_noisy(100)))
    assert reading.verdict is RuleVerdict.INCONCLUSIVE
    assert f"100 samples; what is usual is known after {NEEDED_ROWS}" in reading.explanation


def test_unusual_when_holes_are_in_the_middle_then_is_stepped_over() -> None:
    values = [*_noisy(400), *_noisy(4, level=200.0)]
    evidence = _evidence(values)
    holed = tuple(
        (time, math.nan if row % 17 == 3 else value)
        for row, (time, value) in enumerate(evidence.samples)
        if row not in range(100, 130)
    )
    reading = unusual(evidence.model_copy(update={"samples": holed}))
    assert reading.verdict is RuleVerdict.FIRED


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"samples": ()}, "no data"),
        ({"error": "no answer within 0.5 s"}, "no answer within 0.5 s"),
        ({"end": START + timedelta(days=30)}, "the newest sample"),
        ({"samples": ((START.timestamp(), math.nan),), "end": START}, "no number"),
    ],
)
def test_unusual_when_the_newest_is_not_known_then_is_inconclusive(
    change: dict[str, object], why: str
) -> None:
    reading = unusual(_evidence(_noisy(400)).model_copy(update=change))
    assert reading == Unusual(RuleVerdict.INCONCLUSIVE, explanation=reading.explanation)
    assert why in reading.explanation


def test_replay_when_a_store_repeats_a_sample_then_it_counts_once() -> None:
    evidence = _evidence(_noisy(250))
    twice = tuple(sample for sample in evidence.samples for _ in range(2))
    assert list(replay(evidence)) == list(replay(evidence.model_copy(update={"samples": twice})))


def _time(row: int) -> float:
    return START.timestamp() + row * STEP


def _noisy(count: int, level: float = 100.0) -> list[float]:
    chance = random.Random(11)
    return [level + chance.gauss(0, 1) for _ in range(count)]


def _scores(values: Iterable[float]) -> list[Score]:
    detector = Detector()
    return [detector.update(_time(row), value) for row, value in enumerate(values)]


def _evidence(values: list[float]) -> MetricEvidence:
    return MetricEvidence(
        metric="error_rate",
        start=START,
        end=START + timedelta(seconds=(len(values) - 1) * STEP),
        step_seconds=STEP,
        samples=tuple((_time(row), value) for row, value in enumerate(values)),
    )
