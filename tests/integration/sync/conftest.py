"""An estate of two real databases, its engine, and a plain comparison of both sides."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from failback.lab.databases import DatabasePair, PostgresPair
from failback.reverse_sync.engine import ReverseSync

from support import losses
from support.pairs import Pair, open_pair


@pytest.fixture
def pair(databases: DatabasePair) -> Iterator[Pair]:
    """Two empty databases and settings for all tables of `public`."""
    with open_pair(databases) as made:
        yield made


@pytest.fixture(params=["databases", "reversed_databases"], ids=["16-to-18", "18-to-16"])
def either(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """As `pair`, once with each server as the source; named after the migration's way."""
    with open_pair(request.getfixturevalue(request.param)) as made:
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
def own_target(postgres_pair: PostgresPair, tmp_path: Path) -> Iterator[Pair]:
    """A pair whose target is a server of its own, to be broken."""
    with losses.own_target(postgres_pair, tmp_path) as made:
        yield made
