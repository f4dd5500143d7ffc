"""The lab's product on both sides, each a process of its own on a fresh database."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from failback.lab.databases import DatabasePair, PostgresPair, create_database, drop_database
from failback.models.common import Side

from support.products import Products, running, signed_up


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
