"""The evidence of a decision as line plots: places on paper, drawn by a template."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from failback.models.decision import AssessmentEvidence, MetricEvidence, Rule
from failback.models.post_mortem import PostMortemFacts

WIDTH, HEIGHT = 1000.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 12.0, 14.0, 26.0
_GAP_STEPS = 2.5
"""So many steps without a sample are a gap: the line is broken, never drawn across."""
_TICKS = 6
_ROUND_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200)


@dataclass(frozen=True)
class Line:
    """A horizontal line: a rule's threshold."""

    y: float
    label: str
    tone: str


@dataclass(frozen=True)
class Mark:
    """A vertical line: a moment."""

    x: float
    label: str
    end: bool
    """Whether its label stands to the left of it."""


@dataclass(frozen=True)
class Plot:
    """One metric over time.

    Args:
        metric: its name.
        paths: the line in unbroken pieces, as SVG path data.
        dots: places of samples that stand alone.
        lines: thresholds.
        marks: moments.
        ticks: places and texts of the time axis.
        scale: places and texts of the value axis.
        error: why there is nothing to draw; empty where there is.
        summary: the plot in one sentence, for people who cannot see it.
    """

    metric: str
    paths: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    scale: tuple[tuple[float, str], ...]
    error: str
    summary: str


def plots(found: PostMortemFacts) -> list[Plot]:
    """Every metric that the matrix asks about, those whose rules fired first."""
    evidence = found.evidence
    if evidence is None:
        return []
    fired = {
        reading.rule
        for decision in found.decisions
        for reading in decision.readings
        if reading.verdict == "fired"
    }
    by_metric = {one.metric: _rules(evidence, one.metric) for one in evidence.metrics}
    ordered = sorted(
        evidence.metrics,
        key=lambda one: (not any(r.name in fired for r in by_metric[one.metric]), bool(one.error)),
    )
    return [_plot(one, by_metric[one.metric], _moments(found)) for one in ordered]


def _rules(evidence: AssessmentEvidence, metric: str) -> list[Rule]:
    rules = [rule for rule in evidence.rules if rule.metric == metric]
    return sorted(rules, key=lambda rule: -rule.rule_class.rank)


def _moments(found: PostMortemFacts) -> list[tuple[datetime, str]]:
    result = found.result
    moments = [(one.at, "decided") for one in found.decisions[-1:]]
    moments.append((result.started_at + timedelta(seconds=result.waited_seconds), "began"))
    restored = moments[-1][0] + timedelta(seconds=result.execution_seconds)
    return [*moments, (restored, "restored")]


def _plot(
    metric: MetricEvidence, rules: Sequence[Rule], moments: Sequence[tuple[datetime, str]]
) -> Plot:
    finite = [(at, value) for at, value in metric.samples if math.isfinite(value)]
    error = metric.error or ("" if finite else "the store has no sample of this time")
    unit = next((rule.unit for rule in rules if rule.unit), "")
    if error:
        summary = f"{metric.metric}: no evidence, {error}"
        return Plot(metric.metric, (), (), (), (), (), (), error, summary)
    start, end = _span(metric, finite)
    thresholds = [rule.threshold for rule in rules if math.isfinite(rule.threshold)]
    low = min(0.0, *(value for _, value in finite))
    highest = max(value for _, value in finite)
    # A threshold far above everything seen would flatten the line that people look for.
    near = [one for one in thresholds if one <= 4 * max(highest, min(thresholds, default=0.0))]
    high = max([highest, *near]) * 1.08 or 1.0

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (at - start) / (end - start)

    def y(value: float) -> float:
        share = (value - low) / ((high - low) or 1.0)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    pieces = list(_pieces(finite, metric.step_seconds))
    return Plot(
        metric=metric.metric,
        paths=tuple(
            "M" + "L".join(f"{x(at):.1f},{y(value):.1f}" for at, value in piece)
            for piece in pieces
            if len(piece) > 1
        ),
        dots=tuple((x(piece[0][0]), y(piece[0][1])) for piece in pieces if len(piece) == 1),
        lines=tuple(
            Line(
                y(rule.threshold),
                f"{rule.rule_class.value} {rule.comparison} {_number(rule.threshold)}",
                rule.rule_class.value,
            )
            for rule in rules
            if rule.threshold <= high
        ),
        marks=tuple(
            Mark(x(at.timestamp()), label, x(at.timestamp()) > 0.9 * WIDTH)
            for at, label in moments
            if start <= at.timestamp() <= end
        ),
        ticks=tuple((x(at), text) for at, text in _ticks(start, end)),
        scale=tuple(
            (y(low + part * (high - low) / 1.08), _number(low + part * (high - low) / 1.08))
            for part in (0.0, 0.5, 1.0)
        ),
        error="",
        summary=(
            f"{metric.metric} from {_number(min(value for _, value in finite))} to "
            f"{_number(highest)}{f' {unit}' if unit else ''}, {len(finite)} samples"
        ),
    )


def _span(metric: MetricEvidence, samples: Sequence[tuple[float, float]]) -> tuple[float, float]:
    start = min(metric.start.timestamp(), samples[0][0])
    end = max(metric.end.timestamp(), samples[-1][0])
    return start, max(end, start + 1.0)


def _pieces(
    samples: Sequence[tuple[float, float]], step_seconds: float
) -> Iterator[list[tuple[float, float]]]:
    """The samples between gaps."""
    piece: list[tuple[float, float]] = []
    for sample in samples:
        if piece and sample[0] - piece[-1][0] > _GAP_STEPS * step_seconds:
            yield piece
            piece = []
        piece.append(sample)
    if piece:
        yield piece


def _ticks(start: float, end: float) -> Iterator[tuple[float, str]]:
    """Round moments of the day in UTC."""
    rough = (end - start) / _TICKS
    size = next((one for one in _ROUND_SECONDS if one >= rough), 86_400)
    form = "%H:%M:%S" if size < 60 else "%H:%M"  # noqa: PLR2004 - seconds of a minute
    at = math.ceil(start / size) * size
    while at <= end:
        yield float(at), f"{datetime.fromtimestamp(at, UTC):{form}}"
        at += size


def _number(value: float) -> str:
    """A number in as few digits as tell it apart."""
    if value and abs(value) < 0.001:  # noqa: PLR2004 - below, digits after the point mislead
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - thousands
