"""An estate of two real databases, its engine, and a plain comparison of both sides."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from failback.lab.databases import DatabasePair
from failback.reverse_sync.engine import ReverseSync

from support.pairs import Pair, open_pair


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
