"""What a load reports, computed from answers at known moments."""

import pytest

from failback.lab import tally as module
from failback.lab.journal import WriteOutcome
from failback.lab.shop import Reply
from failback.lab.tally import Tally
from failback.models.common import Side


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def acknowledged(tally: Tally, clock: Clock, side: Side, *moments: float) -> None:
    for moment in moments:
        clock.now = moment
        tally.wrote(WriteOutcome.ACKNOWLEDGED, side)


def test_write_gap_when_traffic_moves_is_from_the_targets_last_to_the_sources_first(
    clock: Clock,
) -> None:
    tally = Tally()
    tally.start()
    acknowledged(tally, clock, Side.TARGET, 100.1, 100.2)
    acknowledged(tally, clock, Side.SOURCE, 100.5, 100.6)
    clock.now = 100.7
    tally.stop()
    summary = tally.summary(1)
    assert summary.write_gap_seconds == pytest.approx(0.3)
    assert summary.longest_without_write_seconds == pytest.approx(0.3)
    assert summary.acknowledged_by_side == {"target": 2, "source": 2}


def test_write_gap_when_both_sides_acknowledge_at_a_time_is_negative(clock: Clock) -> None:
    tally = Tally()
    tally.start()
    acknowledged(tally, clock, Side.TARGET, 100.1)
    acknowledged(tally, clock, Side.SOURCE, 100.2)
    acknowledged(tally, clock, Side.TARGET, 100.4)
    assert tally.summary(1).write_gap_seconds == pytest.approx(-0.2)


@pytest.mark.parametrize("side", Side)
def test_write_gap_when_one_side_alone_answered_is_not_known(clock: Clock, side: Side) -> None:
    tally = Tally()
    tally.start()
    acknowledged(tally, clock, side, 100.1, 100.9)
    assert tally.summary(1).write_gap_seconds is None


def test_time_without_a_write_when_none_came_at_the_end_counts_to_the_end(clock: Clock) -> None:
    tally = Tally()
    tally.start()
    acknowledged(tally, clock, Side.TARGET, 100.5)
    clock.now = 103.0
    tally.wrote(WriteOutcome.REFUSED, Side.TARGET)
    tally.stop()
    clock.now = 200.0
    assert tally.summary(1).longest_without_write_seconds == pytest.approx(2.5)


def test_latency_when_requests_were_late_counts_from_when_they_were_due(clock: Clock) -> None:
    tally = Tally()
    tally.answered(due=0.0, side=None, failure=None)
    tally.start()
    clock.now = 110.0
    for number in range(1, 101):
        tally.answered(due=110.0 - number / 1000, side=Side.TARGET, failure=None)
    tally.answered(due=108.0, side=None, failure="timeout")
    summary = tally.summary(1)
    assert summary.latency_p50_ms == pytest.approx(51.0)
    assert summary.latency_p95_ms == pytest.approx(96.0)
    assert summary.latency_max_ms == pytest.approx(2000.0)
    assert (summary.requests, summary.failed, summary.failures) == (102, 1, {"timeout": 1})


def test_failures_when_traffic_moves_are_told_by_who_answered_and_since_the_flip() -> None:
    tally = Tally()
    for side, failure in (
        (Side.TARGET, None),
        (Side.TARGET, "500"),
        (Side.TARGET, "500"),
        (None, "timeout"),
        (Side.SOURCE, None),
        (Side.TARGET, "503 read_only"),
        (None, "cut"),
        (Side.SOURCE, "403"),
        (Side.SOURCE, None),
    ):
        tally.answered(due=0.0, side=side, failure=failure)
    summary = tally.summary(1)
    assert summary.failed_by_side == {"target": 3, "nobody": 2, "source": 1}
    assert sum(summary.failed_by_side.values()) == summary.failed
    assert (summary.requests_since_flip, summary.failed_since_flip) == (5, 3)


def test_failures_when_the_source_never_answered_then_there_was_no_flip() -> None:
    tally = Tally()
    tally.answered(due=0.0, side=Side.TARGET, failure="500")
    summary = tally.summary(1)
    assert (summary.requests_since_flip, summary.failed_since_flip) == (None, None)


def test_summary_when_nothing_was_sent_is_empty() -> None:
    summary = Tally().summary(0)
    assert (summary.requests, summary.latency_p50_ms, summary.write_gap_seconds) == (0, None, None)


@pytest.mark.parametrize(
    ("status", "failure", "not_sent", "outcome"),
    [
        (201, None, False, WriteOutcome.ACKNOWLEDGED),
        (400, "400 22P02", False, WriteOutcome.REFUSED),
        (409, "409 23505", False, WriteOutcome.REFUSED),
        (200, "no row", False, WriteOutcome.REFUSED),
        (503, "503 read_only", False, WriteOutcome.REFUSED),
        (503, "503 database_unavailable", False, WriteOutcome.UNKNOWN),
        (503, "503", False, WriteOutcome.UNKNOWN),
        (500, "500 unexpected_failure", False, WriteOutcome.UNKNOWN),
        (504, "504", False, WriteOutcome.UNKNOWN),
        (None, "timeout", False, WriteOutcome.UNKNOWN),
        (None, "cut", False, WriteOutcome.UNKNOWN),
        (None, "connect", True, WriteOutcome.REFUSED),
    ],
)
def test_answer_when_it_promises_nothing_leaves_the_write_unknown(
    status: int | None, failure: str | None, not_sent: bool, outcome: WriteOutcome
) -> None:
    assert Reply(status, None, b"", failure, not_sent=not_sent).outcome is outcome
