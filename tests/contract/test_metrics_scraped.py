"""What a Prometheus that really scrapes says of a product that errs, restarts and dies."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, generate_latest

from activities.evidence import EvidenceGatherer
from bench.support.prometheus import MISSING, PROMETHEUS, Prometheus
from failback.decision.evaluate import assess
from failback.decision.matrix import DEFAULT_RULES
from failback.decision.queries import default_queries
from failback.lab.processes import free_port
from failback.models.decision import GatherEvidenceRequest, RuleReading, RuleVerdict
from failback.providers.metrics import PrometheusMetrics
from failback.sections.metrics import MetricsConfig

pytestmark = [pytest.mark.servers, pytest.mark.skipif(PROMETHEUS is None, reason=MISSING)]

CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
- job_name: shop
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
SUSTAINED = 2.0
RULES = {
    rule.metric: rule.model_copy(update={"sustained_seconds": SUSTAINED})
    for rule in DEFAULT_RULES
    if rule.name in {"error_rate_critical", "components_down"}
}


class Product:
    """Serves metrics; each start is a new process as far as counters can tell."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.failing = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        registry = CollectorRegistry()
        requests = Counter("http_requests_total", "Requests.", ("code",), registry=registry)

        async def metrics(request: web.Request) -> web.Response:
            requests.labels(code="200").inc(10)
            if self.failing:
                requests.labels(code="500").inc(10)
            return web.Response(body=generate_latest(registry))

        app = web.Application()
        app.router.add_get("/metrics", metrics)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield
        finally:
            await runner.cleanup()


@pytest.fixture
def product(tmp_path_factory: pytest.TempPathFactory) -> Product:
    return Product(free_port())


@pytest.fixture
def prometheus(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("scraping")
    with Prometheus(folder, CONFIG.format(port=product.port)).running() as server:
        yield server


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[Callable[[str], Awaitable[RuleReading]]]:
    """How one rule reads now."""
    config = MetricsConfig(prometheus_url=url, scrape_interval_seconds=0.2)
    # A minute of rates would make a test of minutes.
    queries = {
        name: query.model_copy(update={"promql": query.promql.replace("[1m]", "[2s]")})
        for name, query in default_queries('job="shop"').items()
    }
    store = PrometheusMetrics(config, queries)

    async def ask(metric: str) -> RuleReading:
        rule = RULES[metric]
        gatherer = EvidenceGatherer([rule], store, None, deadline_seconds=5.0)
        evidence = await gatherer.gather(GatherEvidenceRequest(at=datetime.now(UTC)))
        (reading,) = assess([rule], evidence).readings
        return reading

    try:
        yield ask
    finally:
        await store.aclose()


async def until(ask: Callable[[], Awaitable[RuleReading]], verdict: RuleVerdict) -> RuleReading:
    """Ask until the verdict is as wanted."""
    deadline = time.monotonic() + 30
    while True:
        reading = await ask()
        if reading.verdict is verdict:
            return reading
        assert time.monotonic() < deadline, reading.explanation
        await asyncio.sleep(0.1)


async def test_product_when_it_errs_restarts_and_dies_then_each_is_told_apart(
    product: Product, prometheus: Prometheus
) -> None:
    async with asking(prometheus.url) as ask:

        def errors() -> Awaitable[RuleReading]:
            return ask("error_rate")

        def down() -> Awaitable[RuleReading]:
            return ask("components_down")

        async with product.running():
            assert (await until(errors, RuleVerdict.CLEAR)).value == 0.0
            assert (await until(down, RuleVerdict.CLEAR)).value == 0.0
            product.failing = True
            fired = await until(errors, RuleVerdict.FIRED)
            assert fired.since is not None
        # A new process: its counters begin at zero, and the errors go on.
        async with product.running():
            await until(errors, RuleVerdict.FIRED)
            assert (await until(down, RuleVerdict.CLEAR)).value == 0.0
        # A dead one has no rate of errors, and is down.
        assert (await until(down, RuleVerdict.FIRED)).value == 1.0
        await until(errors, RuleVerdict.INCONCLUSIVE)
