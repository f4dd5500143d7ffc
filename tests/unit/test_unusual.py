"""The anomaly score as evidence: causal, the same for whoever asks, never waited for too long."""

import math
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import pytest

from activities.watching import AnomalyWatch
from failback.decision.anomaly import Detector
from failback.decision.matrix import DEFAULT_RULES
from failback.decision.ranges import RangeRead, ranges
from failback.decision.reading import read_rule
from failback.decision.unusual import NewDetector, Track
from failback.models.decision import AssessmentEvidence, MetricEvidence, RuleReading, RuleVerdict
from failback.providers.metrics import FakeMetricStore

from support.evidence import AT

(RULE,) = [one for one in DEFAULT_RULES if one.name == "unusual_pattern"]
STEP = 60
HISTORY = 6 * 3600
PAST = 13 * 240
"""Samples before the moment: twice the history, and some."""


class Score(NamedTuple):
    """A score of the detector below."""

    ratio: float
    explanation: str


class FarFromTheMean:
    """Twice the mean of all before it is unusual; knows nothing before its tenth value."""

    def __init__(self) -> None:
        self._seen: list[float] = []
        self.ready = False

    def update(self, timestamp: float, value: float) -> Score:
        mean = sum(self._seen) / len(self._seen) if self._seen else value
        self._seen.append(value)
        self.ready = len(self._seen) > 10
        return Score(value / (2 * mean), f"{value:g} where {mean:.2g} is usual")


def watch(
    new_detector: NewDetector = FarFromTheMean, patience: float = 10.0, discount: float = 0.0
) -> AnomalyWatch:
    return AnomalyWatch(
        ("calm", "lively"),
        new_detector,
        history_seconds=HISTORY,
        step_seconds=STEP,
        patience_seconds=patience,
        discount=discount,
    )


def asked(seconds: float = 0.0) -> RangeRead:
    (read,) = ranges([RULE], AT + timedelta(seconds=seconds))
    return read


def filled(value_at: float = 1.0) -> FakeMetricStore:
    store = FakeMetricStore()
    for name in ("calm", "lively"):
        store.add(name, [(AT.timestamp() - 15 * n, value_at) for n in range(PAST)])
    return store


@pytest.fixture
def store() -> FakeMetricStore:
    return filled()


def leap(store: FakeMetricStore) -> None:
    store.add("lively", [(AT.timestamp() + 15 * n, 9.0) for n in range(1, 40)])
    store.add("calm", [(AT.timestamp() + 15 * n, 1.0) for n in range(1, 40)])


def reading(evidence: MetricEvidence, seconds: float = 0.0) -> RuleReading:
    at = AT + timedelta(seconds=seconds)
    return read_rule(RULE, AssessmentEvidence(at=at, metrics=(evidence,)))


async def test_score_when_all_is_usual_then_clear_at_every_moment_of_a_step(
    store: FakeMetricStore,
) -> None:
    for seconds in range(0, -60, -7):
        found = await watch().read(store, asked(seconds))
        assert reading(found, seconds).verdict is RuleVerdict.CLEAR


async def test_score_when_one_metric_leaps_then_it_fires_and_says_what_was_seen(
    store: FakeMetricStore,
) -> None:
    leap(store)
    found = reading(await watch().read(store, asked(75)), 75)
    assert found.verdict is RuleVerdict.FIRED
    assert "lively: 9 where 1 is usual" in found.explanation


async def test_score_when_the_future_is_known_then_the_past_is_judged_the_same(
    store: FakeMetricStore,
) -> None:
    before = await watch().read(store, asked())
    leap(store)
    assert await watch().read(store, asked()) == before


async def test_score_when_followed_step_by_step_then_as_if_read_at_once(
    store: FakeMetricStore,
) -> None:
    leap(store)
    following = watch(Detector)
    found = [await following.read(store, asked(seconds)) for seconds in range(-600, 600, 45)]
    assert found == [
        await watch(Detector).read(store, asked(seconds)) for seconds in range(-600, 600, 45)
    ]
    assert reading(found[-1], 555).verdict is not RuleVerdict.INCONCLUSIVE


