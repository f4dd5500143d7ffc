"""What failback says of itself: one trace a rollback, and the metrics of its steps and sync."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from failback.lab.temporal import TemporalServer
from failback.models.rollback import Decision, Phase, RollbackResult
from failback.sections.proof import TelemetryConfig
from failback.telemetry import BUCKETS_SECONDS, Telemetry
from failback.temporal.ids import reverse_sync_workflow

from support.fake_estate import FakeEstate, MakeEstate, fake_estate

pytestmark = pytest.mark.servers


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(spans: InMemorySpanExporter) -> Iterator[Telemetry]:
    telemetry = Telemetry.start(TelemetryConfig(), service="test", metrics=False, exporter=spans)
    yield telemetry
    telemetry.close()


async def rolled_back(fakes: FakeEstate, level: int) -> RollbackResult:
    started = await fakes.rollbacks.start(level, "errors", "carol")
    if level > 1:
        await fakes.until_phase(Phase.WAITING_FOR_APPROVAL)
        decision = Decision(who="alice", role="engineering_lead")
        await fakes.rollbacks.decide(started.rollback_id, "approve", decision)
    return await fakes.rollbacks.result(started.rollback_id)


def ended(telemetry: Telemetry, spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """Spans by name, once all were handed over."""
    assert telemetry.provider is not None
    telemetry.provider.force_flush()
    return {span.name: span for span in spans.get_finished_spans()}


async def test_rollback_of_level_2_when_traced_then_it_is_one_trace_from_client_to_activities(
    make_estate: MakeEstate, traced: Telemetry, spans: InMemorySpanExporter
) -> None:
    fakes = await make_estate(telemetry=traced)
    result = await rolled_back(fakes, 2)
    assert result.success, result.error

    found = ended(traced, spans)
    trace = found["StartWorkflow:DataSyncRollback"].context.trace_id
    inside = {span.name for span in spans.get_finished_spans() if span.context.trace_id == trace}
    assert {
        "RunWorkflow:DataSyncRollback",
        "HandleUpdate:decide",
        "RunActivity:raise_fence",
        "RunActivity:drain",
        "RunActivity:verify_data",
        "StartChildWorkflow:TrafficRollback",
        "RunWorkflow:TrafficRollback",
        "RunActivity:shift_weights",
        "RunActivity:point_names",
        "RunWorkflow:Notification",
    } <= inside
    outside = {name for name in found if name not in inside}
    assert outside == {"StartWorkflowUpdate:decide"}


async def test_activity_when_traced_then_the_chain_of_its_parents_ends_at_the_client(
    make_estate: MakeEstate, traced: Telemetry, spans: InMemorySpanExporter
) -> None:
    fakes = await make_estate(telemetry=traced)
    await rolled_back(fakes, 1)

    found = ended(traced, spans)
    by_id = {span.context.span_id: span for span in found.values()}
    chain, span = [], found["RunActivity:shift_weights"]
    while span.parent is not None:
        chain.append(span.name)
        span = by_id[span.parent.span_id]
    assert [*chain, span.name] == [
        "RunActivity:shift_weights",
        "StartActivity:shift_weights",
        "StartWorkflow:TrafficRollback",
    ]


async def test_rollback_when_watched_then_its_queries_leave_no_spans(
    make_estate: MakeEstate, traced: Telemetry, spans: InMemorySpanExporter
) -> None:
    fakes = await make_estate(telemetry=traced)
    await rolled_back(fakes, 1)
    await fakes.rollbacks.status(None)

    assert not [name for name in ended(traced, spans) if "Query" in name]


async def test_rollback_when_it_fails_then_the_activity_that_failed_says_so_in_its_span(
    make_estate: MakeEstate, traced: Telemetry, spans: InMemorySpanExporter
) -> None:
    fakes = await make_estate(telemetry=traced, budgets={"load_balancer": 0.5})
    fakes.balancer.fail("set_all_weights", times=100)
    await rolled_back(fakes, 1)

    ended(traced, spans)
    failed = [
        span for span in spans.get_finished_spans() if span.name == "RunActivity:shift_weights"
    ]
    assert failed
    assert not any(span.status.is_ok for span in failed)


@pytest.fixture(scope="module")
def measured() -> Iterator[Telemetry]:
    """A process may have few runtimes, so these tests share one."""
    telemetry = Telemetry.start(TelemetryConfig(), service="test")
    yield telemetry
    telemetry.close()


@pytest.fixture
async def metered(
    measured: Telemetry, temporal_server: TemporalServer, request: pytest.FixtureRequest
) -> AsyncIterator[FakeEstate]:
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[-38:].strip("-")
    async with fake_estate(name, temporal_server.address, telemetry=measured) as fakes:
        yield fakes


def scraped(telemetry: Telemetry) -> list[str]:
    answer = httpx.get(f"http://{telemetry.metrics_address}/metrics", trust_env=False)
    assert answer.status_code == 200
    return answer.text.splitlines()


def value(lines: list[str], name: str, **labels: str) -> float | None:
    """The value of the only series of this name and these labels; None without one."""
    found = [
        float(line.rpartition(" ")[2])
        for line in lines
        if line.partition("{")[0] == name
        and all(f'{label}="{wanted}"' in line for label, wanted in labels.items())
    ]
    assert len(found) < 2, found
    return found[0] if found else None


async def test_steps_when_a_rollback_has_ended_then_each_is_counted_once_with_its_seconds(
    metered: FakeEstate, measured: Telemetry
) -> None:
    result = await rolled_back(metered, 2)
    assert result.success, result.error

    lines = scraped(measured)
    told = [(2, step) for step in result.steps]
    told += [(1, step) for step in result.children[0].steps]
    assert len(told) > 10
    for level, step in told:
        labels = {"step": step.name, "level": str(level), "outcome": "succeeded"}
        assert value(lines, "failback_step_seconds_count", **labels) == 1, step
        seconds = value(lines, "failback_step_seconds_sum", **labels)
        assert seconds == pytest.approx(step.seconds, abs=0.001)
    bounds = {
        match.group(1)
        for line in lines
        if line.startswith("failback_step_seconds_bucket")
        and (match := re.search(r'le="([^"]+)"', line))
    }
    assert {float(bound) for bound in bounds} == {*BUCKETS_SECONDS, float("inf")}


async def test_sync_when_it_runs_then_its_figures_are_served_by_the_names_of_the_specification(
    metered: FakeEstate, measured: Telemetry
) -> None:
    estate = metered.estate.estate
    assert await metered.rollbacks.start_reverse_sync()
    deadline = time.monotonic() + 20
    while value(scraped(measured), "migration_last_sync_timestamp", estate=estate) is None:
        assert time.monotonic() < deadline, "the sync published nothing"
        await asyncio.sleep(0.05)
    await metered.client.get_workflow_handle(reverse_sync_workflow(estate)).terminate()

    lines = scraped(measured)
    now = time.time()
    synced = value(lines, "migration_last_sync_timestamp", estate=estate)
    assert synced is not None
    assert now - 60 < synced <= now
    for name in (
        "failback_sync_batches_total",
        "failback_sync_keys_total",
        "failback_sync_lag_seconds",
        "failback_sync_batch_seconds_count",
        "failback_sync_retained_wal_bytes",
        "failback_sync_at_risk_bytes",
        "failback_sync_open_conflicts",
    ):
        assert value(lines, name, estate=estate) is not None, name
        family = name.removesuffix("_count")
        assert any(line.startswith(f"# HELP {family} ") and line.endswith(".") for line in lines)


async def test_worker_when_it_has_metrics_then_temporals_own_are_served_too(
    metered: FakeEstate, measured: Telemetry
) -> None:
    await rolled_back(metered, 1)

    names = {line.partition("{")[0] for line in scraped(measured)}
    assert {
        "temporal_activity_execution_latency_count",
        "temporal_workflow_completed",
        "temporal_local_activity_total",
        "temporal_request",
        "temporal_worker_task_slots_available",
    } <= names
