"""What Temporal costs: the activities of a level 1 in its workflow, and called by a script.

Changes when another workflow is measured. Everything outside is made of fakes, so that both
ways do the same work, and only the orchestration differs.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.client import Interceptor as ClientInterceptor
from temporalio.testing import ActivityEnvironment
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from bench.support.measure import Samples, seconds
from bench.support.options import Options
from bench.support.table import Row
from failback.models.common import Side
from tests.support.fake_estate import FakeEstate, fake_estate
from tests.support.servers import temporal_in
from workers.composition import activities_of, build_worker

_RUNS = 8
_MOST_MS = 25.0
_BESIDE = frozenset({"measure_availability"})
"""Runs beside the others until the workflow ends: no step of its own."""


@dataclass
class _Recorder(ClientInterceptor, Interceptor):
    """Notes which activities a worker ran, with what they were given."""

    calls: list[tuple[str, Sequence[Any]]] = field(default_factory=list)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the library's name
        """See `Interceptor.intercept_activity`."""
        return _Recording(next, self.calls)


class _Recording(ActivityInboundInterceptor):
    def __init__(
        self, following: ActivityInboundInterceptor, calls: list[tuple[str, Sequence[Any]]]
    ) -> None:
        super().__init__(following)
        self._calls = calls

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the library's name
        """See `ActivityInboundInterceptor.execute_activity`."""
        self._calls.append((input.fn.__name__, input.args))
        return await super().execute_activity(input)


def run(options: Options) -> list[Row]:
    """Measure, and return the table's row."""
    with tempfile.TemporaryDirectory(prefix="failback-bench-") as folder:
        Path(folder).chmod(0o755)
        with temporal_in(Path(folder)) as server:
            return asyncio.run(_measured(server.address, options))


async def _measured(address: str, options: Options) -> list[Row]:
    workflow, script, apart, whole = Samples(), Samples(), Samples(), Samples()
    steps = 0
    for turn in range(_RUNS + 1):
        recorder = _Recorder()
        async with fake_estate(f"bench-w-{turn}", address, worker=False) as fakes:
            took, total = await _by_workflow(fakes, recorder)
        calls = [call for call in recorder.calls if call[0] not in _BESIDE]
        async with fake_estate(f"bench-s-{turn}", address, worker=False) as fakes:
            plain = await _by_script(fakes, calls)
        if turn == 0:
            continue  # the first one loads what the others find loaded
        steps = len(calls)
        workflow.seconds.append(took)
        script.seconds.append(plain)
        whole.seconds.append(total)
        apart.seconds.append((took - plain) / steps)
    options.say(f"orchestration: {steps} activities a run: {[name for name, _ in calls]}")
    more = apart.median * 1000
    return [
        Row(
            f"orchestration of a level 1, {steps} activities",
            f"the same activities called by a plain script: {script.text()}",
            f"by the workflow: {workflow.text()}",
            f"{more:.1f} ms more per step",
            f"≤ {_MOST_MS:g} ms more per step",
            more <= _MOST_MS,
            f"{len(apart.seconds)} pairs, from {seconds(apart.least)} to "
            f"{seconds(max(apart.seconds))} a step; from the start of the first step to the end of "
            f"the last, on a dev server; {whole.text()} from asking for it to having its result",
        )
    ]


async def _by_workflow(fakes: FakeEstate, recorder: _Recorder) -> tuple[float, float]:
    config = fakes.client.config()
    config["interceptors"] = [*config["interceptors"], recorder]
    client = Client(**config)
    fakes.engine.write(Side.TARGET, "a", "1")
    async with build_worker(client, fakes.estate.temporal.task_queue, fakes.ports, fakes.threads):
        began = time.perf_counter()
        await fakes.rollbacks.start(1, "benchmark", "alice")
        result = await fakes.rollbacks.result(None)
        whole = time.perf_counter() - began
    if not result.success:
        raise RuntimeError(f"the rollback failed: {result.error}")
    ends = [step.ended_at for step in result.steps if step.ended_at is not None]
    began_at = min(step.started_at for step in result.steps)
    return (max(ends) - began_at).total_seconds(), whole


async def _by_script(fakes: FakeEstate, calls: Sequence[tuple[str, Sequence[Any]]]) -> float:
    fakes.engine.write(Side.TARGET, "a", "1")
    known = {each.__name__: each for each in activities_of(fakes.ports)}
    began = time.perf_counter()
    for name, arguments in calls:
        environment = ActivityEnvironment()
        activity = known[name]
        if asyncio.iscoroutinefunction(activity):
            await environment.run(activity, *arguments)
        else:
            await asyncio.to_thread(environment.run, activity, *arguments)
    return time.perf_counter() - began
