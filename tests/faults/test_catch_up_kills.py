"""`kill -9` of a worker in the middle of a share: another one carries it, and nothing is lost."""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter

from failback.models.common import Outcome, Side
from failback.reverse_sync.engine import ReverseSync
from workflows.reverse_sync import ReverseSync as ReverseSyncWorkflow
from workflows.reverse_sync import ReverseSyncRequest

from support.backlog import TABLES, grow
from support.catch_up_worker import QUEUE
from support.servers import temporal_in
from support.writers import Writer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

Armed = Callable[..., ReverseSync]

LEDGER = (
    "CREATE TABLE ledger (id int PRIMARY KEY, v int, writer text)",
    "INSERT INTO ledger SELECT n, 0, 'first' FROM generate_series(1, 200) AS n",
)
_TESTS = Path(__file__).resolve().parents[1]


@contextmanager
def worker(pair: Any, address: str, **extra: str) -> "Iterator[subprocess.Popen[str]]":
    """A worker process, killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "support.catch_up_worker"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(_TESTS), os.getenv("PYTHONPATH")])),
            "ADDRESS": address,
            "ESTATE": pair.settings.estate,
            "SOURCE": pair.settings.source_dsn,
            "TARGET": pair.settings.target_dsn,
            "SHARE_KEYS": "1000",
            **extra,
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def told(process: "subprocess.Popen[str]", word: str) -> list[str]:
    """What a process says until it says this."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line.strip())
        if line.startswith(word):
            return said
    pytest.fail(f"it ended without a word of {word}: {said}")


async def test_worker_when_killed_in_the_middle_of_a_share_then_another_one_carries_it(
    pair: Any, armed: Armed, tmp_path: Path
) -> None:
    engine = armed(*TABLES, *LEDGER)
    await asyncio.to_thread(grow, pair, 20_000)
    engine.close()
    over = threading.Event()
    dsn = pair.databases.admin_dsn(Side.TARGET)
    writers = [Writer(dsn, number, over, threading.Event()) for number in range(2)]
    with temporal_in(tmp_path) as temporal, contextlib.ExitStack() as at_the_end:
        at_the_end.callback(over.set)
        client = await Client.connect(temporal.address, data_converter=pydantic_data_converter)
        with worker(pair, temporal.address, HALT="1") as doomed:
            await asyncio.to_thread(told, doomed, "ready")
            for writer in writers:
                writer.start()
            handle = await client.start_workflow(
                ReverseSyncWorkflow.run,
                ReverseSyncRequest(estate=pair.settings.estate, catch_up_bytes=1),
                id=f"sync-{uuid.uuid4()}",
                task_queue=QUEUE,
            )
            await asyncio.to_thread(told, doomed, "halted")
            with (
                worker(pair, temporal.address) as first,
                worker(pair, temporal.address) as second,
            ):
                shares = [asyncio.to_thread(told, each, "carried") for each in (first, second)]
                doomed.kill()
                # Both have carried some, those of the dead one among them in the end.
                await asyncio.wait_for(asyncio.gather(*shares), 45)
                async with asyncio.timeout(45):
                    while True:
                        if (await handle.query(ReverseSyncWorkflow.progress)).catch_ups:
                            break
                        await asyncio.sleep(0.1)
                await handle.cancel()
                with pytest.raises(WorkflowFailureError):
                    await handle.result()
    for writer in writers:
        writer.join()
    assert [writer.failure for writer in writers] == [None, None]
    assert engine.raise_fence(Side.TARGET, 1).outcome is Outcome.SUCCEEDED
    assert engine.drain(60).outcome is Outcome.SUCCEEDED
    pair.assert_equal()
    report = engine.verify()
    assert (report.outcome, report.exact) == (Outcome.SUCCEEDED, True)
    assert (report.missing, report.extra, report.different) == (0, 0, 0)
