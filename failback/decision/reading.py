"""What one rule says about the evidence: a verdict, with the numbers that it stands on.

A threshold was passed for a time if every sample of that time passes it, both ends included, and
no sample is missing. One sample that does not pass decides that it was not, whatever else is
missing. Samples that are missing decide nothing: the verdict is inconclusive then.
"""

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise

from failback.decision.ranges import POINTS
from failback.models.decision import (
    AssessmentEvidence,
    EventEvidence,
    MetricEvidence,
    Rule,
    RuleReading,
    RuleVerdict,
)

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

GAP_STEPS = 2
"""Two samples further apart than so many steps leave a gap: one missing sample is bridged."""
STALE_STEPS = 1
"""A newest sample that is older than so many steps says nothing about now. Where nothing but the
newest is asked for, it may be as old as a gap is long."""
_EXACT = 0.002
"""Seconds; stores keep times in milliseconds."""


def read_rule(rule: Rule, evidence: AssessmentEvidence) -> RuleReading:
    """One rule's verdict on the evidence."""
    if rule.within_seconds:
        counted = next((one for one in evidence.events if one.metric == rule.metric), None)
        return _counted(rule, counted, evidence.at)
    found = next((one for one in evidence.metrics if one.metric == rule.metric), None)
    if found is None:
        return _inconclusive(rule, "nobody asked for it")
    if found.error:
        return _inconclusive(rule, found.error)
    return _Series(rule, found, evidence.at).reading()


def _counted(rule: Rule, evidence: EventEvidence | None, at: datetime) -> RuleReading:
    """How many events there were in the time before `at`, and when it became enough."""
    if evidence is None:
        return _inconclusive(rule, "nobody asked for it")
    if evidence.error:
        return _inconclusive(rule, evidence.error)
    times = sorted(
        time for time in evidence.times if 0 <= (at - time).total_seconds() <= rule.within_seconds
    )
    passes = COMPARISONS[rule.comparison]
    count = len(times)
    enough = next((n for n in range(1, count + 1) if passes(n, rule.threshold)), None)
    fired = passes(count, rule.threshold)
    asked = f"{rule.comparison} {number(rule.threshold)}"
    return RuleReading(
        rule=rule,
        verdict=RuleVerdict.FIRED if fired else RuleVerdict.CLEAR,
        value=float(count),
        since=times[enough - 1] if fired and enough is not None else None,
        explanation=(
            f"{count} reported in the last {number(rule.within_seconds)} s, "
            f"{'which is' if fired else 'not'} {asked}"
        ),
    )


def _inconclusive(
    rule: Rule, why: str, value: float | None = None, since: float | None = None
) -> RuleReading:
    return RuleReading(
        rule=rule,
        verdict=RuleVerdict.INCONCLUSIVE,
        value=value,
        since=_moment(since),
        explanation=why,
    )


