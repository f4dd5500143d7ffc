"""Servers and databases that tests of every kind ask for by name.

Two processes may share the tests (`pytest -n 2`, as `make test` does): each has servers of its own,
and ports from a range of its own.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from failback.lab.processes import PORTS_VARIABLE
from failback.models.common import Side

_FIRST_PORT, _PORTS_EACH = 15_000, 4_000
_AT_ONCE = {
    # No test here takes the machine's power away, so nothing has to be on disk: a checkpoint, which
    # every database that is dropped asks for, then costs a tenth.
    "fsync": "off",
    "full_page_writes": "off",
}
_PASSWORD = "test-only"
_numbers = itertools.count(1)


@contextmanager
def _started(folder: Path, source: int, target: int) -> Iterator[PostgresPair]:
    """Servers of these major versions with the lab's roles, removed afterwards."""
    pair = PostgresPair(
        source=PostgresServer(source, folder / "source", settings=_AT_ONCE),
        target=PostgresServer(target, folder / "target", settings=_AT_ONCE),
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


@contextmanager
def _created(servers: PostgresPair) -> Iterator[DatabasePair]:
    """A database of its own on each side, dropped afterwards with its slots."""
    pair = DatabasePair(f"test_{next(_numbers)}", servers, _PASSWORD)
    made = []
    try:
        for side in Side:
            create_database(servers.server(side), side, pair.name)
            made.append(side)
        yield pair
    finally:
        for side in made:
            drop_database(servers.server(side), pair.name)


def pytest_configure(config: pytest.Config) -> None:
    """Give each process that shares the tests ports that no other one takes."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker:
        first = _FIRST_PORT + int(worker.removeprefix("gw")) % 4 * _PORTS_EACH
        os.environ[PORTS_VARIABLE] = f"{first}-{first + _PORTS_EACH - 1}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests unless they are asked for."""
    if "long" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Has a figure of the test told at the end of the run."""
    return lambda text: request.node.user_properties.append(("said", text))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the figures, whichever process found them."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "teardown":
                for kind, text in report.user_properties:
                    if kind == "said":
                        terminalreporter.write_line(f"{report.nodeid}: {text}")


@pytest.fixture(scope="session")
def postgres_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresPair]:
    """Both servers, started when the first test asks and kept for the session."""
    with _started(tmp_path_factory.mktemp("postgres"), 16, 18) as pair:
        yield pair


@pytest.fixture(scope="session")
def reversed_postgres_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresPair]:
    """The same with the newer server as the source."""
    with _started(tmp_path_factory.mktemp("reversed"), 18, 16) as pair:
        yield pair


@pytest.fixture
def databases(postgres_pair: PostgresPair) -> Iterator[DatabasePair]:
    """A database of its own for one test, dropped afterwards with its slots."""
    with _created(postgres_pair) as pair:
        yield pair


@pytest.fixture
def reversed_databases(reversed_postgres_pair: PostgresPair) -> Iterator[DatabasePair]:
    """The same between the servers of `reversed_postgres_pair`."""
    with _created(reversed_postgres_pair) as pair:
        yield pair
