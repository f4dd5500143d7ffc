"""`failback check` about metrics: each rule's evidence, or what is in its way."""

from datetime import UTC, datetime
from typing import Any

from failback.cli.readiness.findings import Answer, Finding
from failback.cli.readiness.metrics import examine_metrics
from failback.config import Estate
from failback.decision.matrix import DEFAULT_RULES
from failback.providers.metrics import FakeMetricStore

METRICS = {one.metric for one in DEFAULT_RULES if not one.within_seconds} - {"anomaly_score"}


def estate(**changes: Any) -> Estate:
    return Estate.model_validate(
        {
            "estate": "shop",
            "source": {"dsn": "postgresql://s"},
            "target": {"dsn": "postgresql://t"},
            "traffic": {
                "balancer": {"runtime_api": "tcp://127.0.0.1:1"},
                "routes": {"database": [{"backend": "one"}]},
            },
            **changes,
        }
    )


def by_metric(findings: list[Finding]) -> dict[str, Finding]:
    return {one.question.split()[0]: one for one in findings}


async def test_metrics_then_each_is_known_without_data_or_failing() -> None:
    store = FakeMetricStore()
    now = datetime.now(UTC).timestamp()
    for metric in METRICS - {"auth_failure_rate"}:
        store.add(metric, [(now - 15 * n, 0.25) for n in range(200)])
    store.know("auth_failure_rate")
    store.split("components_down")
    found = by_metric(await examine_metrics(estate(), store))
    assert set(found) == METRICS
    assert found["error_rate"].answer is Answer.YES
    assert "0.25 now" in found["error_rate"].detail
    assert found["auth_failure_rate"].answer is Answer.UNKNOWN
    assert "auth_failure_critical" in found["auth_failure_rate"].cure
    assert found["components_down"].answer is Answer.NO
    assert "2 series" in found["components_down"].detail


async def test_store_when_not_configured_then_unknown_only_where_alerts_are_taken() -> None:
    assert await examine_metrics(estate(), None) == []
    (found,) = await examine_metrics(estate(gateway={}), None)
    assert found.answer is Answer.UNKNOWN
    assert "metrics.prometheus_url" in found.cure
