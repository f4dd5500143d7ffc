"""What metric stores keep, on the fake and on a real Prometheus; and what only Prometheus does."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from bench.support.prometheus import MISSING, PROMETHEUS, PROMTOOL, Prometheus, backfill
from failback.decision.queries import MetricQuery, default_queries
from failback.errors import ConfigurationError
from failback.models.decision import MetricEvidence
from failback.ports import MetricStore
from failback.providers.metrics import FakeMetricStore, PrometheusMetrics
from failback.sections.metrics import MetricsConfig

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SCRAPE = 15
"""Seconds between two raw samples."""


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def seconds_of(evidence: MetricEvidence) -> list[float]:
    return [round(time - BEGAN.timestamp(), 3) for time, _ in evidence.samples]


RAW: dict[str, list[tuple[int, float]]] = {
    "steady": [(n, n / 10) for n in range(0, 601, SCRAPE)],
    "holed": [(n, 1.0) for n in range(0, 601, SCRAPE) if not 200 < n < 400],
    "silent": [(n, 7.0) for n in range(0, 301, SCRAPE)],
    "nothing": [],
}
PAIR = {'pair{a="1"}': 1.0, 'pair{a="2"}': 2.0}


def openmetrics() -> str:
    lines = []
    for name, samples in RAW.items():
        lines.append(f"# TYPE {name} gauge")
        lines += [f"{name} {value} {BEGAN.timestamp() + n}" for n, value in samples]
    lines.append("# TYPE pair gauge")
    for n in range(0, 601, SCRAPE):
        lines += [f"{name} {value} {BEGAN.timestamp() + n}" for name, value in PAIR.items()]
    lines.append("# TYPE holding gauge")
    values = [math.nan if n < 300 else math.inf if n < 450 else 1.0 for n in range(0, 601, SCRAPE)]
    for index, value in enumerate(values):
        written = {True: "NaN", False: str(value)}[math.isnan(value)].replace("inf", "+Inf")
        lines.append(f"holding {written} {BEGAN.timestamp() + index * SCRAPE}")
    return "\n".join([*lines, "# EOF\n"])


QUERIES = {name: MetricQuery(promql=name) for name in (*RAW, "pair", "holding")} | {
    "summed": MetricQuery(promql="sum(silent)", freshness="max(timestamp(silent))"),
    "wrong": MetricQuery(promql="sum("),
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if PROMETHEUS is None or PROMTOOL is None:
        pytest.skip(MISSING)
    server = Prometheus(tmp_path_factory.mktemp("prometheus"))
    backfill(openmetrics(), server.data)
    with server.running():
        yield server


def fake() -> FakeMetricStore:
    store = FakeMetricStore(SCRAPE)
    for name, samples in RAW.items():
        store.know(name)
        store.add(name, [(BEGAN.timestamp() + n, value) for n, value in samples])
    store.know("pair")
    store.split("pair")
    return store


@pytest.fixture(params=["fake", pytest.param("prometheus", marks=pytest.mark.servers)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[MetricStore]:
    made: MetricStore = (
        fake()
        if request.param == "fake"
        else PrometheusMetrics(
            MetricsConfig(prometheus_url=request.getfixturevalue("prometheus").url), QUERIES
        )
    )
    yield made
    await made.aclose()


class TestMetricStoreContract:
    async def test_range_then_both_ends_are_included_and_a_step_apart(
        self, store: MetricStore
    ) -> None:
        found = await store.read("steady", at(300), at(360), 6)
        assert seconds_of(found) == [300 + 6 * n for n in range(11)]
        assert (found.start, found.end, found.step_seconds) == (at(300), at(360), 6)
        assert [value for _, value in found.samples][:3] == [30.0, 30.0, 30.0]
        assert (found.metric, found.error) == ("steady", "")

    async def test_step_when_not_said_then_a_tenth_of_the_range(self, store: MetricStore) -> None:
        assert len((await store.read("steady", at(300), at(360))).samples) == 11

    async def test_range_when_no_multiple_of_the_step_then_its_end_counts(
        self, store: MetricStore
    ) -> None:
        found = await store.read("steady", at(300), at(340.5), 20)
        assert seconds_of(found) == [280.5, 300.5, 320.5, 340.5]

    async def test_data_when_it_has_a_gap_then_so_has_the_answer(self, store: MetricStore) -> None:
        times = seconds_of(await store.read("holed", at(0), at(600), 6))
        gaps = [(a, b) for a, b in pairwise(times) if b - a > 12]
        assert gaps == [(216, 408)]

    async def test_series_when_it_fell_silent_then_its_last_sample_is_not_repeated(
        self, store: MetricStore
    ) -> None:
        times = seconds_of(await store.read("silent", at(240), at(360), 6))
        assert times[0] == 240
        assert 300 <= times[-1] <= 300 + 1.5 * SCRAPE

    async def test_series_when_not_there_then_no_sample_and_no_error(
        self, store: MetricStore
    ) -> None:
        found = await store.read("nothing", at(0), at(60), 6)
        assert (found.samples, found.error) == ((), "")

    async def test_series_when_there_are_two_then_both_are_named(self, store: MetricStore) -> None:
        found = await store.read("pair", at(300), at(360), 6)
        assert found.samples == ()
        assert '2 series where one was expected: pair{a="1"}, pair{a="2"}' in found.error

    async def test_metric_when_nobody_knows_it_then_the_nearest_is_named(
        self, store: MetricStore
    ) -> None:
        with pytest.raises(ConfigurationError, match=r"did you mean steady\?"):
            await store.read("steddy", at(0), at(60))

    async def test_range_when_it_ends_before_it_begins_then_refused(
        self, store: MetricStore
    ) -> None:
        with pytest.raises(ConfigurationError, match="no range"):
            await store.read("steady", at(60), at(0))

    async def test_range_when_read_again_then_the_same(self, store: MetricStore) -> None:
        first = await store.read("holed", at(0), at(600), 6)
        assert await store.read("holed", at(0), at(600), 6) == first


async def test_fake_when_told_to_fail_then_the_error_is_part_of_the_evidence() -> None:
    store = fake()
    store.fail("read")
    assert (await store.read("steady", at(0), at(60))).error
    assert (await store.read("steady", at(0), at(60))).samples


@pytest.mark.servers
class TestPrometheus:
    @pytest.fixture
    async def real(self, prometheus: Prometheus) -> AsyncIterator[PrometheusMetrics]:
        store = PrometheusMetrics(MetricsConfig(prometheus_url=prometheus.url), QUERIES)
        yield store
        await store.aclose()

    async def test_value_when_no_finite_number_then_no_sample(
        self, real: PrometheusMetrics
    ) -> None:
        found = await real.read("holding", at(0), at(600), 15)
        assert {value for _, value in found.samples} == {1.0}
        assert seconds_of(found)[0] == 450

    async def test_expression_when_it_only_repeats_then_an_error_says_how_old(
        self, real: PrometheusMetrics
    ) -> None:
        found = await real.read("summed", at(420), at(480), 6)
        assert found.samples == ()
        assert "only repeats" in found.error
        assert "180 s old" in found.error

    async def test_query_when_it_is_no_promql_then_prometheus_says_why(
        self, real: PrometheusMetrics
    ) -> None:
        found = await real.read("wrong", at(0), at(60))
        assert "HTTP 400" in found.error
        assert "parse error" in found.error

    @pytest.mark.parametrize("selector", ["", 'job="shop", side="target"'])
    async def test_default_queries_then_prometheus_accepts_each(
        self, prometheus: Prometheus, selector: str
    ) -> None:
        queries = default_queries(selector)
        store = PrometheusMetrics(MetricsConfig(prometheus_url=prometheus.url), queries)
        for metric in queries:
            found = await store.read(metric, at(0), at(60))
            assert (found.samples, found.error) == ((), ""), metric
        await store.aclose()


class Answering:
    """A server that answers as a test says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = {"status": "success", "data": {"resultType": "matrix", "result": []}}
        self.headers: list[dict[str, str]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if self.body == "drip":
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b" " * 10)
                await asyncio.sleep(0.01)
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body)
        return web.json_response(self.body, status=self.status)


