"""A real Temporal server, and estates whose outside world is made of fakes."""

import contextlib
import re
from collections.abc import AsyncIterator, Iterator

import pytest

from failback.lab.temporal import TemporalServer

from support.fake_estate import FakeEstate, MakeEstate, fake_estate
from support.servers import temporal_in


@pytest.fixture(scope="session")
def temporal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    """One dev server for the session."""
    with temporal_in(tmp_path_factory.mktemp("temporal")) as server:
        yield server


@pytest.fixture
async def make_estate(
    temporal_server: TemporalServer, request: pytest.FixtureRequest
) -> AsyncIterator[MakeEstate]:
    """Makes the test's estate, named after the test."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[-38:].strip("-")
    async with contextlib.AsyncExitStack() as opened:

        async def make(**options: object) -> FakeEstate:
            return await opened.enter_async_context(
                fake_estate(name, temporal_server.address, **options)
            )

        yield make
