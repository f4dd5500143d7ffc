"""Compares both sides: cold, next to `reladiff` and a row-by-row script; then with differences.

Changes when verification is compared with something else.
"""

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from bench.support.data import SHAPES, Population, Session, TableShape, names
from bench.support.measure import Samples, alternate, grouped, ratio
from bench.support.options import Options
from bench.support.servers import Servers, servers
from bench.support.table import Row, faster, slower, unmeasured
from failback.lab.databases import DatabasePair
from failback.models.common import Outcome, Side
from failback.models.sync import VerifyReport
from failback.reverse_sync.engine import ReverseSync

DIFFERENCES = 200
_RELADIFF_SECONDS = 300.0
_TOUCHED_ROWS = 200
_LEFT_BEHIND = 3
_MOST_PASSES = 12


def run(options: Options) -> list[Row]:
    """Measure, and return the table's rows."""
    with servers() as started:
        population = Population(options.scale)
        bench = _Verifications(started, started.databases("bench_verify", population), options)
        bench.measure()
        return bench.rows(population.rows)


@dataclass
class _Verifications:
    """Both sides, fenced, and what was measured."""

    servers: Servers
    pair: DatabasePair
    options: Options
    ours: Samples = field(default_factory=Samples)
    plain: Samples = field(default_factory=Samples)
    other: Samples = field(default_factory=Samples)
    seeded: Samples = field(default_factory=Samples)
    other_said: dict[str, Any] = field(default_factory=dict)
    found: int = 0
    dirty: Samples = field(default_factory=Samples)
    last_cold: Samples = field(default_factory=Samples)
    parts: tuple[int, int] = (0, 0)
    """Chunks that were read at the fence, and all."""

    def __post_init__(self) -> None:
        self.engine: ReverseSync = self.servers.engine(self.pair)
        self.engine.arm()
        # While both sides are fenced the answer is exact, and no difference is looked at again.
        self.engine.raise_fence(Side.TARGET, 1.0)
        self.source: Session = self.servers.session(self.pair.admin_dsn(Side.SOURCE))
        self.target: Session = self.servers.session(self.pair.admin_dsn(Side.TARGET))

    def measure(self) -> None:
        """Everybody by turns; then our verification of 200 seeded differences."""
        works = [(self.ours, self._verify), (self.plain, self._row_by_row)]
        if importlib.util.find_spec("reladiff") is not None:
            works.append((self.other, self._reladiff))
        alternate(self.options.rounds, works)
        for _ in range(self.options.rounds):
            wanted = self._seed()
            report = self._verify_seeded()
            keys = {f"{table.table} {key}" for table in report.tables for key in table.keys}
            self.found = report.missing + report.extra + report.different
            if self.found != DIFFERENCES or not wanted <= keys:
                raise RuntimeError(
                    f"{self.found} of {DIFFERENCES} differences were found; not named: "
                    f"{sorted(wanted - keys)[:3]}, named: {sorted(keys)[:3]}"
                )
            self._heal()
            self._verify_timed()
        # The seeded rows stand in the source's log, written past failback: passes over the ledger
        # look at them, and leave that part of the log behind, as they do between batches.
        for _ in range(_LEFT_BEHIND):
            self.engine.verify_some(10.0)
        for turn in range(self.options.rounds):
            self._dirty(turn)
            self.last_cold.time(self._verify)

    def rows(self, population: int) -> list[Row]:
        """The table's rows."""
        work = f"verify {grouped(population)} rows, cold"
        if self.other.seconds:
            skipped = self.other_said.get("skipped") or {}
            note = (
                f"reladiff {self.other_said.get('version')} compared "
                f"{self.other_said.get('tables')} of {len(SHAPES)} tables"
                + "".join(f"; not {table}: {why}" for table, why in skipped.items())
            )
            against = faster(
                work,
                f"reladiff: {self.other.text()}",
                self.ours.text(),
                ratio(self.other, self._paired(self.other)),
                least=4,
                note=note,
            )
        else:
            missing = "reladiff is not installed: `uv sync --all-extras --group bench` brings it"
            against = unmeasured(work, "reladiff", "≥ 4 × faster", missing)
        return [
            against,
            faster(
                work,
                f"row by row in Python: {self.plain.text()}",
                self.ours.text(),
                ratio(self.plain, self._paired(self.plain)),
                least=7,
            ),
            slower(
                f"find every one of {DIFFERENCES} seeded differences",
                f"cold verify: {self._after().text()}",
                self.seeded.text(),
                1 / ratio(self._after(), self.seeded),
                most=2,
                note=f"{self.found} found, each with its key; seeded by SQL with triggers off",
            ),
            faster(
                f"verify at the fence, {self.parts[0]} of {self.parts[1]} chunks dirty",
                f"cold verify: {self.last_cold.text()}",
                self.dirty.text(),
                ratio(self.last_cold, self.dirty),
                least=20,
                note=f"{_TOUCHED_ROWS} rows side by side were updated in each of the largest "
                "tables, a hundredth of all chunks, after the engine was warmed: all of it is read "
                "inside the fence",
            ),
        ]

    def _paired(self, other: Samples) -> Samples:
        return Samples(self.ours.seconds[: len(other.seconds)])

    def _after(self) -> Samples:
        """The cold verifications that took turns with those of the differences."""
        return Samples(self.ours.seconds[self.options.rounds :])

    def _verify_seeded(self) -> VerifyReport:
        reports: list[VerifyReport] = []
        self.seeded.time(lambda: reports.append(self.engine.verify(cold=True)))
        return reports[0]

    def _verify_timed(self) -> None:
        self.ours.time(self._verify)

    def _verify(self) -> None:
        report = self.engine.verify(cold=True)
        if report.chunks_by_ledger:
            raise RuntimeError("a cold verification took chunks of the ledger for equal")
        if report.outcome is not Outcome.SUCCEEDED or not report.exact:
            raise RuntimeError(f"equal sides were found {report.outcome}: {report.detail}")

    def _dirty(self, turn: int) -> None:
        """Touch 1 % of the chunks, drain, fence, and verify them."""
        # What the continuous sync does between batches: everything is in the ledger.
        for _ in range(_MOST_PASSES):
            ledger = self.engine.verify_some(10.0)
            if not ledger.dirty:
                break
        touched = sorted(SHAPES, key=lambda shape: shape.rows, reverse=True)[
            : max(1, round(ledger.clean / 100))
        ]
        # As a rollback warms before its fence; but first, because it compares what little is dirty.
        self.engine.warm()
        self.engine.lift_fence(Side.TARGET)
        with psycopg.connect(self.pair.app_dsn(Side.TARGET), autocommit=True) as product:
            for shape in touched:
                key = names(shape.key)
                product.execute(
                    sql.SQL(
                        "UPDATE {} SET updated_at = clock_timestamp() WHERE ({}) IN (SELECT {}"
                        " FROM {} ORDER BY {} OFFSET (SELECT count(*) / {} FROM {}) LIMIT {})"
                    ).format(
                        *(shape.identifier, key, key, shape.identifier, key),
                        *(sql.Literal(turn + 2), shape.identifier, sql.Literal(_TOUCHED_ROWS)),
                    )
                )
        self.engine.drain(60.0)
        self.engine.raise_fence(Side.TARGET, 1.0)
        self.engine.drain(60.0)
        reports: list[VerifyReport] = []
        self.dirty.time(lambda: reports.append(self.engine.verify()))
        (report,) = reports
        if report.outcome is not Outcome.SUCCEEDED or not report.exact:
            raise RuntimeError(f"equal sides were found {report.outcome}: {report.detail}")
        self.parts = (report.chunks_verified, report.chunks_verified + report.chunks_by_ledger)
        if self.parts[0] < len(touched):
            raise RuntimeError(f"{self.parts[0]} chunks were dirty, of {len(touched)} touched")

    def _row_by_row(self) -> None:
        """Both sides in the order of their keys, a row at a time, as scripts compare."""
        for shape in SHAPES:
            query = sql.SQL("SELECT {} FROM {} ORDER BY {}").format(
                names(shape.columns), shape.identifier, names(shape.key)
            )
            with (
                self.source.transaction(),
                self.target.transaction(),
                self.source.cursor("compared") as ours,
                self.target.cursor("compared") as theirs,
            ):
                for cursor in (ours, theirs):
                    cursor.itersize = 5000
                    cursor.execute(query)
                if any(one != other for one, other in zip(ours, theirs, strict=True)):
                    raise RuntimeError(f"{shape.name} differs")

    def _reladiff(self) -> None:
        """`reladiff` in a process of its own, which prints what it found as JSON."""
        sides = [self.pair.admin_dsn(side) for side in Side]
        done = subprocess.run(
            [sys.executable, "-m", "bench.support.reladiff_run", *sides],
            capture_output=True,
            text=True,
            check=False,
            timeout=_RELADIFF_SECONDS,
        )
        if done.returncode != 0:
            raise RuntimeError(f"reladiff failed: {done.stderr[-2000:]}")
        self.other_said = json.loads(done.stdout)
        if self.other_said["differences"]:
            raise RuntimeError(f"reladiff found differences between equal sides: {done.stdout}")

    def _seed(self) -> set[str]:
        """Change, delete and add rows on the source behind the fence; their names as we say."""
        wanted: set[str] = set()
        per_table, rest = divmod(DIFFERENCES, len(SHAPES))
        with self._unguarded() as session:
            for place, shape in enumerate(SHAPES):
                keys = self._far_apart(shape, per_table + (place < rest))
                for number, key in enumerate(keys):
                    kind = ("different", "missing")[number % 2]
                    self._spoil(session, shape.name, shape.key, key, kind)
                    told = ", ".join(f"{n}={v}" for n, v in zip(shape.key, key, strict=True))
                    wanted.add(f"public.{shape.name} {kind} {told}")
        return wanted

    def _far_apart(self, shape: TableShape, count: int) -> list[tuple[str, ...]]:
        """So many keys, as text, spread evenly over the table."""
        query = sql.SQL(
            "SELECT {} FROM (SELECT {}, row_number() OVER (ORDER BY {}) AS place,"
            " count(*) OVER () / {} AS step FROM {}) AS t WHERE place % step = 0 LIMIT {}"
        ).format(
            sql.SQL(", ").join(
                sql.SQL("{}::text").format(sql.Identifier(column)) for column in shape.key
            ),
            names(shape.key),
            names(shape.key),
            sql.Literal(count + 1),
            shape.identifier,
            sql.Literal(count),
        )
        return self.target.execute(query).fetchall()

    def _spoil(
        self, session: Session, table: str, key: tuple[str, ...], values: Any, kind: str
    ) -> None:
        """One difference; the row is kept aside so that it can be put back."""
        where = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier(column), sql.Literal(value))
            for column, value in zip(key, values, strict=True)
        )
        name = sql.Identifier("public", table)
        aside = sql.Identifier("bench", f"aside_{table}")
        session.execute(
            sql.SQL("CREATE TABLE IF NOT EXISTS {} AS SELECT * FROM {} WITH NO DATA").format(
                aside, name
            )
        )
        session.execute(
            sql.SQL("INSERT INTO {} SELECT * FROM {} WHERE {}").format(aside, name, where)
        )
        if kind == "missing":
            session.execute(sql.SQL("DELETE FROM {} WHERE {}").format(name, where))
            return
        session.execute(
            sql.SQL(
                "UPDATE {} SET updated_at = updated_at + interval '1 microsecond' WHERE {}"
            ).format(name, where)
        )

    def _heal(self) -> None:
        """Put the rows back as they were."""
        with self._unguarded() as session:
            for shape in SHAPES:
                aside = sql.Identifier("bench", f"aside_{shape.name}")
                session.execute(
                    sql.SQL("DELETE FROM {} AS t USING {} AS a WHERE ({}) = ({})").format(
                        shape.identifier, aside, names(shape.key, "t"), names(shape.key, "a")
                    )
                )
                session.execute(
                    sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(
                        shape.identifier, names(shape.columns), names(shape.columns), aside
                    )
                )
                session.execute(sql.SQL("TRUNCATE {}").format(aside))

    def _unguarded(self) -> Session:
        """A superuser's session that passes triggers and the fence, as an accident would."""
        session: Session = psycopg.connect(self.pair.admin_dsn(Side.SOURCE))
        session.execute("SET session_replication_role = replica")
        return session
