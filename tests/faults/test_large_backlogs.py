"""Backlogs of production's size: read as a stream, carried in bounded memory, complete."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from failback.models.common import Outcome, Side
from failback.reverse_sync.engine import ReverseSync

from support.backlog import TABLES, drainer, grow, peak_megabytes

pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.timeout(5400)]

Armed = Callable[..., ReverseSync]
Say = Callable[[str], None]

BOUND_MEGABYTES = 300
BATCH = 500_000
CATCHER = """
import os
from concurrent.futures import ThreadPoolExecutor
from failback.models.catch_up import ShareOutcome
from failback.reverse_sync.catch_up import CatchUp
from failback.reverse_sync.settings import SyncSettings
catch_up = CatchUp(SyncSettings(
    os.environ["ESTATE"], os.environ["SOURCE"], os.environ["TARGET"], parallel=2))
print("draining", flush=True)
plan = catch_up.plan_catch_up()
with ThreadPoolExecutor(2) as pool:
    shares = [share.number for share in plan.shares]
    for report in pool.map(lambda share: catch_up.carry_share(plan.run, share), shares):
        assert report.outcome is ShareOutcome.CARRIED, report
report = catch_up.settle_catch_up(plan.run)
assert report.settled, report
print("drained", flush=True)
"""


def catcher(pair: Any) -> "subprocess.Popen[str]":
    """A process that carries the backlog as a catch-up; says `draining`, then `drained`."""
    settings = pair.settings
    return subprocess.Popen(
        [sys.executable, "-c", CATCHER],
        env={
            **os.environ,
            "ESTATE": settings.estate,
            "SOURCE": settings.source_dsn,
            "TARGET": settings.target_dsn,
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def carried(process: "subprocess.Popen[str]") -> tuple[float, float]:
    """Seconds that a process took, and the most memory that it had, in MiB."""
    peak, began = 0.0, time.monotonic()
    with process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "draining\n"
            while process.poll() is None:
                # Once it is gone nobody can tell any more.
                peak = max(peak, peak_megabytes(process.pid))
                time.sleep(0.05)
            assert process.stdout.read() == "drained\n"
        finally:
            process.kill()
    return time.monotonic() - began, peak


def assert_same(engine: ReverseSync) -> None:
    """Every row of both sides is compared, inside the fence."""
    assert engine.raise_fence(Side.TARGET, 1).outcome is Outcome.SUCCEEDED
    assert engine.drain(60).outcome is Outcome.SUCCEEDED
    report = engine.verify(cold=True)
    assert (report.outcome, report.exact) == (Outcome.SUCCEEDED, True)
    assert (report.missing, report.extra, report.different) == (0, 0, 0)


def test_transaction_of_a_million_rows_then_it_is_streamed_in_bounded_memory(
    pair: Any, armed: Armed, say: Say
) -> None:
    engine = armed(*TABLES)
    pair.run(
        Side.TARGET,
        "BEGIN;"
        "INSERT INTO entry SELECT n, 'seat ' || n, 0 FROM generate_series(1, 400000) AS n;"
        "INSERT INTO event SELECT now(), gen_random_uuid(), jsonb_build_object('n', n)"
        " FROM generate_series(1, 600000) AS n;"
        "COMMIT",
    )
    seconds, peak = carried(drainer(pair, BATCH))
    say(f"one transaction of 1 000 000 rows: {seconds:.1f} s, peak of memory {peak:.0f} MiB")
    assert 0 < peak < BOUND_MEGABYTES
    assert_same(engine)


@pytest.mark.parametrize("way", ["drain", "catch-up"])
def test_ten_million_changes_then_they_are_carried_in_bounded_memory(
    pair: Any, armed: Armed, say: Say, way: str
) -> None:
    engine = armed(*TABLES)
    grow(pair, 10_000_000, portion=100_000)
    waiting = engine.status()
    assert waiting.lag_bytes is not None
    engine.close()
    seconds, peak = carried(drainer(pair, BATCH) if way == "drain" else catcher(pair))
    log = f"{waiting.lag_bytes / 2**20:.0f} MiB of log"
    say(f"{way} of 10 000 000 changes, {log}: {seconds:.0f} s, peak of memory {peak:.0f} MiB")
    assert 0 < peak < BOUND_MEGABYTES
    assert_same(engine)
