"""Finds the rows that two snapshots do not share, by digests of ranges and buckets of keys.

Changes when work is divided among sessions in another way. A table is parted into ranges of
keys, each hashed by one query a side that groups rows into buckets; only the rows of buckets
that differ are fetched, as keys and hashes.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from failback.models.common import Side
from failback.reverse_sync.digests import Comparison, Digest, Key, Range, RowHash
from failback.reverse_sync.sessions import Snapshot

# About half a second of hashing at 60 to 100 MB a second.
CHUNK_BYTES = 32 * 2**20
_SAMPLED_PAGES = 20
_PAGE = 8192
_ROWS_PER_BUCKET = 64
_MOST_BUCKETS = 4096
_ROWS_AT_A_TIME = 200_000
_KEPT = 1000
_TICK_SECONDS = 1.0


@dataclass(frozen=True)
class Difference:
    """A row that the sides do not share; None where a side has no row with this key."""

    key: Key
    source: RowHash | None
    target: RowHash | None

    @property
    def kind(self) -> str:
        """`missing` on the source, `extra` there, or `different`."""
        if self.source is None:
            return "missing"
        return "extra" if self.target is None else "different"


@dataclass
class Findings:
    """What was found about one table."""

    comparison: Comparison
    digests: dict[Side, Digest] = field(default_factory=lambda: {side: Digest() for side in Side})
    differences: list[Difference] = field(default_factory=list)
    """The first of them, up to a bound."""
    counts: dict[str, int] = field(
        default_factory=lambda: {"missing": 0, "extra": 0, "different": 0}
    )
    """All of them, by kind."""
    seconds: float = 0.0
    waiting: int = 0

    @property
    def total(self) -> int:
        """Rows that the sides do not share."""
        return sum(self.counts.values())

    def add(self, difference: Difference) -> None:
        """Count a difference, and keep it while there are few."""
        self.counts[difference.kind] += 1
        if len(self.differences) < _KEPT:
            self.differences.append(difference)


@dataclass(frozen=True)
class _Pair:
    """One query that is put to both sides, and what to do with both answers."""

    findings: Findings
    query: sql.Composed
    then: Callable[[dict[Side, list[Any]]], Iterator["_Pair"]]


class Comparer:
    """Compares tables between two snapshots with the sessions that these have.

    Args:
        snapshots: both sides.
        executor: runs one query a thread; more threads than sessions wait for one.
    """

    def __init__(self, snapshots: Mapping[Side, Snapshot], executor: Executor) -> None:
        self._snapshots = snapshots
        self._executor = executor
        self._running: dict[Future[tuple[list[Any], float]], tuple[_Pair, Side]] = {}
        self._answers: dict[int, dict[Side, list[Any]]] = {}
        self._findings: list[Findings] = []

    def start(self, comparisons: Sequence[tuple[Comparison, int]]) -> None:
        """Put every table's first queries to both sides, those of large tables first.

        Args:
            comparisons: the tables, each with its bytes on the larger side.
        """
        self._findings = [Findings(comparison) for comparison, _ in comparisons]
        sizes = [size for _, size in comparisons]
        for place in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
            for pair in self._chunks(self._findings[place], sizes[place]):
                self._submit(pair)

    def finish(
        self, finished: Callable[[Findings], None], tick: Callable[[], None]
    ) -> list[Findings]:
        """Wait for all answers; returns what was found, in the order of the tables.

        Args:
            finished: called as each table's last answer is in.
            tick: called about every second, also while long queries run.
        """
        while self._running:
            done, _ = wait(self._running, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                self._answered(future, finished)
            tick()
        return self._findings

    def _submit(self, pair: _Pair) -> None:
        pair.findings.waiting += 1
        self._answers[id(pair)] = {}
        for side in Side:
            future = self._executor.submit(self._run, side, pair.query)
            self._running[future] = pair, side

    def _run(self, side: Side, query: sql.Composed) -> tuple[list[Any], float]:
        with self._snapshots[side].session() as session:
            started = time.monotonic()
            rows = session.execute(query).fetchall()
            return rows, time.monotonic() - started

    def _answered(
        self,
        future: Future[tuple[list[Any], float]],
        finished: Callable[[Findings], None],
    ) -> None:
        pair, side = self._running.pop(future)
        rows, seconds = future.result()
        pair.findings.seconds += seconds
        answers = self._answers[id(pair)]
        answers[side] = rows
        if len(answers) < len(Side):
            return
        del self._answers[id(pair)]
        for following in pair.then(answers):
            self._submit(following)
        pair.findings.waiting -= 1
        if pair.findings.waiting == 0:
            finished(pair.findings)

    def _chunks(self, findings: Findings, size: int) -> Iterator[_Pair]:
        """A table's ranges, each as one query to both sides."""
        comparison = findings.comparison
        parts = math.ceil(size / CHUNK_BYTES) if comparison.ordered else 1
        bounds: list[Key] = []
        if parts > 1:
            percent = min(100.0, 100.0 * parts * _SAMPLED_PAGES * _PAGE / size)
            with self._snapshots[Side.TARGET].session() as session:
                bounds = session.execute(comparison.bounds(parts, percent)).fetchall()
        buckets = _buckets(size // max(1, parts)) if comparison.table.key else 1
        limits = [None, *bounds, None]
        for after, upto in itertools.pairwise(limits):
            within = Range(after, upto)
            yield _Pair(
                findings,
                comparison.chunk(within, buckets),
                lambda answers, within=within: self._digested(  # type: ignore[misc]
                    findings, within, buckets, answers
                ),
            )

    def _digested(
        self, findings: Findings, within: Range, buckets: int, answers: dict[Side, list[Any]]
    ) -> Iterator[_Pair]:
        """Add a range's digests up; where buckets differ, ask for their rows."""
        by_bucket = {
            side: {row[0]: Digest(row[1], int(row[2]), int(row[3])) for row in rows}
            for side, rows in answers.items()
        }
        for side, digests in by_bucket.items():
            findings.digests[side] = sum(digests.values(), findings.digests[side])
        if not findings.comparison.table.key:
            return
        source, target = by_bucket[Side.SOURCE], by_bucket[Side.TARGET]
        group: list[int] = []
        rows = 0
        for bucket in sorted(source.keys() | target.keys()):
            ours, theirs = source.get(bucket, Digest()), target.get(bucket, Digest())
            if ours == theirs:
                continue
            group.append(bucket)
            rows += max(ours.rows, theirs.rows)
            if rows >= _ROWS_AT_A_TIME:
                yield self._rows(findings, within, buckets, group)
                group, rows = [], 0
        if group:
            yield self._rows(findings, within, buckets, group)

    def _rows(
        self, findings: Findings, within: Range, buckets: int, wanted: Sequence[int]
    ) -> _Pair:
        def compare(answers: dict[Side, list[Any]]) -> Iterator[_Pair]:
            for difference in differing(answers):
                findings.add(difference)
            return iter(())

        return _Pair(findings, findings.comparison.rows(within, buckets, wanted), compare)


def differing(answers: Mapping[Side, Sequence[Any]]) -> Iterator[Difference]:
    """The rows that two answers of (key, hash, hash) do not share, in the order of their keys."""
    source, target = (
        {tuple(row[0]): (row[1], row[2]) for row in answers[side]}
        for side in (Side.SOURCE, Side.TARGET)
    )
    for key in sorted(source.keys() | target.keys()):
        if source.get(key) != target.get(key):
            yield Difference(key, source.get(key), target.get(key))


def _buckets(size: int) -> int:
    """A power of two, so that a bucket has a few dozen rows of about 100 bytes."""
    wanted = size // 100 // _ROWS_PER_BUCKET
    return min(_MOST_BUCKETS, 1 << max(0, wanted.bit_length() - 1))
