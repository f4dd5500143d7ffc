"""Servers and databases that tests of every kind ask for by name."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from failback.lab.databases import (
    FAILBACK_ROLES,
    PRODUCT_ROLE,
    DatabasePair,
    PostgresPair,
    create_database,
    drop_database,
    prepare_roles,
)
from failback.lab.postgres import PostgresServer
from failback.models.common import Side

_PASSWORD = "test-only"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresPair]:
    """Both servers, started when the first test asks and kept for the session."""
    folder: Path = tmp_path_factory.mktemp("postgres")
    pair = PostgresPair(
        source=PostgresServer(16, folder / "source"),
        target=PostgresServer(18, folder / "target"),
    )
    try:
        for side in Side:
            pair.server(side).start()
            passwords = {FAILBACK_ROLES[side]: _PASSWORD, PRODUCT_ROLE: _PASSWORD}
            prepare_roles(pair.server(side), side, passwords)
        yield pair
    finally:
        for side in Side:
            pair.server(side).remove()


@pytest.fixture
def databases(postgres_pair: PostgresPair) -> Iterator[DatabasePair]:
    """A database of its own for one test, dropped afterwards with its slots."""
    pair = DatabasePair(f"test_{next(_numbers)}", postgres_pair, _PASSWORD)
    made = []
    try:
        for side in Side:
            create_database(postgres_pair.server(side), side, pair.name)
            made.append(side)
        yield pair
    finally:
        for side in made:
            drop_database(postgres_pair.server(side), pair.name)
