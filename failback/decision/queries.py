"""How Prometheus is asked for each metric of the specification, where nobody says otherwise.

Each query gives one series. Beside it stands how to ask for the newest raw sample's own time,
because Prometheus repeats a series' last sample for five minutes after its source fell silent.
"""

from collections.abc import Mapping

from failback.decision.matrix import (
    AUTH_FAILURE_RATE,
    COMPONENTS_DOWN,
    ERROR_RATE,
    RESOURCE_UTILISATION,
    RESPONSE_TIME_P95,
)
from failback.models.common import Payload


class MetricQuery(Payload):
    """How one metric is asked for."""

    promql: str
    freshness: str = ""
    """PromQL of the newest raw sample's own time, Unix seconds; empty where nothing can say it."""


REQUEST_RATE = "request_rate"
"""Requests a second."""


def default_queries(selector: str = "") -> Mapping[str, MetricQuery]:
    """Every metric's query.

    Args:
        selector: label matchers that every series must have, such as `job="shop"`; may be empty.
    """
    series = _Series(selector)
    failed = series("http_requests_total", 'code=~"5.."')
    error_rate = MetricQuery(
        promql=(
            # No series of 5xx while there is traffic is a share of 0; without traffic it is 0/0,
            # which is no data.
            f"(sum(rate({failed}[1m])) or vector(0))"
            f" / sum(rate({series('http_requests_total')}[1m]))"
        ),
        freshness=series.newest("http_requests_total"),
    )
    p95 = (
        "histogram_quantile(0.95, sum by (le) "
        f"(rate({series('http_request_duration_seconds_bucket')}[5m])))"
    )
    timed = series.newest("http_request_duration_seconds_count")
    authentication = series.success("auth")
    return {
        ERROR_RATE: error_rate,
        RESPONSE_TIME_P95: MetricQuery(promql=f"1000 * {p95}", freshness=timed),
        AUTH_FAILURE_RATE: authentication.model_copy(
            update={"promql": f"1 - {authentication.promql}"}
        ),
        COMPONENTS_DOWN: MetricQuery(
            promql=f"1 - avg({series('up')})", freshness=series.newest("up")
        ),
        RESOURCE_UTILISATION: MetricQuery(
            promql=_utilisation(series), freshness=series.newest("node_memory_MemAvailable_bytes")
        ),
        REQUEST_RATE: MetricQuery(
            promql=f"sum(rate({series('http_requests_total')}[1m]))",
            freshness=series.newest("http_requests_total"),
        ),
        "system_error_rate": error_rate,
        "response_time_p95": MetricQuery(promql=p95, freshness=timed),
        "data_sync_lag": MetricQuery(
            promql=f"max(time() - {series('migration_last_sync_timestamp')})",
            freshness=series.newest("migration_last_sync_timestamp"),
        ),
        "database_connection_success_rate": series.success("database_connection"),
        "user_authentication_success_rate": authentication,
        "ai_query_success_rate": series.success("ai_query"),
    }


class _Series:
    """Writes selectors and what is made of them.

    Args:
        selector: in every one of them.
    """

    def __init__(self, selector: str) -> None:
        self._selector = selector

    def __call__(self, name: str, matcher: str = "") -> str:
        matchers = ", ".join(one for one in (self._selector, matcher) if one)
        return f"{name}{{{matchers}}}" if matchers else name

    def newest(self, name: str) -> str:
        """The newest of the series' own times."""
        return f"max(timestamp({self(name)}))"

    def success(self, what: str) -> MetricQuery:
        """The share of attempts that succeeded, over a minute.

        A counter of successes that has no series now, but had one within the hour, counts
        nothing: that is a share of 0. A name that was never there is no evidence of anything.
        """
        success, attempts = self(f"{what}_success_total"), self(f"{what}_attempts_total")
        return MetricQuery(
            promql=(
                f"(sum(rate({success}[1m])) or 0 * sum(count_over_time({success}[1h])))"
                f" / sum(rate({attempts}[1m]))"
            ),
            freshness=self.newest(f"{what}_attempts_total"),
        )


def _utilisation(series: _Series) -> str:
    """The fullest of processor, memory and file system, as node_exporter measures them."""
    idle = series("node_cpu_seconds_total", 'mode="idle"')
    stored = 'fstype!~"tmpfs|ramfs|overlay"'
    used = {
        "processor": f"max(1 - avg by (instance) (rate({idle}[2m])))",
        "memory": (
            f"max(1 - {series('node_memory_MemAvailable_bytes')}"
            f" / {series('node_memory_MemTotal_bytes')})"
        ),
        "disk": (
            f"max(1 - {series('node_filesystem_avail_bytes', stored)}"
            f" / {series('node_filesystem_size_bytes', stored)})"
        ),
    }
    # Labelled apart: `or` keeps one of several that have the same labels.
    named = (
        f'label_replace({promql}, "resource", "{resource}", "", "")'
        for resource, promql in used.items()
    )
    return f"max({' or '.join(named)})"
