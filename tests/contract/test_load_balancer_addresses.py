"""What every load balancer keeps of where its servers are, on the fake and on a real HAProxy."""

from collections.abc import AsyncIterator

import pytest

from failback.errors import BalancerError
from failback.models.common import Side
from failback.models.traffic import BackendRoute

from support.balancers import API, KINDS, WIRE, Subject, opened


@pytest.fixture(params=KINDS)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async with opened(request) as made:
        yield made


async def test_address_when_set_then_read_back_and_others_stay(subject: Subject) -> None:
    before = await subject.balancer.address(WIRE, Side.SOURCE)
    other = await subject.balancer.address(WIRE, Side.TARGET)
    await subject.balancer.set_address(WIRE, Side.SOURCE, "127.0.0.2", other.port)
    # A second time changes nothing, and is no failure.
    await subject.balancer.set_address(WIRE, Side.SOURCE, "127.0.0.2", other.port)
    after = await subject.balancer.address(WIRE, Side.SOURCE)
    assert (before.backend, before.server, before.host) == ("database", "source", "127.0.0.1")
    assert (after.host, after.port) == ("127.0.0.2", other.port)
    assert await subject.balancer.address(WIRE, Side.TARGET) == other
    assert (await subject.balancer.address(API, Side.SOURCE)).host == "127.0.0.1"
    assert [one.weight for one in await subject.balancer.read_weights(WIRE)] == [0, 100]


async def test_address_when_it_is_none_then_refused_and_kept(subject: Subject) -> None:
    before = await subject.balancer.address(WIRE, Side.SOURCE)
    with pytest.raises(BalancerError):
        await subject.balancer.set_address(WIRE, Side.SOURCE, "127.0.0.1", 70_000)
    assert await subject.balancer.address(WIRE, Side.SOURCE) == before


@pytest.mark.parametrize(
    "route", [BackendRoute(backend="absent"), BackendRoute(backend="rest", source="absent")]
)
async def test_address_when_the_server_is_unknown_then_refused(
    subject: Subject, route: BackendRoute
) -> None:
    with pytest.raises(BalancerError, match=r"absent|No such"):
        await subject.balancer.address(route, Side.SOURCE)
    with pytest.raises(BalancerError, match=r"absent|No such"):
        await subject.balancer.set_address(route, Side.SOURCE, "127.0.0.1", 5432)
