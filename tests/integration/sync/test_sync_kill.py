"""A consumer that is killed at any moment loses nothing and applies nothing by halves."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from failback.models.common import Outcome, Side
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.pgoutput import lsn_number

pytestmark = pytest.mark.servers

Armed = Callable[..., ReverseSync]

CONSUMER = """
import os
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.settings import SyncSettings
engine = ReverseSync(SyncSettings(
    os.environ["ESTATE"], os.environ["SOURCE"], os.environ["TARGET"], batch_changes=200))
while True:
    print(engine.run_batch().position, flush=True)
"""


def consumer(pair: Any) -> subprocess.Popen[str]:
    """A process of its own that runs batches until it is killed."""
    settings = pair.settings
    names = {
        "ESTATE": settings.estate,
        "SOURCE": settings.source_dsn,
        "TARGET": settings.target_dsn,
    }
    return subprocess.Popen(
        [sys.executable, "-c", CONSUMER],
        env={**os.environ, **names},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_batches_when_the_consumer_is_killed_again_and_again_then_nothing_is_lost(
    pair: Any, armed: Armed
) -> None:
    engine = armed(
        "CREATE TABLE entry (id int PRIMARY KEY, v int, seat text UNIQUE)",
        "CREATE TABLE child (id int PRIMARY KEY, entry int REFERENCES entry, body text)",
    )
    over = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        with pair.admin(Side.TARGET) as target:
            while not over.is_set():
                written += 1
                with target.transaction():
                    target.execute(
                        "INSERT INTO entry SELECT n, 0, 'seat ' || n"
                        " FROM generate_series(%s::int, %s) AS n",
                        [written * 50, written * 50 + 49],
                    )
                    target.execute(
                        "INSERT INTO child SELECT id, id, repeat('x', 500) FROM entry"
                        " WHERE id >= %s",
                        [written * 50],
                    )
                target.execute("UPDATE entry SET v = v + 1 WHERE id %% 7 = %s", [written % 7])
                # A batch takes longer than this; each round rewrites more than the one before.
                over.wait(0.05)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        last = 0
        for kill in range(6):
            process = consumer(pair)
            assert process.stdout is not None
            # Killed after a few batches, each time at another place of one.
            for _ in range(2 + kill):
                position = lsn_number(process.stdout.readline())
                assert position >= last
                last = position
            time.sleep(0.003 * kill)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
            held = lsn_number(engine.status().position.lsn)
            assert held >= last
            last = held
    finally:
        over.set()
        writer.join()
    assert written > 5
    assert engine.drain(60).outcome is Outcome.SUCCEEDED
    pair.assert_equal()


def test_canary_when_another_process_carries_batches_then_it_watches_for_its_arrival(
    pair: Any, armed: Armed, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = armed("CREATE TABLE note (id int PRIMARY KEY)")
    process = consumer(pair)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        monkeypatch.setattr(engine, "run_batch", lambda: None)  # only the other one carries
        assert engine.canary().outcome is Outcome.SUCCEEDED
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
