"""Fences the target under writes and drains what is left, next to table locks.

Changes when what is done inside the fence does.
"""

import random
import time

from psycopg import sql

from bench.support.data import SHAPES, Population, Session
from bench.support.measure import Samples, seconds
from bench.support.options import Options
from bench.support.references import LogicalReplication
from bench.support.servers import Servers, owner, servers
from bench.support.synchronising import synchronising
from bench.support.table import Row, times
from bench.support.writers import TABLE, Writers, writing
from failback.models.common import Outcome, Side

WRITES_PER_SECOND = 500
_SCALE = 0.1
_MOST_P50, _MOST_P95 = 0.1, 0.5
_REFERENCES = 10


def run(options: Options) -> list[Row]:
    """Measure, and return the table's rows."""
    with servers() as started:
        return _Fences(started, options).run()


class _Fences:
    def __init__(self, started: Servers, options: Options) -> None:
        self.options = options
        self.pair = started.databases("bench_fence", Population(min(_SCALE, options.scale)))
        for side in Side:
            with owner(self.pair, side) as session:
                session.execute(TABLE)
        self.replica = started.session(started.copy(self.pair, "reference_fence"))
        self.target = started.session(self.pair.admin_dsn(Side.TARGET))
        self.locker = started.session(self.pair.admin_dsn(Side.TARGET))
        self.source = started.session(self.pair.admin_dsn(Side.SOURCE))
        self.replication = LogicalReplication(
            self.target,
            self.replica,
            self.pair.admin_dsn(Side.TARGET),
            "reference_fence",
            further=("journal",),
        )
        started.opened.callback(self.replication.remove)
        self.engine = started.engine(self.pair)
        self.ours, self.fences, self.drains, self.locks = (Samples() for _ in range(4))
        self.chance = random.Random(1)

    def run(self) -> list[Row]:
        """Half of the references before ours, half after: the machine's mood is shared."""
        self.engine.arm()
        with writing(self.pair.app_dsn(Side.TARGET), WRITES_PER_SECOND) as writers:
            writers.until(100)
            self._lock_tables(writers, _REFERENCES // 2)
            self._fence(writers)
            self._lock_tables(writers, _REFERENCES // 2)
            journal = writers.journal()
        p50, p95 = self.ours.median, self.ours.quantile(0.95)
        note = (
            f"{len(self.ours.seconds)} times; {journal.acknowledged} writes acknowledged, "
            f"{journal.refused} refused while fenced, after each drain every acknowledged one was "
            f"on the source; the fence {seconds(self.fences.median)}, the drain "
            f"{seconds(self.drains.median)} p50"
        )
        work = f"fence and final drain, warm, {WRITES_PER_SECOND} writes/s"
        reference = "table locks and Postgres's own logical replication"
        return [
            Row(
                f"{work}, p50",
                f"{reference}: {seconds(self.locks.median)}",
                seconds(p50),
                times(self.locks.median / p50),
                f"≤ {seconds(_MOST_P50)}",
                p50 <= _MOST_P50,
                note,
            ),
            Row(
                f"{work}, p95",
                f"{reference}: {seconds(self.locks.quantile(0.95))}",
                seconds(p95),
                times(self.locks.quantile(0.95) / p95),
                f"≤ {seconds(_MOST_P95)}",
                p95 <= _MOST_P95,
            ),
        ]

    def _fence(self, writers: Writers) -> None:
        with synchronising(self.engine):
            for turn in range(self.options.repetitions):
                time.sleep(0.3 + self.chance.random())
                self.engine.warm()
                self.engine.drain(10.0)
                self._once(writers)
                self.options.say(f"fence: {turn + 1}: {seconds(self.ours.seconds[-1])}")

    def _once(self, writers: Writers) -> None:
        began = time.perf_counter()
        fence = self.engine.raise_fence(Side.TARGET, 1.0)
        fenced = time.perf_counter()
        drain = self.engine.drain(2.0)
        ended = time.perf_counter()
        self.ours.seconds.append(ended - began)
        self.fences.seconds.append(fenced - began)
        self.drains.seconds.append(ended - fenced)
        if (fence.outcome, drain.outcome) != (Outcome.SUCCEEDED, Outcome.SUCCEEDED):
            raise RuntimeError(f"fence {fence.detail} {fence.outcome}, drain {drain.outcome}")
        _require_all(writers, self.source)
        self.engine.lift_fence(Side.TARGET)

    def _lock_tables(self, writers: Writers, times: int) -> None:
        self.replication.enable()
        self.replication.wait(self.replication.mark())
        tables = [shape.identifier for shape in SHAPES] + [sql.Identifier("public", "journal")]
        lock = sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(sql.SQL(", ").join(tables))
        for _ in range(times):
            time.sleep(0.3 + self.chance.random() / 2)
            began = time.perf_counter()
            with self.locker.transaction():
                self.locker.execute(lock)
                self.replication.wait(self.replication.mark())
                self.locks.seconds.append(time.perf_counter() - began)
                _require_all(writers, self.replica)
        self.replication.disable()


def _require_all(writers: Writers, receiver: Session) -> None:
    """Every write that was acknowledged by now is there; a later count of a row is as good."""
    journal = writers.journal()
    there = dict(receiver.execute("SELECT id, count FROM public.journal").fetchall())
    lost = [row for row, count in journal.counts.items() if there.get(row, 0) < count]
    if lost or not journal.counts:
        raise RuntimeError(f"{len(lost)} of {len(journal.counts)} acknowledged rows are lost")
