"""A backlog of changes on the target, of any size, and processes that drain it."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from failback.errors import FailbackError
from failback.models.common import Side
from failback.models.sync import DrainReport
from failback.reverse_sync.engine import ReverseSync

TABLES = (
    "CREATE TABLE entry (id int PRIMARY KEY, seat text UNIQUE, v int NOT NULL DEFAULT 0)",
    "CREATE TABLE child (entry int REFERENCES entry, n int, body text, PRIMARY KEY (entry, n))",
    "CREATE TABLE event (at timestamptz, id uuid PRIMARY KEY, data jsonb)",
)

DRAINER = """
import os
from failback.errors import FailbackError
from failback.models.common import Outcome
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.settings import SyncSettings
engine = ReverseSync(SyncSettings(
    os.environ["ESTATE"], os.environ["SOURCE"], os.environ["TARGET"],
    batch_changes=int(os.environ["CHANGES"])))
engine.warm()
print("draining", flush=True)
while True:
    try:
        report = engine.drain(5)
    except FailbackError as error:
        if not error.retryable:
            raise
    else:
        if report.outcome is Outcome.SUCCEEDED:
            break
print("drained", flush=True)
"""


def grow(pair: Any, changes: int, *, portion: int = 5000) -> None:
    """Write about so many changes in portions, each committed: 60 % inserts, 25 % updates,
    15 % deletes, with unique values that change hands.

    Args:
        pair: the estate's databases; `TABLES` are there.
        changes: captured changes that are to be written.
        portion: changes a commit.
    """
    with pair.admin(Side.TARGET) as target:
        ((first,),) = target.execute("SELECT coalesce(max(id), 0) + 1 FROM entry").fetchall()
        for start in range(first, first + changes * 6 // 20, portion * 6 // 20):
            last = start + portion * 6 // 20 - 1
            span = {"first": start, "last": last}
            with target.transaction():
                target.execute(
                    "INSERT INTO entry SELECT n, 'seat ' || n, 0"
                    " FROM generate_series(%(first)s::int, %(last)s) AS n",
                    span,
                )
                target.execute(
                    "INSERT INTO child SELECT n, n %% 3, repeat('x', n %% 400)"
                    " FROM generate_series(%(first)s::int, %(last)s, 2) AS n",
                    span,
                )
                target.execute(
                    "INSERT INTO event SELECT now(), gen_random_uuid(), jsonb_build_object('n', n)"
                    " FROM generate_series(%(first)s::int, %(last)s, 2) AS n",
                    span,
                )
                # Every unique value of a stretch changes hands.
                target.execute(
                    "UPDATE entry SET v = v + 1, seat = seat || ' left'"
                    " WHERE id BETWEEN %(first)s AND %(last)s AND id %% 5 < 4",
                    span,
                )
                target.execute(
                    "DELETE FROM child WHERE entry BETWEEN %(first)s AND %(last)s"
                    " AND entry %% 5 = 4",
                    span,
                )
                target.execute(
                    "DELETE FROM entry WHERE id BETWEEN %(first)s AND %(last)s AND id %% 5 = 4",
                    span,
                )


def drainer(pair: Any, changes: int, **environment: str) -> "subprocess.Popen[str]":
    """A process that drains until nothing is left; says `draining`, then `drained`."""
    settings = pair.settings
    return subprocess.Popen(
        [sys.executable, "-c", DRAINER],
        env={
            **os.environ,
            "ESTATE": settings.estate,
            "SOURCE": settings.source_dsn,
            "TARGET": settings.target_dsn,
            "CHANGES": str(changes),
            **environment,
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def drained(engine: ReverseSync, seconds: float = 120.0) -> DrainReport:
    """What an activity with retries does: the same call again where the error says it may."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return engine.drain(60)
        except FailbackError as error:
            if not error.retryable or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def peak_megabytes(process_id: int) -> float:
    """The most memory that a process had resident at any moment; 0 when it has gone."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) / 1024 if found else 0.0


def killed_again_and_again(
    start: Callable[[int], "subprocess.Popen[str]"], kills: int, seed: int
) -> tuple[int, float]:
    """Start drains and kill them at random moments; a last one ends by itself.

    A drain that ended before its moment does not count; moments come sooner afterwards.

    Args:
        start: starts a process that drains; told how many were killed before.
        kills: how many to kill.
        seed: of the random moments.

    Returns:
        How many were killed while they drained, and the highest peak of memory in MiB.
    """
    choose = random.Random(seed)
    struck, peak, window = 0, 0.0, 1.2
    for _ in range(4 * kills):
        process = start(struck)
        assert process.stdout is not None
        with process, process.stdout:
            assert process.stdout.readline() == "draining\n"
            moment = time.monotonic() + choose.uniform(0.0, window)
            while process.poll() is None and time.monotonic() < moment:
                time.sleep(0.005)
            peak = max(peak, peak_megabytes(process.pid))
            if process.poll() is None:
                struck += 1
            else:
                window *= 0.6  # this machine drains faster than was thought
            process.kill()
        if struck == kills:
            break
    process = start(kills)
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == "draining\n"
        while process.poll() is None:
            peak = max(peak, peak_megabytes(process.pid))
            time.sleep(0.05)
        assert process.stdout.read() == "drained\n"
    return struck, peak
