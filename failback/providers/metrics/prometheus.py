"""Metrics from Prometheus, or from what speaks its HTTP API, as ranges."""

import asyncio
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx

from failback.decision.queries import MetricQuery
from failback.models.decision import MetricEvidence
from failback.providers.lazy_http import LazyHttp
from failback.providers.metrics.grid import Grid, fresh_seconds, only_fresh, unknown_metric
from failback.sections.metrics import MetricsConfig

_PATH = "/api/v1/query_range"
_TEXT_LIMIT = 300
"""Characters of the server's own words."""
_NAMED_SERIES = 3
_PLAIN_SELECTOR = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*\s*(\{[^{}]*\})?")
_PART, _VALUE, _OWN_TIME = "failback_part", "value", "own_time"
"""The label that tells the two halves of one answer apart."""
_REMARK = "PromQL info:"
"""How warnings begin that are about style, and not about missing data."""


class _StoreFailedError(Exception):
    """Why there is no answer, in words; becomes part of the evidence."""


class PrometheusMetrics:
    """Implements `MetricStore` with range queries.

    One query asks for a metric's values and for the own time of the newest raw sample beneath
    them, as Prometheus repeats a series' last sample for five minutes after it fell silent.
    Values that only repeat are left out, and so is what is no finite number.

    Args:
        config: where the server is and how it lets us in.
        queries: how each metric is asked for.
    """

    def __init__(self, config: MetricsConfig, queries: Mapping[str, MetricQuery]) -> None:
        self._config = config
        self._queries = dict(queries)
        self._fresh_seconds = fresh_seconds(config.scrape_interval_seconds)
        self._http = LazyHttp(self._opened)

    async def read(
        self, metric: str, start: datetime, end: datetime, step_seconds: float = 0.0
    ) -> MetricEvidence:
        """See `MetricStore.read`."""
        query = self._queries.get(metric)
        if query is None:
            raise unknown_metric(metric, list(self._queries))
        grid = Grid.of(start, end, step_seconds)
        evidence = MetricEvidence(
            metric=metric, start=grid.start, end=grid.end, step_seconds=grid.step_seconds
        )
        try:
            samples = await self._samples(query, grid)
        except _StoreFailedError as error:
            return evidence.model_copy(update={"error": str(error)})
        return evidence.model_copy(update={"samples": samples})

    async def aclose(self) -> None:
        """See `MetricStore.aclose`."""
        await self._http.aclose()

    async def _samples(self, query: MetricQuery, grid: Grid) -> tuple[tuple[float, float], ...]:
        freshness = query.freshness or _own_time(query.promql)
        if not freshness:
            return tuple(_one_series(await self._query(query.promql, grid)))
        found = await self._query(_with_own_times(query.promql, freshness), grid)
        own_times: dict[float, float] = {}
        for series in _parted(found, _OWN_TIME):
            for moment, own in _numbers(series):
                own_times[moment] = max(own, own_times.get(moment, -math.inf))
        values = _one_series(_parted(found, _VALUE))
        kept = only_fresh(values, own_times, self._fresh_seconds)
        if values and not kept:
            if not own_times:
                raise _StoreFailedError("nothing says how old its samples are")
            newest = max(own_times.values())
            raise _StoreFailedError(
                f"only repeats of samples older than {self._fresh_seconds:g} s: "
                f"the newest is {values[-1][0] - newest:,.0f} s old"
            )
        return tuple(kept)

    async def _query(self, promql: str, grid: Grid) -> list[Any]:
        """The series that one query has over the grid."""
        parameters = {
            "query": promql,
            "start": f"{grid.start_ms / 1000:.3f}",
            "end": f"{grid.end_ms / 1000:.3f}",
            "step": f"{grid.step_ms / 1000:.3f}",
        }
        timeout = self._config.timeout_seconds
        try:
            async with asyncio.timeout(timeout):
                answer = await self._http.client.get(_PATH, params=parameters)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise _StoreFailedError(f"no answer within {timeout:g} s") from error
        except httpx.HTTPError as error:
            # The class alone: some texts repeat the address, which may hold a password.
            raise _StoreFailedError(f"it does not answer ({type(error).__name__})") from error
        return _series_of(answer)

    def _opened(self) -> httpx.AsyncClient:
        config = self._config
        headers, auth = {}, None
        if config.bearer_token is not None:
            headers["Authorization"] = f"Bearer {config.bearer_token.get_secret_value()}"
        elif config.username:
            secret = config.password.get_secret_value() if config.password else ""
            auth = httpx.BasicAuth(config.username, secret)
        return httpx.AsyncClient(
            base_url=config.prometheus_url,
            headers=headers,
            auth=auth,
            timeout=config.timeout_seconds,
            # Reading every authority takes 50 ms, which plain HTTP has no use for.
            verify=config.prometheus_url.startswith("https://"),
        )