@pytest.fixture
async def answering() -> AsyncIterator[Answering]:
    server = Answering()
    app = web.Application()
    app.router.add_get("/base/api/v1/query_range", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/base/"
    yield server
    await runner.cleanup()


async def read_from(url: str, **options: Any) -> MetricEvidence:
    store = PrometheusMetrics(
        MetricsConfig(prometheus_url=url, **options), {"m": MetricQuery(promql="sum(m)")}
    )
    try:
        return await store.read("m", at(0), at(60))
    finally:
        await store.aclose()


def success(result: Any, **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "matrix", "result": result}, **more}


class TestOddAnswers:
    @pytest.mark.parametrize(
        ("status", "body", "said"),
        [
            (401, "who are you", "refuses us (HTTP 401)"),
            (403, {}, "refuses us (HTTP 403)"),
            (503, "<html>starting</html>", "HTTP 503"),
            (200, "<html>a proxy</html>", "not of Prometheus's form"),
            (200, [], "not of Prometheus's form"),
            (422, {"status": "error", "error": "too many samples"}, "too many samples"),
            (200, success([], warnings=["a store did not answer"]), "only a part is known"),
            (200, {"status": "success", "data": []}, "no series"),
            (200, success([1]), "no series"),
            (200, success([{"metric": {}, "values": [[1, "x"]]}]), "no numbers"),
            (200, success([{"metric": {}, "values": [[1]]}]), "no numbers"),
            (200, success([{"metric": 3}, {"metric": None}]), "2 series"),
            (302, "elsewhere", "HTTP 302"),
        ],
    )
    async def test_answer_when_it_is_none_then_an_error_says_what_it_was(
        self, answering: Answering, status: int, body: Any, said: str
    ) -> None:
        answering.status, answering.body = status, body
        found = await read_from(answering.url)
        assert found.samples == ()
        assert said in found.error

    async def test_remark_about_style_then_the_answer_counts(self, answering: Answering) -> None:
        remark = 'PromQL info: metric might not be a counter, name does not end in "_total"'
        answering.body = success([{"metric": {}, "values": [[1, "2"]]}], warnings=[remark])
        assert (await read_from(answering.url)).samples == ((1.0, 2.0),)

    async def test_answer_when_it_drips_then_given_up_in_time(self, answering: Answering) -> None:
        answering.body = "drip"
        found = await read_from(answering.url, timeout_seconds=0.1)
        assert "no answer within 0.1 s" in found.error

    async def test_server_when_away_then_an_error_without_its_address(self) -> None:
        found = await read_from("http://name:hunter2@127.0.0.1:1/secret")
        assert "does not answer" in found.error
        assert "secret" not in found.error
        assert "hunter2" not in found.error

    @pytest.mark.parametrize(
        ("options", "sent"),
        [
            ({}, None),
            ({"bearer_token": "abc"}, "Bearer abc"),
            ({"username": "u", "password": "p"}, "Basic dTpw"),
        ],
    )
    async def test_credentials_then_sent_as_configured(
        self, answering: Answering, options: dict[str, str], sent: str | None
    ) -> None:
        assert (await read_from(answering.url, **options)).error == ""
        assert {headers.get("Authorization") for headers in answering.headers} == {sent}
