"""What an armed estate costs the product's writes on the target.

Changes when the cost is measured with other writes. pgbench sends single-statement
transactions to a target that is armed and to one that never was, each a server of its own, in
short runs by turns, and each round gives one ratio: what else the machine does hits all alike.
"""

import re
import statistics
import subprocess
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from bench.support.data import Population
from bench.support.options import Options
from bench.support.servers import servers
from bench.support.synchronising import synchronising
from bench.support.table import Row
from failback.lab.databases import DatabasePair
from failback.models.common import Side
from failback.reverse_sync.engine import ReverseSync

_CLIENTS = 4
_SECONDS = 2
_ROUNDS = 10
_MOST = 0.15
_SCALE = 0.1
_TPS = re.compile(r"tps = ([0-9.]+)")


@dataclass
class _Costs:
    """Transactions a second of each kind of run, round by round."""

    armed: DatabasePair
    plain: DatabasePair
    engine: ReverseSync
    script: Path
    rates: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, turn: int) -> None:
        """One run of each kind, in another order each time."""
        works = [("disarmed", self.plain), ("armed", self.armed), ("synchronised", self.armed)]
        for name, pair in works[turn % 3 :] + works[: turn % 3]:
            if name == "armed":
                # What is still to be carried over is no part of this run.
                self.engine.drain(120.0)
            with synchronising(self.engine) if name == "synchronised" else nullcontext():
                rate = self.pgbench(pair, _SECONDS)
            self.rates.setdefault(name, []).append(rate)

    def pgbench(self, pair: DatabasePair, seconds: int) -> float:
        """Transactions a second of one run on a pair's target."""
        dsn = conninfo_to_dict(pair.app_dsn(Side.TARGET))
        done = subprocess.run(
            [
                *(pair.servers.target.programs / "pgbench", "--no-vacuum", "--protocol=prepared"),
                *("--file", self.script, "--client", str(_CLIENTS), "--jobs", "2"),
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
        return float(found[1])

    def cost(self, name: str) -> float:
        """The part of the throughput that is gone: median over the rounds."""
        pairs = zip(self.rates[name], self.rates["disarmed"], strict=True)
        return 1 - statistics.median(armed / plain for armed, plain in pairs)

    def text(self, name: str) -> str:
        """`6120 transactions/s (5900–6300, 10 runs)`."""
        rates = self.rates[name]
        return (
            f"{statistics.median(rates):.0f} transactions/s "
            f"({min(rates):.0f}–{max(rates):.0f}, {len(rates)} runs)"
        )


def run(options: Options) -> list[Row]:
    """Measure, and return the table's rows."""
    with servers() as one, servers() as other, tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "writes.pgbench"
        source = files("bench.support").joinpath("sql", "writes.pgbench")
        script.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
        armed = one.databases("bench_cost", Population(_SCALE))
        plain = other.databases("bench_cost", Population(_SCALE))
        costs = _Costs(armed, plain, one.engine(armed), script)
        costs.engine.arm()
        for pair in (armed, plain):
            costs.pgbench(pair, 2)
        for turn in range(_ROUNDS):
            costs.measure(turn)
        options.say(f"write cost: {costs.rates}")
        note = (
            f"pgbench, {_CLIENTS} clients, prepared single-statement updates and inserts, commits"
            f" on disk, {_SECONDS} s a run; wal_level is logical in every run"
        )
        return [
            _row(costs, "armed", "fence and slot; the stream is read after the run", note),
            _row(
                costs,
                "synchronised",
                "fence and slot, and the continuous sync at work meanwhile",
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
