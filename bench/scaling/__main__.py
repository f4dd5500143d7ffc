"""Measures how the reverse sync grows, and prints the tables of docs/scaling.md.

    python -m bench.scaling [--only NAME] [--scale 0.1]

Each figure is the best of the rounds: the one that the machine disturbed least.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from unittest import mock

from psycopg import sql

from bench.scaling.estates import Tables, tables
from bench.support.measure import Samples, grouped, seconds
from bench.support.servers import Servers, servers
from failback.models.catch_up import CatchUpPlan
from failback.models.common import Outcome
from failback.reverse_sync import parallel_apply
from failback.reverse_sync.catch_up import CatchUp
from failback.reverse_sync.catch_up_plan import Sizes
from failback.reverse_sync.engine import ReverseSync

_DEADLINE_SECONDS = 3600.0
_CHANGED = 300_000


def hands(running: Servers, scale: float, rounds: int) -> None:
    """Changed keys by hands in one process."""
    keys = round(_CHANGED * scale)
    made = tables(running, "scaling_hands", 4, 4 * keys)
    _arm(made)
    rows = []
    for count in (1, 2, 3):
        samples = Samples()
        for _ in range(rounds):
            made.change(keys)
            running.checkpoint()
            with (
                _engine(made, parallel=count) as engine,
                # Otherwise no more hands than cores are taken.
                mock.patch.object(parallel_apply, "_cores", return_value=count),
            ):
                engine.warm()
                samples.time(partial(_drain, engine))
        rows.append((count, seconds(samples.least), seconds(samples.least / keys * 100_000)))
    _table(f"{grouped(keys)} changed keys by one process", ("hands", "drain", "per 100 000"), rows)


def workers(running: Servers, scale: float, rounds: int) -> None:
    """The same as a catch-up by worker processes."""
    keys = round(_CHANGED * scale)
    made = tables(running, "scaling_workers", 4, 6 * keys)
    _arm(made)
    rows = []
    for processes, at_once in ((1, 1), (1, 2), (2, 1), (2, 2)):
        best: tuple[float, ...] = ()
        for _ in range(rounds):
            made.change(keys)
            running.checkpoint()
            taken = _caught_up(made, processes, at_once, keys)
            best = taken if not best or sum(taken) < sum(best) else best
        total = sum(best)
        rows.append((processes, at_once, *map(seconds, best), seconds(total / keys * 100_000)))
    _table(
        f"{grouped(keys)} changed keys as a catch-up",
        ("processes", "shares each", "plan", "carry", "settle", "per 100 000"),
        rows,
    )


def many_tables(running: Servers, scale: float, rounds: int) -> None:
    """What a batch costs where there are many small tables."""
    del scale
    rows = []
    for count in (10, 100, 400):
        made = tables(running, f"scaling_tables_{count}", count, 100)
        _arm(made)
        with _engine(made) as engine:
            cold, idle, warm = Samples(), Samples(), Samples()
            cold.time(engine.warm)
            engine.run_batch()
            for _ in range(30):
                idle.time(engine.run_batch)
            for _ in range(5 * rounds):
                _touch(made, 10)
                warm.time(engine.run_batch)
            every = Samples()
            _touch(made, count)
            every.time(engine.run_batch)
            status = Samples()
            status.time(engine.status)
        rows.append((count, *(seconds(each.median) for each in (cold, idle, warm, every, status))))
    _table(
        "small tables, nothing or one row changed in each of some",
        ("tables", "first catalogues", "idle batch", "10 tables changed", "all changed", "status"),
        rows,
    )


def large_tables(running: Servers, scale: float, rounds: int) -> None:
    """The same changes in ever larger tables."""
    keys = round(20_000 * scale)
    rows = []
    for count in (250_000, 1_000_000, 4_000_000):
        made = tables(running, f"scaling_rows_{count}", 1, round(count * scale))
        _arm(made)
        samples = Samples()
        with _engine(made) as engine:
            engine.warm()
            for _ in range(2 * rounds):
                made.change(keys)
                samples.time(partial(_drain, engine))
        rows.append((grouped(made.rows), seconds(samples.least), seconds(samples.median)))
    _table(f"{grouped(keys)} changed keys of one table", ("rows", "drain, best", "median"), rows)


def memory(running: Servers, scale: float, rounds: int) -> None:
    """The most memory that the draining process had, by changes."""
    del rounds
    made = tables(running, "scaling_memory", 4, round(1_500_000 * scale))
    _arm(made)
    rows = []
    for changes in (10_000, 100_000, 1_000_000, 3_000_000):
        made.change(round(changes * scale))
        with _process(made, 4) as worker:
            began = time.perf_counter()
            _say(worker, "drain")
            peak = _heard(worker)
        rows.append(
            (grouped(round(changes * scale)), f"{peak} MiB", seconds(time.perf_counter() - began))
        )
    _table("memory of a process that drains", ("changed keys", "peak", "drain"), rows)


SLOPES: Mapping[str, Callable[[Servers, float, int], None]] = {
    "hands": hands,
    "workers": workers,
    "tables": many_tables,
    "rows": large_tables,
    "memory": memory,
}


def _arm(made: Tables) -> None:
    with _engine(made) as engine:
        report = engine.arm()
        if report.outcome is not Outcome.SUCCEEDED:
            raise RuntimeError(f"not armed: {report}")


@contextlib.contextmanager
def _engine(made: Tables, parallel: int = 4) -> Iterator[ReverseSync]:
    with contextlib.closing(ReverseSync(replace(made.settings, parallel=parallel))) as engine:
        yield engine


def _drain(engine: ReverseSync) -> None:
    report = engine.drain(_DEADLINE_SECONDS)
    if report.outcome is not Outcome.SUCCEEDED:
        raise RuntimeError(f"the drain ended {report.outcome}: {report.detail}")


def _touch(made: Tables, count: int) -> None:
    """One row in each of some tables, in one transaction."""
    with made.product() as product, product.transaction():
        for number in range(count):
            product.execute(
                sql.SQL("UPDATE {} SET version = version + 1 WHERE id = 1").format(
                    sql.Identifier(f"part_{number}")
                )
            )


def _caught_up(made: Tables, processes: int, at_once: int, keys: int) -> tuple[float, ...]:
    """Seconds of the plan, the shares and the settling."""
    sizes = Sizes(share_keys=max(1000, keys // 12), fewest_keys=1)
    plans: list[CatchUpPlan] = []
    planned, carried, settled = Samples(), Samples(), Samples()
    with (
        contextlib.closing(CatchUp(made.settings, sizes)) as catch_up,
        contextlib.ExitStack() as opened,
    ):
        running = [opened.enter_context(_process(made, at_once)) for _ in range(processes)]
        planned.time(lambda: plans.append(catch_up.plan_catch_up()))
        (plan,) = plans
        if not plan.run:
            raise RuntimeError(f"no catch-up: {plan.declined}")

        def carry() -> None:
            for number, worker in enumerate(running):
                dealt = [str(share.number) for share in plan.shares[number::processes]]
                _say(worker, " ".join((plan.run, *dealt)))
            for worker in running:
                _heard(worker)

        carried.time(carry)
        settled.time(lambda: catch_up.settle_catch_up(plan.run))
    with _engine(made) as engine:
        report = engine.drain(_DEADLINE_SECONDS)
        if report.outcome is not Outcome.SUCCEEDED or report.keys:
            raise RuntimeError(f"the catch-up left something: {report}")
    return planned.least, carried.least, settled.least


@contextlib.contextmanager
def _process(made: Tables, at_once: int) -> "Iterator[subprocess.Popen[str]]":
    settings = made.settings
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.scaling.worker"],
        env={
            **os.environ,
            "ESTATE": settings.estate,
            "SOURCE": settings.source_dsn,
            "TARGET": settings.target_dsn,
            "PARALLEL": str(at_once),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            if _heard(process) != "ready":
                raise RuntimeError("a worker did not begin")
            yield process
        finally:
            process.kill()


def _say(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def _heard(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError("a worker ended without a word")
    return line


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description="Measure slopes.")
    parser.add_argument("--scale", type=float, default=1.0, help="of rows and changes")
    parser.add_argument("--only", action="append", choices=list(SLOPES), help="may be repeated")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each figure")
    asked = parser.parse_args()
    for name in asked.only or SLOPES:
        with servers() as running:
            SLOPES[name](running, asked.scale, asked.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
