"""A source of its own to be damaged; the shared servers are its standby and its target."""

import shutil
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

from support.backups import opened
from support.recoveries import TEMPLATE, Damaged, damaged, product_in


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server with the product's database, never used by other tests."""
    server = PostgresServer(16, tmp_path_factory.mktemp("source"), settings={"fsync": "off"})
    try:
        server.start()
        password = "test-only"
        roles = {FAILBACK_ROLES[Side.SOURCE]: password, PRODUCT_ROLE: password}
        prepare_roles(server, Side.SOURCE, roles)
        product_in(server)
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def target(postgres_pair: PostgresPair) -> Iterator[DatabasePair]:
    """An empty target that answers."""
    pair = DatabasePair("recovery_target", postgres_pair, "test-only")
    create_database(postgres_pair.target, Side.TARGET, pair.name)
    try:
        yield pair
    finally:
        drop_database(postgres_pair.target, pair.name)


@pytest.fixture(scope="session")
def proven(
    source: PostgresServer,
    postgres_pair: PostgresPair,
    target: DatabasePair,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A store with one proven backup, never to be changed."""
    folder = tmp_path_factory.mktemp("proven")
    store = folder / "store"
    estate = Damaged(TEMPLATE, source, postgres_pair.source, target, folder, store)
    backups = opened(estate.path())
    backups.take()
    backups.prove()
    backups.close()
    return store


@pytest.fixture
def estate(
    source: PostgresServer,
    postgres_pair: PostgresPair,
    target: DatabasePair,
    proven: Path,
    tmp_path: Path,
) -> Iterator[Damaged]:
    """An estate for one test, with a copy of the store."""
    store = tmp_path / "store"
    shutil.copytree(proven, store)
    with damaged(source, postgres_pair.source, target, tmp_path, store) as made:
        yield made
