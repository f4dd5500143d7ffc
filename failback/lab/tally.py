"""Counts what a load did, and sums it up."""

import math
import time
from array import array
from collections import Counter
from datetime import UTC, datetime

from pydantic import Field

from failback.lab.journal import WriteOutcome
from failback.models.common import Payload, Side


class LoadProgress(Payload):
    """How far a load is, for whoever watches it."""

    phase: str
    """`signing up` or `running`."""
    elapsed_seconds: float
    requests: int
    failed: int
    acknowledged: int
    in_flight: int
    users: int


class LoadSummary(Payload):
    """What a load did and met."""

    users: int
    seconds: float
    """How long requests were sent, without the sign-ups before."""
    requests: int
    """Requests that were sent and ended, sign-ups included."""
    failed: int
    """Requests that did not end as their customer wanted."""
    failures: dict[str, int]
    """Failed requests by reason: `503 read_only`, `timeout`, `cut`, `connect`, `no row`, …"""
    failed_by_side: dict[str, int] = Field(default_factory=dict)
    """Failed requests by the side that answered; `nobody` where none did. What a broken target
    failed is its fault, and the rollback's reason; what the source failed is the rollback's."""
    requests_since_flip: int | None = None
    """Requests that ended after the source's first answer, that one included; None when it gave
    none."""
    failed_since_flip: int | None = None
    """Those of them that failed."""
    skipped: int
    """Arrivals that were not sent, because too many requests were in flight already."""
    acknowledged: int
    """Acknowledged writes."""
    refused: int
    unknown: int
    by_side: dict[str, int]
    """Answers by the side that gave them."""
    acknowledged_by_side: dict[str, int]
    latency_p50_ms: float | None
    """From the moment a request was due to its answer, waiting for its turn included."""
    latency_p95_ms: float | None
    latency_max_ms: float | None
    write_gap_seconds: float | None
    """From the last acknowledged write of the target to the first of the source after it was in
    service; None when the load did not see both. Negative where both acknowledged at a time."""
    longest_without_write_seconds: float
    """The longest time in which no write was acknowledged."""
    last_answer_at: dict[str, datetime] = Field(default_factory=dict)
    """When each side's last answer of any kind was here, UTC; also one that was an error."""


NOBODY = "nobody"
"""Gave the answer to a request that timed out, was cut off or found no connection."""


class Tally:
    """Counters of one load. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.requests = 0
        self.failures: Counter[str] = Counter()
        self.skipped = 0
        self._failed_by_side: Counter[str] = Counter()
        self._at_flip: tuple[int, int] | None = None
        self._outcomes: Counter[WriteOutcome] = Counter()
        self._answers: Counter[Side] = Counter()
        self._acknowledged: Counter[Side] = Counter()
        self._last_answers: dict[Side, datetime] = {}
        self._latencies = array("d")
        self._began: float | None = None
        self._ended: float | None = None
        self._previous_write: float | None = None
        self._longest = 0.0
        self._target_last: float | None = None
        self._source_first: float | None = None

    @property
    def acknowledged(self) -> int:
        """Acknowledged writes so far."""
        return self._outcomes[WriteOutcome.ACKNOWLEDGED]

    @property
    def failed(self) -> int:
        """Failed requests so far."""
        return self.failures.total()

    def start(self) -> None:
        """The measured part begins now."""
        self._began = self._previous_write = time.monotonic()

    def stop(self) -> None:
        """No further request is sent from now on."""
        self._ended = time.monotonic()

    def answered(self, *, due: float, side: Side | None, failure: str | None) -> None:
        """One request ended."""
        if side is Side.SOURCE and self._at_flip is None:
            self._at_flip = (self.requests, self.failed)
        self.requests += 1
        if side is not None:
            self._answers[side] += 1
            self._last_answers[side] = datetime.now(UTC)
        if failure is not None:
            self.failures[failure] += 1
            self._failed_by_side[NOBODY if side is None else side.value] += 1
        if self._began is not None:
            self._latencies.append((time.monotonic() - due) * 1000)

    def wrote(self, outcome: WriteOutcome, side: Side | None) -> None:
        """The outcome of one write is known."""
        self._outcomes[outcome] += 1
        if outcome is not WriteOutcome.ACKNOWLEDGED:
            return
        now = time.monotonic()
        if self._previous_write is not None:
            self._longest = max(self._longest, now - self._previous_write)
            self._previous_write = now
        if side is not None:
            self._acknowledged[side] += 1
        if side is Side.TARGET:
            self._target_last = now
        elif side is Side.SOURCE and self._target_last is not None and self._source_first is None:
            self._source_first = now

    def summary(self, users: int) -> LoadSummary:
        """Everything counted so far."""
        ended = self._ended if self._ended is not None else time.monotonic()
        began = self._began if self._began is not None else ended
        longest = self._longest
        if self._previous_write is not None:
            longest = max(longest, ended - self._previous_write)
        gap = None
        if self._source_first is not None and self._target_last is not None:
            gap = round(self._source_first - self._target_last, 6)
        ordered = sorted(self._latencies)
        return LoadSummary(
            users=users,
            seconds=round(ended - began, 3),
            requests=self.requests,
            failed=self.failed,
            failures=dict(self.failures.most_common()),
            failed_by_side=dict(self._failed_by_side),
            requests_since_flip=self._since_flip(self.requests, 0),
            failed_since_flip=self._since_flip(self.failed, 1),
            skipped=self.skipped,
            acknowledged=self.acknowledged,
            refused=self._outcomes[WriteOutcome.REFUSED],
            unknown=self._outcomes[WriteOutcome.UNKNOWN],
            by_side={side.value: count for side, count in self._answers.items()},
            acknowledged_by_side={side.value: count for side, count in self._acknowledged.items()},
            latency_p50_ms=_percentile(ordered, 0.5),
            latency_p95_ms=_percentile(ordered, 0.95),
            latency_max_ms=_percentile(ordered, 1.0),
            write_gap_seconds=gap,
            longest_without_write_seconds=round(longest, 6),
            last_answer_at={side.value: at for side, at in self._last_answers.items()},
        )

    def _since_flip(self, now: int, which: int) -> int | None:
        return None if self._at_flip is None else now - self._at_flip[which]

    def progress(self, phase: str, *, users: int, in_flight: int) -> LoadProgress:
        """The counters that matter while a load runs."""
        began = self._began
        return LoadProgress(
            phase=phase,
            elapsed_seconds=round(time.monotonic() - began, 3) if began is not None else 0.0,
            requests=self.requests,
            failed=self.failed,
            acknowledged=self.acknowledged,
            in_flight=in_flight,
            users=users,
        )


def _percentile(ordered: list[float], share: float) -> float | None:
    """The nearest-rank percentile of values in order; None without any."""
    if not ordered:
        return None
    rank = max(1, math.ceil(share * len(ordered)))
    return round(ordered[rank - 1], 3)
