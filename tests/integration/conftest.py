"""Fresh databases on both sides: to be compared, or with the lab's product as processes."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from failback.lab.databases import DatabasePair, PostgresPair, create_database, drop_database
from failback.models.common import Side
from failback.reverse_sync.connections import Servers
from failback.reverse_sync.sessions import Sessions

from support.compared import ComparedPair
from support.products import Products, running, signed_up


@pytest.fixture
def pair(databases: DatabasePair) -> Iterator[ComparedPair]:
    """Both sides, empty, to be filled and compared."""
    servers = Servers(databases.source_dsn, databases.target_dsn)
    with closing(Sessions(servers)) as sessions:
        yield ComparedPair(databases, servers, sessions)


@pytest.fixture
def products(databases: DatabasePair, tmp_path: Path) -> Iterator[Products]:
    """Both databases with the product's schema; processes start on demand."""
    with running(databases, tmp_path) as both:
        yield both


@pytest.fixture(scope="module")
def target_product(
    postgres_pair: PostgresPair, tmp_path_factory: pytest.TempPathFactory, request: Any
) -> Iterator[Products]:
    """The product of the target, started once for a module; its data stay between tests."""
    name = f"shared_{request.module.__name__.rpartition('.')[2]}"
    pair = DatabasePair(name, postgres_pair, "test-only")
    made = []
    try:
        for side in Side:
            create_database(postgres_pair.server(side), side, name)
            made.append(side)
        with running(pair, tmp_path_factory.mktemp("product")) as both:
            both.start(Side.TARGET)
            yield both
    finally:
        for side in made:
            drop_database(postgres_pair.server(side), name)


@pytest.fixture(scope="module")
def shared_client(target_product: Products) -> Iterator[httpx.Client]:
    with target_product.client(Side.TARGET) as client:
        signed_up(client, "ada@example.org")
        yield client


@pytest.fixture
def client(target_product: Products) -> Iterator[httpx.Client]:
    """A client of the module's product, with a user of its own signed in."""
    with target_product.client(Side.TARGET) as client:
        signed_up(client, f"{uuid.uuid4().hex}@example.org")
        yield client
