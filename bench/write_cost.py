"""What an armed estate costs the product's writes on the target.

Changes when the cost is measured with other writes. pgbench sends single-statement
transactions; armed and disarmed runs take turns, and each pair gives one ratio.
"""

import re
import statistics
import subprocess
import tempfile
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bench.support.data import Population
from bench.support.options import Options
from bench.support.servers import Servers, servers
from bench.support.synchronising import synchronising
from bench.support.table import Row
from failback.lab.databases import DatabasePair
from failback.models.common import Side
from failback.reverse_sync.engine import ReverseSync

_CLIENTS = 4
_SECONDS = 4
_PAIRS = 5
_MOST = 0.15
_SCALE = 0.1
_TPS = re.compile(r"tps = ([0-9.]+)")


@dataclass
class _Costs:
    """Transactions a second of each kind of run, run by run."""

    servers: Servers
    pair: DatabasePair
    engine: ReverseSync
    rates: dict[str, list[float]] = field(default_factory=dict)

    def pgbench(self, name: str, *, seconds: int = _SECONDS) -> float:
        """Transactions a second of one run."""
        target = self.pair.servers.target
        dsn = conninfo_to_dict(self.pair.app_dsn(Side.TARGET))
        with as_file(files("bench.support").joinpath("sql", "writes.pgbench")) as script:
            copy = Path(self.folder) / "writes.pgbench"
            copy.write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
        done = subprocess.run(
            [
                *(target.programs / "pgbench", "--no-vacuum", "--protocol=prepared"),
                *("--file", copy, "--client", str(_CLIENTS), "--jobs", "2"),
                *("--time", str(seconds), "--host", str(dsn["host"]), "--port", str(dsn["port"])),
                *("--username", str(dsn["user"]), str(dsn["dbname"])),
            ],
            env={"PGPASSWORD": str(dsn["password"]), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        found = _TPS.search(done.stdout)
        if found is None or "number of failed transactions: 0 " not in done.stdout:
            raise RuntimeError(f"pgbench did not do what it should: {done.stdout} {done.stderr}")
        rate = float(found[1])
        if name:
            self.rates.setdefault(name, []).append(rate)
        return rate

    def __post_init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="failback-bench-")
        self.servers.opened.callback(self._temporary.cleanup)
        self.folder = self._temporary.name

    def cost(self, name: str) -> float:
        """The part of the throughput that is gone: median over pairs of runs."""
        pairs = zip(self.rates[name], self.rates["disarmed"], strict=True)
        return 1 - statistics.median(armed / plain for armed, plain in pairs)

    def text(self, name: str) -> str:
        """`6 120 transactions/s (5 900–6 300, 5 runs)`."""
        rates = self.rates[name]
        return (
            f"{statistics.median(rates):.0f} transactions/s "
            f"({min(rates):.0f}–{max(rates):.0f}, {len(rates)} runs)"
        )


def run(options: Options) -> list[Row]:
    """Measure, and return the table's rows."""
    with servers() as started:
        pair = started.databases("bench_cost", Population(_SCALE))
        costs = _Costs(started, pair, started.engine(pair))
        costs.pgbench("", seconds=2)
        for turn in range(_PAIRS):
            steps = (_disarmed, _armed) if turn % 2 == 0 else (_armed, _disarmed)
            for step in steps:
                step(costs)
            options.say(f"write cost: pair {turn + 1} of {_PAIRS}")
        note = (
            f"pgbench, {_CLIENTS} clients, prepared single-statement updates and inserts, commits"
            f" on disk, {_SECONDS} s a run; wal_level is logical in every run"
        )
        return [
            _row(costs, "armed", "fence and slot; the stream is read after the run", note),
            _row(
                costs,
                "synchronised",
                "and the continuous sync at work meanwhile",
                "decoding, reading, both servers and pgbench share this machine's cores here",
            ),
        ]


def _row(costs: _Costs, name: str, what: str, note: str) -> Row:
    cost = costs.cost(name)
    return Row(
        f"cost on target writes: {what}",
        f"disarmed: {costs.text('disarmed')}",
        costs.text(name),
        f"{cost * 100:.1f} % less",
        f"≤ {_MOST * 100:g} %",
        cost <= _MOST,
        note,
    )


def _disarmed(costs: _Costs) -> None:
    costs.servers.checkpoint()
    costs.pgbench("disarmed")


def _armed(costs: _Costs) -> None:
    _tidy(costs.pair)
    costs.engine.arm()
    try:
        costs.servers.checkpoint()
        costs.pgbench("armed")
        costs.engine.drain(120.0)
        costs.servers.checkpoint()
        with synchronising(costs.engine):
            costs.pgbench("synchronised")
        costs.engine.drain(120.0)
    finally:
        costs.engine.disarm()


def _tidy(pair: DatabasePair) -> None:
    """Every pair of runs begins with tables of the same size."""
    for side in Side:
        with psycopg.connect(pair.admin_dsn(side), autocommit=True) as session:
            session.execute("DELETE FROM ledger WHERE id >= 1000000000")
            session.execute("VACUUM ledger, events, orders")
