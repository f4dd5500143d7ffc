"""Asks the matrix about incidents of the past, and scores what it says."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import NamedTuple

from activities.evidence import EvidenceGatherer
from bench.incidents.simulation import Incident, Look
from failback.decision.evaluate import DECISION_RANKS, assess
from failback.decision.matrix import ANOMALY_SCORE, DEFAULT_RULES
from failback.decision.queries import default_queries
from failback.models.audit import EntryKind, NewEntry
from failback.models.decision import (
    Assessment,
    AssessmentEvidence,
    DecisionKind,
    GatherEvidenceRequest,
    MetricEvidence,
    Rule,
)
from failback.providers.audit import FakeAuditLog
from failback.providers.metrics import PrometheusMetrics
from failback.sections.metrics import MetricsConfig

RULES = tuple(rule for rule in DEFAULT_RULES if rule.metric != ANOMALY_SCORE)
"""What is replayed here; the anomaly detector has series and a score of its own."""
_DEADLINE_SECONDS = 30.0


class Decided(NamedTuple):
    """What was decided at one moment, beside what is right."""

    incident: Incident
    look: Look
    assessment: Assessment
    evidence: AssessmentEvidence

    @property
    def right(self) -> bool:
        """Whether it is as labelled, what nobody can know included."""
        known = self.look.conclusive in (None, self.assessment.conclusive)
        return self.assessment.decision is self.look.decision and known

    @property
    def too_grave(self) -> bool:
        """Whether more was decided than is right."""
        return DECISION_RANKS[self.assessment.decision] > DECISION_RANKS[self.look.decision]

    def __str__(self) -> str:
        said = self.assessment
        known = "" if said.conclusive else ", inconclusive"
        return (
            f"{self.incident.name} at {self.look.seconds} s: {said.decision.value}{known} instead "
            f"of {self.look.decision.value}: {said.explanation}"
        )


class Score(NamedTuple):
    """How many decisions were right, and how many graver than right."""

    incidents: int
    decisions: int
    right: int
    could_be_too_grave: int
    too_grave: int

    @property
    def accuracy(self) -> float:
        """Right decisions over all."""
        return self.right / self.decisions

    @property
    def false_positives(self) -> float:
        """Decisions graver than right, over all that could be."""
        return self.too_grave / self.could_be_too_grave if self.could_be_too_grave else 0.0


async def decide(incident: Incident, looks: Iterable[Look], url: str) -> list[Decided]:
    """What is decided at these moments of one incident, in this order, by one process.

    Args:
        incident: its samples are in the store already.
        looks: some of its moments.
        url: the Prometheus.
    """
    selector = f'incident="{incident.name}"'
    config = MetricsConfig(prometheus_url=url, scrape_interval_seconds=incident.scrape)
    audit = await _reported(incident)
    decided = []
    async with AsyncExitStack() as stack:
        metrics = PrometheusMetrics(config, default_queries(selector))
        stack.push_async_callback(metrics.aclose)
        gatherer = EvidenceGatherer(RULES, metrics, audit, deadline_seconds=_DEADLINE_SECONDS)
        for look in looks:
            at = datetime.fromtimestamp(incident.onset + look.seconds, UTC)
            evidence = await gatherer.gather(GatherEvidenceRequest(at=at))
            decided.append(Decided(incident, look, assess(RULES, evidence), evidence))
    return decided


async def _reported(incident: Incident) -> FakeAuditLog:
    """The audit log with the incident's events, those included that come after a look."""
    audit = FakeAuditLog()
    for metric, times in incident.events.items():
        for number, seconds in enumerate(times):
            at = datetime.fromtimestamp(incident.onset + seconds, UTC)
            key = f"{metric}/{number}"
            await audit.append(NewEntry(kind=EntryKind.EVENT, key=key, at=at, subject=metric))
    return audit


def score(decided: Sequence[Decided]) -> Score:
    """How good decisions are."""
    lower = [one for one in decided if one.look.decision is not DecisionKind.IMMEDIATE_ROLLBACK]
    return Score(
        incidents=len({one.incident.name for one in decided}),
        decisions=len(decided),
        right=sum(one.right for one in decided),
        could_be_too_grave=len(lower),
        too_grave=sum(one.too_grave for one in lower),
    )


def by_shape(decided: Sequence[Decided]) -> dict[str, Score]:
    """The same for each kind of incident, in the order of the table."""
    groups: dict[str, list[Decided]] = defaultdict(list)
    for one in decided:
        groups[one.incident.shape].append(one)
    return {shape: score(group) for shape, group in groups.items()}


def by_newest_alone(decided: Sequence[Decided]) -> list[Decided]:
    """What would be decided by a matrix that looks at nothing but the newest sample."""
    rules = [
        rule if rule.within_seconds else rule.model_copy(update={"sustained_seconds": 0.0})
        for rule in RULES
    ]
    return [_again(one, rules, one.evidence) for one in decided]


def by_last_known(decided: Sequence[Decided]) -> list[Decided]:
    """What would be decided if the last known value stood wherever a sample is missing."""
    return [_again(one, RULES, _filled(one.evidence)) for one in decided]


def _again(one: Decided, rules: Sequence[Rule], evidence: AssessmentEvidence) -> Decided:
    return one._replace(assessment=assess(rules, evidence), evidence=evidence)


def _filled(evidence: AssessmentEvidence) -> AssessmentEvidence:
    return evidence.model_copy(
        update={"metrics": tuple(_without_gaps(one) for one in evidence.metrics)}
    )


def _without_gaps(metric: MetricEvidence) -> MetricEvidence:
    known = {round(time, 3): value for time, value in metric.samples}
    samples = []
    value = metric.samples[0][1] if metric.samples else 0.0
    begins, ends = metric.start.timestamp(), metric.end.timestamp()
    for number in range(round((ends - begins) / metric.step_seconds) + 1):
        time = round(begins + number * metric.step_seconds, 3)
        value = known.get(time, value)
        samples.append((time, value))
    return metric.model_copy(update={"samples": tuple(samples), "error": ""})
