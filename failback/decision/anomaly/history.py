"""What the detector says of a range of a metric store: the rule `unusual_pattern`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from failback.decision.anomaly.detector import NEEDED_ROWS, Detector, Score
from failback.decision.reading import GAP_STEPS, clock, number
from failback.models.decision import MetricEvidence, RuleVerdict


@dataclass(frozen=True, slots=True)
class Unusual:
    """Whether a metric's newest stretch is unusual, in the words of a rule's reading.

    Args:
        verdict: fired, clear, or inconclusive where there is too little to say.
        value: how unusual, as a multiple of what counts as unusual: 1 and more has fired. None
            where nothing is known.
        since: since when without a break; None unless it fired.
        explanation: a sentence with the numbers.
    """

    verdict: RuleVerdict
    value: float | None = None
    since: datetime | None = None
    explanation: str = ""


def replay(evidence: MetricEvidence) -> Iterator[tuple[float, Score]]:
    """Each sample's time (Unix seconds) and score, as if they came in one by one.

    Samples of a time that was seen already are left out, as a store repeats the last one while
    there is none newer. A gap is stepped over.
    """
    detector = Detector()
    newest = -math.inf
    for time, value in evidence.samples:
        if time > newest:
            newest = time
            yield time, detector.update(time, value)


def unusual(evidence: MetricEvidence) -> Unusual:
    """Whether the stretch that ends a range is unusual for what came before it in that range.

    About 0.1 ms a sample. Holes and samples that are no numbers are stepped over, but not at the
    end: what is missing there could be what is unusual.

    Args:
        evidence: a range that ends at the moment that is asked about and reaches back for at
            least 174 samples; some days, so that the time of day is known.
    """
    if evidence.error:
        return _inconclusive(evidence.error)
    if not evidence.samples:
        return _inconclusive(f"the store has no data for {evidence.metric}")
    time, value = evidence.samples[-1]
    old = evidence.end.timestamp() - time
    if old > GAP_STEPS * evidence.step_seconds:
        return _inconclusive(
            f"the newest sample of {evidence.metric} is of {clock(time)}, {number(old)} s ago"
        )
    if not math.isfinite(value):
        return _inconclusive(f"the newest sample of {evidence.metric} is no number")
    return _judged(evidence)


def _judged(evidence: MetricEvidence) -> Unusual:
    detector = Detector()
    newest, score, taken = -math.inf, Score(0.0), 0
    for time, value in evidence.samples:
        if time > newest:
            newest, score = time, detector.update(time, value)
            taken += math.isfinite(value)
    if not detector.ready:
        return _inconclusive(
            f"{evidence.metric} has {taken} samples; what is usual is known after {NEEDED_ROWS}"
        )
    since = None if score.since is None else datetime.fromtimestamp(score.since, UTC)
    return Unusual(
        verdict=RuleVerdict.FIRED if score.unusual else RuleVerdict.CLEAR,
        value=score.ratio,
        since=since,
        explanation=f"{evidence.metric}: {score.explanation}",
    )


def _inconclusive(why: str) -> Unusual:
    return Unusual(RuleVerdict.INCONCLUSIVE, explanation=why)
