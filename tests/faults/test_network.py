"""Connections that break in the middle of a batch, and links that are slow."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from failback.errors import UnreachableError
from failback.models.common import Outcome, Side
from failback.reverse_sync.engine import ReverseSync

from support.backlog import TABLES, drained, grow
from support.proxy import Proxy, proxied

pytestmark = pytest.mark.servers

Armed = Callable[..., ReverseSync]


def through(pair: Any, proxy: Proxy, side: Side, **changed: Any) -> ReverseSync:
    """An engine that reaches one side by way of the proxy."""
    name = f"{side.value}_dsn"
    return pair.engine(**{name: proxy.through(getattr(pair.settings, name))}, **changed)


def warmed(engine: ReverseSync) -> None:
    """All sessions are open; those that were cut are noticed one after the other."""
    for _ in range(8):
        try:
            engine.warm()
        except UnreachableError:
            continue
        return
    raise AssertionError("the engine does not get warm")


@pytest.mark.parametrize("side", Side)
def test_drain_when_cut_in_the_middle_of_copy_then_nothing_is_half_done(
    pair: Any, armed: Armed, side: Side
) -> None:
    armed(*TABLES)
    grow(pair, 20_000)
    choose = random.Random(side.value)
    with proxied(pair.databases.servers.server(side).port) as proxy:
        engine = through(pair, proxy, side)
        before = pair.contents(Side.SOURCE)
        for bytes_left in (choose.randrange(1_000, 400_000) for _ in range(6)):
            proxy.heal()
            warmed(engine)
            proxy.cut_after(bytes_left)
            with pytest.raises(UnreachableError):
                engine.drain(60)
            assert proxy.is_cut
            # All of it is one batch: none of it came.
            assert pair.contents(Side.SOURCE) == before
        proxy.heal()
        assert drained(engine).outcome is Outcome.SUCCEEDED
        engine.close()
    pair.assert_equal()


@pytest.mark.parametrize("side", Side)
def test_drain_when_the_link_is_slow_then_it_keeps_what_it_did_and_goes_on_later(
    pair: Any, armed: Armed, side: Side
) -> None:
    armed(*TABLES)
    grow(pair, 5_000, portion=250)
    with proxied(pair.databases.servers.server(side).port) as proxy:
        engine = through(pair, proxy, side, batch_changes=250)
        warmed(engine)
        proxy.bytes_per_second = 200_000.0
        report = engine.drain(0.2)
        assert report.outcome is Outcome.INCONCLUSIVE
        assert 0 < report.changes < 5_000
        proxy.heal()
        assert drained(engine).outcome is Outcome.SUCCEEDED
        engine.close()
    pair.assert_equal()


def test_drain_when_a_side_stays_away_then_it_says_so_and_goes_on_when_it_is_back(
    pair: Any, armed: Armed
) -> None:
    armed(*TABLES)
    grow(pair, 1_000)
    with proxied(pair.databases.servers.source.port) as proxy:
        engine = through(pair, proxy, Side.SOURCE)
        warmed(engine)
        proxy.cut()
        for _ in range(2):
            with pytest.raises(UnreachableError, match="source"):
                engine.drain(5)
        proxy.heal()
        assert drained(engine).outcome is Outcome.SUCCEEDED
        engine.close()
    pair.assert_equal()


@pytest.mark.parametrize("side", Side)
def test_status_when_a_side_was_cut_off_then_it_names_that_side_and_answers_later(
    pair: Any, armed: Armed, side: Side
) -> None:
    armed(*TABLES)
    with proxied(pair.databases.servers.server(side).port) as proxy:
        engine = through(pair, proxy, side)
        assert engine.status().armed
        proxy.cut()
        for _ in range(2):
            with pytest.raises(UnreachableError, match=f"{side.value} database"):
                engine.status()
        proxy.heal()
        assert engine.status().armed
        engine.close()
