"""Metrics that stand still until a test moves them, alerts, and ways to send and follow them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from temporalio.client import Client

from failback.decision.matrix import EVENT_METRICS
from failback.decision.ranges import RangeRead, ranges
from failback.models.alerts import Alert, AlertSource, AlertStatus, ReceivedAlerts
from failback.models.decision import (
    AssessmentEvidence,
    EventEvidence,
    GatherEvidenceRequest,
    MetricEvidence,
)
from failback.models.responses import AlertResponseRequest, ResponseStatus
from failback.temporal import ids

STARTED = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


@dataclass
class StandingMetrics:
    """Every metric has had one value for as long as anybody asks about; 0 unless told."""

    values: dict[str, float] = field(default_factory=dict)
    since: datetime | None = None
    """They have had their values since then, and no samples before; None for ever."""
    away: str = ""
    """Why the store does not answer."""
    asked: int = 0

    async def gather(self, request: GatherEvidenceRequest) -> AssessmentEvidence:
        self.asked += 1
        now = datetime.now(UTC)
        return AssessmentEvidence(
            at=now,
            rules=request.rules,
            metrics=tuple(
                MetricEvidence(
                    metric=read.metric,
                    start=read.start,
                    end=read.end,
                    step_seconds=read.step_seconds,
                    samples=() if self.away else tuple(self._samples(read)),
                    error=self.away,
                )
                for read in ranges(request.rules, now)
            ),
            events=tuple(EventEvidence(metric=metric) for metric in EVENT_METRICS),
        )

    def _samples(self, read: RangeRead) -> list[tuple[float, float]]:
        start, end = read.start.timestamp(), read.end.timestamp()
        step, value = read.step_seconds, self.values.get(read.metric, 0.0)
        count = int((end - start) / step + 0.5)
        first = self.since.timestamp() if self.since else start
        times = (end - step * n for n in range(count, -1, -1))
        return [(time, value) for time in times if time >= first or not self.since]


def alert(number: int = 0, **changes: object) -> Alert:
    """One alert; another number is another outbreak."""
    fields: dict[str, object] = {
        "source": AlertSource.ALERTMANAGER,
        "fingerprint": f"fp-{number}",
        "name": "CriticalErrorRateHigh",
        "severity": "critical",
        "starts_at": STARTED,
        "received_at": datetime.now(UTC),
        "labels": {"service": "api", "action": "IMMEDIATE_ROLLBACK"},
        "summary": "5xx above 5 %",
    }
    return Alert.model_validate({**fields, **changes})


def resolved(one: Alert) -> Alert:
    return one.model_copy(update={"status": AlertStatus.RESOLVED, "ends_at": datetime.now(UTC)})


async def send(client: Client, estate: str, task_queue: str, *alerts: Alert) -> None:
    """Hand alerts over as a gateway does."""
    await client.start_workflow(
        "AlertResponse",
        AlertResponseRequest(estate=estate),
        id=ids.alert_response_workflow(estate),
        task_queue=task_queue,
        start_signal="alerts_received",
        start_signal_args=[ReceivedAlerts(alerts=alerts)],
    )


async def response_until(
    client: Client,
    estate: str,
    wanted: Callable[[ResponseStatus], bool],
    seconds: float = 20.0,
) -> ResponseStatus:
    """Ask for the response's status until it is as wanted."""
    handle = client.get_workflow_handle(ids.alert_response_workflow(estate))
    deadline = time.monotonic() + seconds
    while True:
        status: ResponseStatus = await handle.query("status", result_type=ResponseStatus)
        if wanted(status):
            return status
        if time.monotonic() > deadline:
            raise AssertionError(f"still {status.decided} {status.handling}")
        await asyncio.sleep(0.02)