async def test_score_when_the_past_is_asked_about_again_then_as_before(
    store: FakeMetricStore,
) -> None:
    leap(store)
    one = watch()
    before = await one.read(store, asked())
    for seconds in range(75, 600, 60):
        await one.read(store, asked(seconds))
    assert await one.read(store, asked()) == before


async def test_history_when_followed_then_only_what_is_new_is_read(store: FakeMetricStore) -> None:
    leap(store)
    one = watch()
    await one.read(store, asked(75))
    await one.read(store, asked(90))
    assert len(store.called("read")) == 2
    await one.read(store, asked(135))
    (*_, last) = store.called("read")
    assert last.arguments[1] == last.arguments[2] == AT + timedelta(seconds=120)


async def test_history_when_too_short_then_nobody_knows_what_is_usual() -> None:
    store = FakeMetricStore()
    for name in ("calm", "lively"):
        store.add(name, [(AT.timestamp() - 15 * n, 1.0) for n in range(20)])
    found = reading(await watch().read(store, asked()))
    assert found.verdict is RuleVerdict.INCONCLUSIVE
    assert "too little history" in found.explanation


async def test_metric_when_it_fell_silent_then_nobody_knows_unless_another_is_unusual(
    store: FakeMetricStore,
) -> None:
    leap(store)
    quiet = FakeMetricStore()
    quiet.add("calm", [one for one in store._samples["calm"] if one[0] < AT.timestamp() - 600])
    quiet.add("lively", [(time, 1.0) for time, _ in store._samples["lively"]])
    found = reading(await watch().read(quiet, asked(75)), 75)
    assert found.verdict is RuleVerdict.INCONCLUSIVE
    assert "calm: the newest sample is of" in found.explanation
    quiet._samples["lively"] = store._samples["lively"]
    assert reading(await watch().read(quiet, asked(75)), 75).verdict is RuleVerdict.FIRED


async def test_store_when_it_fails_then_the_error_names_the_metrics_and_later_it_is_asked_again(
    store: FakeMetricStore,
) -> None:
    store.fail("read", 2)
    one = watch()
    found = await one.read(store, asked())
    assert "calm: " in found.error
    assert "lively: " in found.error
    assert reading(await one.read(store, asked())).verdict is RuleVerdict.CLEAR


async def test_discount_then_what_is_barely_unusual_is_not_told(store: FakeMetricStore) -> None:
    store.add("lively", [(AT.timestamp() + 15 * n, 2.2) for n in range(1, 40)])
    store.add("calm", [(AT.timestamp() + 15 * n, 1.0) for n in range(1, 40)])
    assert reading(await watch().read(store, asked(75)), 75).verdict is RuleVerdict.FIRED
    found = await watch(discount=0.2).read(store, asked(75))
    assert reading(found, 75).verdict is RuleVerdict.CLEAR


@pytest.fixture
def slow() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_detector_when_slow_then_nobody_waits_and_a_later_one_finds_its_word(
    store: FakeMetricStore, slow: threading.Event
) -> None:
    class Slow(FarFromTheMean):
        def update(self, timestamp: float, value: float) -> Score:
            slow.wait(20)
            return super().update(timestamp, value)

    one = watch(Slow, patience=0.05)
    found = await one.read(store, asked())
    assert "still reading" in found.error
    slow.set()
    for _ in range(200):
        found = await one.read(store, asked())
        if not found.error:
            break
    assert reading(found).verdict is RuleVerdict.CLEAR


def test_track_when_samples_come_in_pieces_then_the_same_as_at_once() -> None:
    samples = [(60.0 * n, 10 + math.sin(n / 50) + (n % 7) / 10) for n in range(600)]
    whole, pieces = Track(0.0, Detector()), Track(0.0, Detector())
    whole.follow(samples, 60.0 * 599)
    for begin in range(0, 600, 13):
        # What overlaps was seen already.
        pieces.follow(samples[max(0, begin - 3) : begin + 13], 60.0 * (begin + 12))
    assert whole.score == pieces.score
    assert whole.score is not None
