"""`kill -9` at random moments of a long drain: nothing missing, nothing extra, memory bounded."""

import random
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from failback.models.common import Outcome, Side
from failback.reverse_sync.engine import ReverseSync

from support.backlog import TABLES, drainer, grow, killed_again_and_again

pytestmark = [pytest.mark.servers, pytest.mark.slow]

Armed = Callable[..., ReverseSync]
Say = Callable[[str], None]

BOUND_MEGABYTES = 300
SIZES = (500, 5_000, 50_000, 200_000)


def test_drain_when_killed_again_and_again_then_both_sides_are_equal(
    pair: Any, armed: Armed, say: Say
) -> None:
    kill_while_draining(pair, armed(*TABLES), say, changes=50_000, kills=5)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_drain_of_half_a_million_changes_when_killed_fifty_times_then_both_sides_are_equal(
    pair: Any, armed: Armed, say: Say
) -> None:
    kill_while_draining(pair, armed(*TABLES), say, changes=500_000, kills=50)


def kill_while_draining(
    pair: Any, engine: ReverseSync, say: Say, *, changes: int, kills: int
) -> None:
    choose = random.Random(kills)
    grow(pair, changes)
    engine.close()

    started = []

    def start(number: int) -> "subprocess.Popen[str]":
        if started and engine.status().lag_seconds == 0.0:
            grow(pair, changes)  # the backlog was gone before the kills were
        engine.close()
        started.append(number)
        size = SIZES[-1] if number == kills else choose.choice(SIZES)
        return drainer(pair, size)

    struck, peak = killed_again_and_again(start, kills, seed=kills)
    say(f"{struck} of {kills} were killed while draining; peak of memory {peak:.0f} MiB")
    assert struck == kills
    assert peak < BOUND_MEGABYTES

    assert engine.raise_fence(Side.TARGET, 1).outcome is Outcome.SUCCEEDED
    assert engine.drain(60).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    report = engine.verify()
    assert (report.outcome, report.exact) == (Outcome.SUCCEEDED, True)
    assert (report.missing, report.extra, report.different) == (0, 0, 0)
