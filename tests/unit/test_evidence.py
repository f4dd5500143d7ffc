"""Gathering evidence: all at once, within a deadline, failures in the evidence itself."""

import asyncio
from datetime import timedelta

import pytest

from activities.evidence import EvidenceActivities, EvidenceGatherer
from failback.decision.evaluate import assess, store_away
from failback.decision.matrix import DEFAULT_RULES
from failback.models.audit import EntryKind, NewEntry
from failback.models.decision import (
    AssessmentEvidence,
    DecisionKind,
    GatherEvidenceRequest,
    MetricEvidence,
    RuleVerdict,
)
from failback.providers.audit import FakeAuditLog
from failback.providers.metrics import FakeMetricStore

from support.evidence import AT

METRICS = {one.metric for one in DEFAULT_RULES if not one.within_seconds}
EVENTS = {one.metric for one in DEFAULT_RULES if one.within_seconds}
NOW = GatherEvidenceRequest(at=AT)


@pytest.fixture
def store() -> FakeMetricStore:
    store = FakeMetricStore()
    for metric in METRICS:
        store.add(metric, [(AT.timestamp() - 15 * n, 0.0) for n in range(200)])
    return store


@pytest.fixture
def audit() -> FakeAuditLog:
    return FakeAuditLog()


def gatherer(
    store: FakeMetricStore | None, audit: FakeAuditLog | None, deadline: float = 5.0
) -> EvidenceGatherer:
    return EvidenceGatherer(DEFAULT_RULES, store, audit, deadline_seconds=deadline)


def errors(found: AssessmentEvidence) -> dict[str, str]:
    return {one.metric: one.error for one in (*found.metrics, *found.events) if one.error}


async def test_evidence_when_everything_answers_then_a_conclusive_decision(
    store: FakeMetricStore, audit: FakeAuditLog
) -> None:
    found = await EvidenceActivities(gatherer(store, audit).gather).gather_evidence(NOW)
    assert {one.metric for one in found.metrics} == METRICS
    assert {one.metric for one in found.events} == EVENTS
    assert (found.at, found.rules) == (AT, DEFAULT_RULES)
    decided = assess(found.rules, found)
    assert (decided.decision, decided.conclusive) == (DecisionKind.CONTINUE_MIGRATION, True)


async def test_metrics_when_one_hangs_then_the_others_count_after_the_deadline(
    store: FakeMetricStore, audit: FakeAuditLog
) -> None:
    read = store.read

    async def hangs_once(metric: str, *arguments: object) -> MetricEvidence:
        if metric == "error_rate":
            await asyncio.Event().wait()
        return await read(metric, *arguments)  # type: ignore[arg-type]  # as it was called

    store.read = hangs_once  # type: ignore[method-assign,assignment]  # one method of a fake
    found = await gatherer(store, audit, 0.1).gather(NOW)
    assert errors(found) == {"error_rate": "no answer within 0.1 s"}


async def test_reads_then_all_are_under_way_at_once(
    store: FakeMetricStore, audit: FakeAuditLog
) -> None:
    store.hang("read")
    gathering = asyncio.create_task(gatherer(store, audit).gather(NOW))
    for _ in range(5000):
        if len(store.called("read")) == len(METRICS):
            break
        await asyncio.sleep(0.001)
    assert len(store.called("read")) == len(METRICS)
    store.release("read")
    assert errors(await gathering) == {}


async def test_store_when_it_fails_then_it_is_away_and_events_still_count(
    store: FakeMetricStore, audit: FakeAuditLog
) -> None:
    store.fail("read", None)
    entry = NewEntry(kind=EntryKind.EVENT, key="1", at=AT, subject="data_corruption")
    await audit.append(entry)
    found = await gatherer(store, audit).gather(NOW)
    assert store_away(found)
    assert assess(found.rules, found).decision is DecisionKind.IMMEDIATE_ROLLBACK


async def test_events_then_those_of_their_kind_within_the_time_are_counted(
    store: FakeMetricStore, audit: FakeAuditLog
) -> None:
    for number, ago in enumerate((0, 60, 1800, 1801, -60)):
        at = AT - timedelta(seconds=ago)
        subject = "customer_complaints"
        await audit.append(NewEntry(kind=EntryKind.EVENT, key=str(number), at=at, subject=subject))
    await audit.append(NewEntry(kind=EntryKind.EVENT, key="x", at=AT, subject="data_corruption"))
    await audit.append(
        NewEntry(kind=EntryKind.ALERT, key="y", at=AT, subject="customer_complaints")
    )
    found = await gatherer(store, audit).gather(NOW)
    counts = {one.metric: len(one.times) for one in found.events}
    assert counts == {"customer_complaints": 3, "data_corruption": 1}


async def test_stores_when_there_are_none_then_every_rule_is_inconclusive() -> None:
    found = await gatherer(None, None).gather(NOW)
    assert set(errors(found)) == METRICS | EVENTS
    decided = assess(found.rules, found)
    assert {one.verdict for one in decided.readings} == {RuleVerdict.INCONCLUSIVE}
    assert not decided.conclusive


async def test_log_and_metric_when_they_break_then_the_error_stays_with_them(
    store: FakeMetricStore, audit: FakeAuditLog, caplog: pytest.LogCaptureFixture
) -> None:
    audit.fail("read", None)
    broken = FakeMetricStore()
    found = await gatherer(broken, audit).gather(NOW)
    assert "No query is known" in errors(found)["error_rate"]
    store.read = None  # type: ignore[method-assign,assignment]  # a bug in a store
    found = await gatherer(store, audit).gather(NOW)
    assert errors(found)["error_rate"] == "it could not be read (TypeError)"
    assert "could not be read" in caplog.text


async def test_moment_when_not_said_then_the_present(
    store: FakeMetricStore, audit: FakeAuditLog
) -> None:
    found = await gatherer(store, audit).gather(GatherEvidenceRequest())
    assert found.at > AT
