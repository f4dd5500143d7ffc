"""Drains a backlog of changed keys, next to four other ways to carry the same rows.

Changes when the drain is compared with something else.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from bench.support import data
from bench.support.data import Population, Session, TableChanges
from bench.support.measure import Samples, grouped, ratio, seconds
from bench.support.options import Options
from bench.support.references import (
    LogicalReplication,
    Losses,
    RawCopy,
    difference,
    pipelined,
    row_by_row,
)
from bench.support.servers import Servers, servers
from bench.support.table import Row, faster, slower
from failback.lab.databases import DatabasePair
from failback.models.common import Outcome, Side
from failback.reverse_sync.engine import ReverseSync

KEYS = 200_000
PER_KEY = 20
PER_KEY_SHARE = 0.25
"""A quarter of the keys is changed 20 times each: a million changes."""
_DEADLINE_SECONDS = 600.0


def run(options: Options) -> list[Row]:
    """Measure, and return the table's rows."""
    with servers() as started:
        bench = _Drains(started, Population(options.scale), options)
        bench.prepare()
        for turn in range(options.rounds):
            bench.once(turn)
        bench.many_changes_a_key()
        return bench.rows()


@dataclass
class _Drains:
    """The estate, the references' own copies of the source, and what was measured."""

    servers: Servers
    population: Population
    options: Options
    ours: Samples = field(default_factory=Samples)
    polling: Samples = field(default_factory=Samples)
    pipeline: Samples = field(default_factory=Samples)
    logical: Samples = field(default_factory=Samples)
    floor: Samples = field(default_factory=Samples)
    ours_many: Samples = field(default_factory=Samples)
    logical_many: Samples = field(default_factory=Samples)
    lost: dict[str, str] = field(default_factory=dict)
    losses: dict[str, Losses] = field(default_factory=dict)
    first_ours: float = 0.0
    changes_many: int = 0

    def prepare(self) -> None:
        """Load both sides, copy the source for each reference, arm."""
        say = self.options.say
        say(f"drain: loading {self.population.rows} rows on both sides")
        self.pair: DatabasePair = self.servers.databases("bench_drain", self.population)
        dsns = {
            name: self.servers.copy(self.pair, f"reference_{name}")
            for name in ("polling", "pipeline", "logical", "floor")
        }
        self.receivers = {name: self.servers.session(dsn) for name, dsn in dsns.items()}
        self.target: Session = self.servers.session(self.pair.admin_dsn(Side.TARGET))
        self.source: Session = self.servers.session(self.pair.admin_dsn(Side.SOURCE))
        self.replication = LogicalReplication(
            self.target,
            self.receivers["logical"],
            self.pair.admin_dsn(Side.TARGET),
            "reference_logical",
        )
        self.servers.opened.callback(self.replication.remove)
        self.raw = RawCopy(self.target, self.receivers["floor"])
        self.engine: ReverseSync = self.servers.engine(self.pair)
        self.engine.arm()

    @property
    def keys(self) -> int:
        """Keys to be changed."""
        return max(200, round(KEYS * self.options.scale))

    def once(self, turn: int) -> None:
        """One round: the changes, then everybody by turns on a receiver of its own."""
        say = self.options.say
        self._tidy()
        since = self._now()
        picked = self._change(self.keys, version=100 * (turn + 1))
        mark = self.replication.mark()
        works: list[tuple[str, Callable[[], None]]] = [
            ("ours", lambda: self._drain(self.ours)),
            ("pipeline", lambda: self._pipelined(picked)),
            ("logical", lambda: self._replicated(self.logical, mark)),
            ("floor", lambda: self._floor(picked)),
        ]
        if turn == 0:
            works.append(("polling", lambda: self._polled(since)))
        for name, work in works if turn % 2 == 0 else reversed(works):
            self.servers.checkpoint()
            work()
            say(f"drain: round {turn + 1}: {name} {seconds(self._of(name).seconds[-1])}")
            if name == "floor":
                continue
            receiver = self.source if name == "ours" else self.receivers[name]
            lost = difference(self.target, receiver, picked)
            if name in ("ours", "logical") and lost:
                raise RuntimeError(f"{name} lost rows: {lost}")
            if lost:
                self.lost[name] = f"{lost}, of {self.keys} keys ({self.losses[name]})"
        if turn == 0:
            self.first_ours = self.ours.seconds[0]

    def _tidy(self) -> None:
        """No table carries what an earlier round left dead in it, and no slot keeps its log."""
        # As every few seconds while a target is live.
        self.engine.run_batch()
        for session in (self.source, self.target, *self.receivers.values()):
            session.execute("VACUUM ANALYZE")

    def _of(self, name: str) -> Samples:
        samples: Samples = getattr(self, name)
        return samples

    def many_changes_a_key(self) -> None:
        """Each key changed 20 times: ours carries it once."""
        self._tidy()
        keys = round(self.keys * PER_KEY_SHARE)
        picked = self._change(keys, version=50_000, per_key=PER_KEY)
        mark = self.replication.mark()
        self.servers.checkpoint()
        self._drain(self.ours_many)
        self.servers.checkpoint()
        self._replicated(self.logical_many, mark)
        lost = difference(self.target, self.source, picked)
        if lost:
            raise RuntimeError(f"ours lost rows: {lost}")

    def rows(self) -> list[Row]:
        """The table's rows."""
        work = f"drain {grouped(self.keys)} changed keys of {grouped(self.population.rows)} rows"
        ours = self.ours.text()
        return [
            faster(
                work,
                f"row by row on updated_at, a commit each 1000: {self.polling.text()}",
                ours,
                self.polling.median / self.first_ours,
                least=8,
                note=f"the reference lost {self.lost.get('polling', 'nothing')}; ours lost nothing",
            ),
            faster(
                work,
                f"psycopg pipeline upserts, keys given: {self.pipeline.text()}",
                ours,
                ratio(self.pipeline, self.ours),
                least=2.5,
                note=f"the reference lost {self.lost.get('pipeline', 'nothing')}",
            ),
            faster(
                work,
                f"Postgres's own logical replication apply: {self.logical.text()}",
                ours,
                ratio(self.logical, self.ours),
                least=1.0,
                note="measured from ENABLE to the arrival of the last change",
            ),
            faster(
                f"the same at {PER_KEY} changes a key "
                f"({grouped(round(self.keys * PER_KEY_SHARE))} keys, "
                f"{grouped(self.changes_many)} changes)",
                f"Postgres's own logical replication apply: {self.logical_many.text()}",
                self.ours_many.text(),
                ratio(self.logical_many, self.ours_many),
                least=8,
            ),
            slower(
                work,
                f"raw binary COPY of those rows into unlogged tables: {self.floor.text()}",
                ours,
                1 / ratio(self.floor, self.ours),
                most=5,
                note="rows set apart beforehand, no indexes, no look-up, one transaction",
            ),
        ]

    def _change(self, keys: int, version: int, per_key: int = 1) -> list[TableChanges]:
        picked = self.population.pick(keys)
        with psycopg.connect(self.pair.app_dsn(Side.TARGET), autocommit=True) as product:
            product.execute("SET synchronous_commit = off")
            began = time.monotonic()
            made = data.change(product, picked, version, per_key)
        if per_key > 1:
            self.changes_many = made
        self.options.say(f"drain: {made} changes made in {seconds(time.monotonic() - began)}")
        self.raw.prepare(picked)
        for session in (self.target,):
            session.execute("VACUUM (ANALYZE)")
        return picked

    def _drain(self, samples: Samples) -> None:
        self.engine.warm()
        reports = []
        samples.time(lambda: reports.append(self.engine.drain(_DEADLINE_SECONDS)))
        (report,) = reports
        if report.outcome is not Outcome.SUCCEEDED:
            raise RuntimeError(f"the drain ended {report.outcome}: {report.detail}")

    def _polled(self, since: str) -> None:
        receiver = self.receivers["polling"]
        self.polling.time(lambda: self._note("polling", row_by_row(self.target, receiver, since)))

    def _pipelined(self, picked: list[TableChanges]) -> None:
        receiver = self.receivers["pipeline"]
        self.pipeline.time(lambda: self._note("pipeline", pipelined(self.target, receiver, picked)))

    def _note(self, name: str, losses: Losses) -> None:
        self.losses[name] = losses

    def _replicated(self, samples: Samples, mark: int) -> None:
        def apply() -> None:
            self.replication.enable()
            self.replication.wait(mark)

        samples.time(apply)
        self.replication.disable()

    def _floor(self, picked: list[TableChanges]) -> None:
        del picked
        self.floor.time(self.raw.run)

    def _now(self) -> str:
        row = self.target.execute("SELECT clock_timestamp()::text").fetchone()
        return str(row[0]) if row else ""