def _series_of(answer: httpx.Response) -> list[Any]:
    """The series of an answer; raises what the server, or what stands before it, says instead."""
    try:
        document = json.loads(answer.content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {}
    if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise _StoreFailedError(f"it refuses us (HTTP {answer.status_code})")
    if not answer.is_success or document.get("status") != "success":
        said = str(document.get("error", "its answer is not of Prometheus's form"))
        raise _StoreFailedError(f"HTTP {answer.status_code}: {said[:_TEXT_LIMIT]}")
    warnings = [
        str(one) for one in document.get("warnings") or () if not str(one).startswith(_REMARK)
    ]
    if warnings:
        raise _StoreFailedError(f"only a part is known: {'; '.join(warnings)[:_TEXT_LIMIT]}")
    data = document.get("data")
    result = data.get("result") if isinstance(data, dict) else None
    if not isinstance(result, list) or not all(isinstance(one, dict) for one in result):
        raise _StoreFailedError("its answer holds no series")
    return result


def _with_own_times(promql: str, freshness: str) -> str:
    """Both expressions as one. The new lines end what may be a comment."""
    parts = ((promql, _VALUE), (freshness, _OWN_TIME))
    return " or ".join(
        f'label_replace((\n{part}\n), "{_PART}", "{name}", "", "")' for part, name in parts
    )


def _parted(result: list[Any], part: str) -> list[Any]:
    """One half of an answer, its series as they were before they were put together."""
    return [
        {**one, "metric": {key: value for key, value in labels.items() if key != _PART}}
        for one in result
        for labels in [one.get("metric")]
        if isinstance(labels, dict) and labels.get(_PART) == part
    ]


def _one_series(result: list[Any]) -> list[tuple[float, float]]:
    """The samples of the only series; none where there is no series."""
    if len(result) > 1:
        names = [_name(one.get("metric")) for one in result[:_NAMED_SERIES]]
        more = f" and {len(result) - _NAMED_SERIES} more" if len(result) > _NAMED_SERIES else ""
        raise _StoreFailedError(
            f"{len(result)} series where one was expected: {', '.join(names)}{more}"
        )
    return _numbers(result[0]) if result else []


def _numbers(series: Any) -> list[tuple[float, float]]:
    """Samples that are finite numbers: NaN is no data."""
    try:
        samples = [(float(time), float(value)) for time, value in series.get("values", ())]
    except (TypeError, ValueError) as error:
        raise _StoreFailedError("its answer holds samples that are no numbers") from error
    return sorted(one for one in samples if math.isfinite(one[1]))


def _name(labels: Any) -> str:
    """A series as PromQL writes it."""
    pairs = dict(labels) if isinstance(labels, dict) else {}
    name = pairs.pop("__name__", "")
    inner = ", ".join(f'{key}="{value}"' for key, value in sorted(pairs.items()))
    return f"{name}{{{inner}}}"[:_TEXT_LIMIT]


def _own_time(promql: str) -> str:
    """How a plain selector's own time is asked for; empty for any other expression."""
    plain = promql.strip()
    return f"max(timestamp({plain}))" if _PLAIN_SELECTOR.fullmatch(plain) else ""
