"""An estate of two real databases, its engine, and a plain comparison of both sides."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from failback.lab.databases import DatabasePair
from failback.reverse_sync.engine import ReverseSync

from support.pairs import Pair, open_pair

_SAID = pytest.StashKey[list[str]]()


@pytest.fixture
def pair(databases: DatabasePair) -> Iterator[Pair]:
    """Two empty databases and settings for all tables of `public`."""
    with open_pair(databases) as made:
        yield made


@pytest.fixture
def armed(pair: Pair) -> Callable[..., ReverseSync]:
    """Makes tables on both sides, arms them, and returns the engine."""

    def arm(*statements: str, **changed: Any) -> ReverseSync:
        pair.both(*statements)
        engine = pair.engine(**changed)
        report = engine.arm()
        assert report.outcome == "succeeded", report
        return engine

    return arm


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Has a figure of the test told at the end of the run."""
    lines = request.config.stash.setdefault(_SAID, [])
    return lambda text: lines.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell the figures."""
    for line in config.stash.get(_SAID, []):
        terminalreporter.write_line(line)
