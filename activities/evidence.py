"""Gathers what a decision stands on: every metric and every count of events, all at once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeAlias

from temporalio import activity

from activities.failures import maps_errors
from failback.decision.matrix import ANOMALY_SCORE
from failback.decision.ranges import RangeRead, ranges
from failback.errors import FailbackError
from failback.models.audit import AuditEntry, EntryKind
from failback.models.decision import (
    AssessmentEvidence,
    EventEvidence,
    GatherEvidenceRequest,
    MetricEvidence,
    Rule,
)
from failback.ports import AuditLog, MetricStore

Gather = Callable[[GatherEvidenceRequest], Awaitable[AssessmentEvidence]]

_Found: TypeAlias = MetricEvidence | EventEvidence
_Asked: TypeAlias = tuple[_Found, Coroutine[object, object, _Found]]

NO_STORE = "no metric store is configured (metrics.prometheus_url)"
NO_LOG = "no audit log is configured"
_MOST_EVENTS = 1_000
_LOG = logging.getLogger(__name__)


class Watch(Protocol):
    """Says how unusual metrics are, from their own history."""

    async def read(self, store: MetricStore, read: RangeRead) -> MetricEvidence:
        """The anomaly score over a range, as a metric of its own."""
        ...


class EvidenceGatherer:
    """Reads the evidence of one estate. What cannot be had is in it as an error.

    Args:
        rules: the matrix of the estate.
        metrics: its metric store; None where there is none.
        audit: its audit log, which holds events; None where there is none.
        deadline_seconds: after so long the evidence is what is there by then.
        watch: computes the anomaly score; None asks the metric store for it as for any metric.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        metrics: MetricStore | None,
        audit: AuditLog | None,
        *,
        deadline_seconds: float = 0.5,
        watch: Watch | None = None,
    ) -> None:
        self._rules = tuple(rules)
        self._metrics = metrics
        self._audit = audit
        self._deadline = deadline_seconds
        self._watch = watch
        self._given_up: set[asyncio.Task[_Found]] = set()

    async def gather(self, request: GatherEvidenceRequest) -> AssessmentEvidence:
        """Everything that a matrix asks for, at one moment, within the deadline."""
        at = request.at or datetime.now(UTC)
        rules = request.rules or self._rules
        measured: list[_Asked] = [
            (_nothing(read), self._metric(read)) for read in ranges(rules, at)
        ]
        counted: list[_Asked] = [
            (EventEvidence(metric=metric), self._events(metric, at, seconds))
            for metric, seconds in _counted(rules).items()
        ]
        found = await self._by_the_deadline([*measured, *counted])
        return AssessmentEvidence(
            at=at,
            metrics=tuple(one for one in found if isinstance(one, MetricEvidence)),
            events=tuple(one for one in found if isinstance(one, EventEvidence)),
            rules=rules,
        )

    async def _by_the_deadline(self, asked: Sequence[_Asked]) -> list[_Found]:
        """Every answer in the order asked; what is late is given up and says so."""
        if not asked:
            return []
        tasks = [asyncio.create_task(_in_band(empty, answer)) for empty, answer in asked]
        await asyncio.wait(tasks, timeout=self._deadline)
        found = []
        for task, (empty, _) in zip(tasks, asked, strict=True):
            if task.done():
                found.append(task.result())
                continue
            # Not waited for: some clients take seconds to give up what they were told to.
            self._given_up.add(task)
            task.add_done_callback(self._given_up.discard)
            task.cancel()
            found.append(_failed(empty, f"no answer within {self._deadline:g} s"))
        return found

    async def _metric(self, read: RangeRead) -> MetricEvidence:
        if self._metrics is None:
            return _nothing(read).model_copy(update={"error": NO_STORE})
        if read.metric == ANOMALY_SCORE and self._watch is not None:
            return await self._watch.read(self._metrics, read)
        return await self._metrics.read(read.metric, read.start, read.end, read.step_seconds)

    async def _events(self, metric: str, at: datetime, seconds: float) -> EventEvidence:
        if self._audit is None:
            return EventEvidence(metric=metric, error=NO_LOG)
        entries = await self._audit.read(
            (EntryKind.EVENT,),
            since=at - timedelta(seconds=seconds),
            until=at,
            subject=metric,
            limit=_MOST_EVENTS,
        )
        return EventEvidence(metric=metric, times=_times(entries))


class EvidenceActivities:
    """The gatherer as an activity.

    Args:
        gather: reads the evidence.
    """

    def __init__(self, gather: Gather) -> None:
        self._gather = gather

    @activity.defn
    @maps_errors
    async def gather_evidence(self, request: GatherEvidenceRequest) -> AssessmentEvidence:
        """Everything that a matrix asks for, at one moment; see `EvidenceGatherer.gather`."""
        return await self._gather(request)


def _counted(rules: Sequence[Rule]) -> dict[str, float]:
    """The longest time that each kind of event is counted over."""
    longest: dict[str, float] = {}
    for rule in rules:
        if rule.within_seconds:
            longest[rule.metric] = max(rule.within_seconds, longest.get(rule.metric, 0.0))
    return longest


def _times(entries: Sequence[AuditEntry]) -> tuple[datetime, ...]:
    return tuple(sorted(entry.at for entry in entries))


def _nothing(read: RangeRead) -> MetricEvidence:
    return MetricEvidence(
        metric=read.metric, start=read.start, end=read.end, step_seconds=read.step_seconds
    )


async def _in_band(empty: _Found, answer: Awaitable[_Found]) -> _Found:
    """The answer, or the evidence that there is none."""
    try:
        return await answer
    except FailbackError as error:
        return _failed(empty, str(error))
    except Exception as error:  # noqa: BLE001 - one defect must not hide what the others say
        _LOG.exception("%s could not be read", empty.metric)
        return _failed(empty, f"it could not be read ({type(error).__name__})")


def _failed(empty: _Found, error: str) -> _Found:
    return empty.model_copy(update={"error": error})
