"""A real Temporal server, and estates whose outside world is made of fakes."""

import re
from collections.abc import AsyncIterator, Iterator

import pytest

from failback.lab.processes import free_port
from failback.lab.temporal import TemporalServer
from failback.providers.checks.fake import FakeServiceChecks
from failback.providers.dns.fake import FakeDnsProvider
from failback.providers.faults import Call
from failback.providers.load_balancer.fake import FakeLoadBalancer
from failback.providers.notify.fake import FakeNotifier
from failback.providers.reverse_sync.fake import FakeReverseSync
from failback.temporal.client import connect
from failback.temporal.rollbacks import Rollbacks
from workers.composition import build_worker

from support.fake_estate import FakeEstate, MakeEstate, estate_of


@pytest.fixture(scope="session")
def temporal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    """One dev server for the session."""
    folder = tmp_path_factory.mktemp("temporal")
    server = TemporalServer(folder / "data", free_port(), free_port(), folder / "temporal.log")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
async def make_estate(
    temporal_server: TemporalServer, request: pytest.FixtureRequest
) -> AsyncIterator[MakeEstate]:
    """Makes the test's estate: fakes, client, and a worker unless the test brings its own."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[-38:].strip("-")
    opened: list[FakeEstate] = []
    workers = []

    async def make(*, worker: bool = True, armed: bool = True, **changes: object) -> FakeEstate:
        estate = estate_of(name, temporal_server.address, **changes)
        calls: list[Call] = []
        routes = [backend for route in estate.plan(1).routes for backend in route.backends]
        client = await connect(estate)
        fakes = FakeEstate(
            estate=estate,
            client=client,
            rollbacks=Rollbacks(client, estate),
            calls=calls,
            balancer=FakeLoadBalancer(routes, calls=calls),
            dns=FakeDnsProvider(estate.dns.records if estate.dns else (), calls=calls),
            checks=FakeServiceChecks(calls=calls),
            notifier=FakeNotifier(calls=calls),
            engine=FakeReverseSync(armed=armed, calls=calls),
        )
        opened.append(fakes)
        if worker:
            running = build_worker(client, estate.temporal.task_queue, fakes.ports, fakes.threads)
            await running.__aenter__()
            workers.append(running)
        return fakes

    try:
        yield make
    finally:
        for fakes in opened:
            for method in ("drain", "raise_fence", "verify", "drain_late", "run_batch"):
                fakes.engine.release(method)
        for running in workers:
            await running.shutdown()
        for fakes in opened:
            fakes.threads.shutdown(wait=True)