class _Series:
    """One metric's samples as one rule looks at them.

    Args:
        rule: asks about the newest sample, or about all in a time.
        evidence: the samples.
        at: the moment that is asked about; later samples are not looked at.
    """

    def __init__(self, rule: Rule, evidence: MetricEvidence, at: datetime) -> None:
        self._rule = rule
        self._at = at.timestamp()
        self._step = evidence.step_seconds
        self._fresh_seconds = self._step * (STALE_STEPS if rule.sustained_seconds else GAP_STEPS)
        self._note = f" ({evidence.note})" if evidence.note else ""
        self._samples = [one for one in evidence.samples if one[0] <= self._at + _EXACT]
        self._passes = COMPARISONS[rule.comparison]

    def reading(self) -> RuleReading:
        """The verdict: first what is known to be clear, then what is missing, then what fired."""
        if not self._samples:
            return _inconclusive(self._rule, "the store has no data for it")
        opening = self._at - self._rule.sustained_seconds
        since = self._run()[0]
        if since is None:
            return self._newest_is_clear()
        low = [
            sample
            for sample in self._samples
            if sample[0] >= opening - _EXACT and not self._over(sample)
        ]
        if low and self._rule.sustained_seconds:
            return self._clear_since(low[-1])
        missing = self._missing(opening)
        if missing:
            return _inconclusive(self._rule, missing, self._samples[-1][1], since)
        if since > opening + _EXACT:
            # The last sample that did not pass lies just before the time that is asked about.
            return self._clear_since(self._run()[1] or self._samples[0])
        return self._fired(since)

    def _over(self, sample: tuple[float, float]) -> bool:
        return self._passes(sample[1], self._rule.threshold)

    def _run(self) -> tuple[float | None, tuple[float, float] | None]:
        """Since when the newest samples pass without a break, and the sample that broke it."""
        since = None
        later = None
        for sample in reversed(self._samples):
            if later is not None and self._gap(sample[0], later):
                return since, None
            if not self._over(sample):
                return since, sample
            since = later = sample[0]
        return since, None

    def _gap(self, earlier: float, later: float) -> bool:
        return later - earlier > GAP_STEPS * self._step + _EXACT

    def _missing(self, opening: float) -> str:
        """What keeps samples that all pass from being proof; empty where nothing does."""
        sustained = self._rule.sustained_seconds
        newest = self._samples[-1][0]
        if sustained and self._step * POINTS > sustained + _EXACT:
            return (
                f"samples every {number(self._step)} s are too far apart to say what was "
                f"sustained for {number(sustained)} s"
            )
        if self._at - newest > self._fresh_seconds + _EXACT:
            return f"the newest sample is of {clock(newest)}, {number(self._at - newest)} s ago"
        since, broken_by = self._run()
        if since is None or since <= opening + _EXACT or broken_by is not None:
            return ""
        for (earlier, _), (later, _) in pairwise(self._samples):
            if later == since:
                return f"no data from {clock(earlier)} to {clock(later)}"
        return f"no data before {clock(since)}"

    def _newest_is_clear(self) -> RuleReading:
        """The newest sample does not pass. It says so of now only if it is of now."""
        time, value = self._samples[-1]
        old = self._at - time
        if old > max(self._rule.sustained_seconds, self._fresh_seconds) + _EXACT:
            return _inconclusive(
                self._rule, f"the newest sample is of {clock(time)}, {number(old)} s ago", value
            )
        return RuleReading(
            rule=self._rule,
            verdict=RuleVerdict.CLEAR,
            value=value,
            explanation=f"{self._told(value)} is not {self._asked()} at {clock(time)}",
        )

    def _clear_since(self, low: tuple[float, float]) -> RuleReading:
        """Passed now, but not for long enough: `low` is the last sample that did not pass."""
        since = self._run()[0]
        so_long = "" if since is None else f" for {number(self._at - since)} s"
        return RuleReading(
            rule=self._rule,
            verdict=RuleVerdict.CLEAR,
            value=self._samples[-1][1],
            since=_moment(since),
            explanation=(
                f"{self._told(self._samples[-1][1])} is {self._asked()}{so_long}, "
                f"but was {self._told(low[1])} at {clock(low[0])}; "
                f"{number(self._rule.sustained_seconds)} s are asked for"
            ),
        )

    def _fired(self, since: float) -> RuleReading:
        first = since <= self._samples[0][0] + _EXACT
        sustained = self._rule.sustained_seconds
        held = (
            f" since {'at least ' if first else ''}{clock(since)}, for "
            f"{number(self._at - since)} s of the {number(sustained)} s asked for"
            if sustained
            else f" at {clock(self._samples[-1][0])}"
        )
        return RuleReading(
            rule=self._rule,
            verdict=RuleVerdict.FIRED,
            value=self._samples[-1][1],
            since=_moment(since),
            explanation=(
                f"{self._told(self._samples[-1][1])} is {self._asked()}{held}{self._note}"
            ),
        )

    def _told(self, value: float) -> str:
        unit = self._rule.unit
        return f"{number(value)} {unit}" if unit and unit != "share" else number(value)

    def _asked(self) -> str:
        return f"{self._rule.comparison} {number(self._rule.threshold)}"


def number(value: float) -> str:
    """A number for people: four digits that count, no exponent for what is of everyday size."""
    if value and not 0.0001 <= abs(value) < 1e9:  # noqa: PLR2004 - where digits stop helping
        return f"{value:.3e}"
    if abs(value) >= 1000:  # noqa: PLR2004 - no digit behind the point counts from here
        return f"{value:,.0f}"
    return f"{value:.4g}"


def clock(time: float) -> str:
    """A moment of Unix seconds for people, UTC."""
    return f"{datetime.fromtimestamp(time, UTC):%F %T} UTC"


def _moment(time: float | None) -> datetime | None:
    return None if time is None else datetime.fromtimestamp(time, UTC)
