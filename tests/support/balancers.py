"""Load balancers that one suite runs on: in memory, as a dry run, and HAProxy."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from failback.models.traffic import BackendRoute
from failback.ports import LoadBalancer
from failback.providers.dry_run import DryRunJournal, DryRunLoadBalancer
from failback.providers.load_balancer import FakeLoadBalancer, HaproxyLoadBalancer
from failback.sections.routing import HaproxyConfig

API = BackendRoute(backend="rest")
WIRE = BackendRoute(backend="database")
ROUTES = (API, WIRE)


class Subject(NamedTuple):
    """A balancer with backends `rest` and `database`, and one of its kind without doors."""

    balancer: LoadBalancer
    doorless: LoadBalancer


def _fake(request: pytest.FixtureRequest) -> Subject:
    return Subject(FakeLoadBalancer(ROUTES), FakeLoadBalancer(ROUTES, holds=False))


def _dry_run(request: pytest.FixtureRequest) -> Subject:
    journal, real = DryRunJournal(), FakeLoadBalancer(ROUTES)
    return Subject(
        DryRunLoadBalancer(real, journal), DryRunLoadBalancer(real, journal, holds=False)
    )


def _haproxy(request: pytest.FixtureRequest) -> Subject:
    server: Any = request.getfixturevalue("haproxy")
    return Subject(
        HaproxyLoadBalancer(
            HaproxyConfig(runtime_api=server.admin, doors_map=str(server.doors_map))
        ),
        HaproxyLoadBalancer(HaproxyConfig(runtime_api=server.tcp)),
    )


def _lab_haproxy(request: pytest.FixtureRequest) -> Subject:
    server: Any = request.getfixturevalue("lab_haproxy")
    api = server.runtime_api
    return Subject(
        HaproxyLoadBalancer(HaproxyConfig(runtime_api=api, doors_map=str(server.doors_map))),
        HaproxyLoadBalancer(HaproxyConfig(runtime_api=api)),
    )


KINDS = [
    pytest.param(_fake, id="fake"),
    pytest.param(_dry_run, id="dry-run"),
    pytest.param(_haproxy, id="haproxy", marks=pytest.mark.servers),
    pytest.param(_lab_haproxy, id="haproxy-of-the-lab", marks=pytest.mark.servers),
]


@asynccontextmanager
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """The balancer that a test's parameter names, closed afterwards."""
    make: Callable[[pytest.FixtureRequest], Subject] = request.param
    made = make(request)
    yield made
    await made.balancer.aclose()
    await made.doorless.aclose()
