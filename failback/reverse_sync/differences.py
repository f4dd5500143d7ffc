"""Finds the rows that two snapshots do not share, by digests of ranges and buckets of keys.

Changes when work is divided among sessions in another way. A table is parted into chunks, which
are ranges of keys; a query to each side hashes some neighbouring chunks and groups their rows
into buckets; only the rows of buckets that differ are fetched, as keys and hashes.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from failback.models.common import Side
from failback.reverse_sync.digests import (
    Comparison,
    Digest,
    Key,
    Range,
    RowHash,
    bucket_count,
    digested,
)
from failback.reverse_sync.sessions import Snapshot

# About half a second of hashing at 60 to 100 MB a second.
CHUNK_BYTES = 32 * 2**20
_SAMPLED_PAGES = 4
_SAMPLED_AT_LEAST = 100
_MOST_CHUNKS = 4096
_FEWEST_CHUNKS = 2
_PAGE = 8192
_ROWS_PER_BUCKET = 128
_ROWS_AT_A_TIME = 200_000
KEPT = 1000
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


@dataclass(frozen=True)
class Cut:
    """How a table is parted into chunks: where each begins, but for the first."""

    bounds: tuple[Key, ...] = ()

    @property
    def count(self) -> int:
        """How many chunks there are."""
        return len(self.bounds) + 1

    def within(self, first: int, last: int) -> Range:
        """The keys of some neighbouring chunks."""
        return Range(
            self.bounds[first - 1] if first else None,
            self.bounds[last] if last < len(self.bounds) else None,
        )


@dataclass(frozen=True)
class Job:
    """A table, or some chunks of it, to be compared."""

    comparison: Comparison
    size: int
    """Bytes of the table on the larger side."""
    cut: Cut | None = None
    """None parts the table by its size alone, for this comparison."""
    wanted: tuple[int, ...] | None = None
    """The chunks to look at; None for all."""


@dataclass
class Findings:
    """What was found about one table."""

    comparison: Comparison
    digests: dict[Side, Digest] = field(default_factory=lambda: {side: Digest() for side in Side})
    chunks: dict[int, dict[Side, Digest]] = field(default_factory=dict)
    """By chunk, where the table came with a cut."""
    differences: list[Difference] = field(default_factory=list)
    """The first of them, up to a bound."""
    counts: dict[str, int] = field(
        default_factory=lambda: {"missing": 0, "extra": 0, "different": 0}
    )
    """All of them, by kind."""
    kept: int = KEPT
    """So many differences are kept."""
    seconds: float = 0.0
    waiting: int = 0

    @property
    def total(self) -> int:
        """Rows that the sides do not share."""
        return sum(self.counts.values())

    def add(self, difference: Difference) -> None:
        """Count a difference, and keep it while there are few."""
        self.counts[difference.kind] += 1
        if len(self.differences) < self.kept:
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

    def start(self, jobs: Sequence[Job], kept: int = KEPT) -> list[Findings]:
        """Put every table's first queries to both sides, those of large tables first.

        Args:
            jobs: the tables.
            kept: so many differences of each are kept; all are counted.

        Returns:
            What will be found, in the order of the tables; complete after `finish`.
        """
        found = [Findings(job.comparison, kept=kept) for job in jobs]
        for place in sorted(range(len(jobs)), key=lambda at: jobs[at].size, reverse=True):
            self.add(jobs[place], found[place])
        return found

    def add(self, job: Job, findings: Findings) -> None:
        """Have further chunks compared, into what is found about their table already."""
        for pair in self._chunks(findings, job):
            self._submit(pair)

    def finish(self, finished: Callable[[Findings], None], tick: Callable[[], None]) -> None:
        """Wait for all answers.

        Args:
            finished: called as each table's last answer is in.
            tick: called about every second, also while long queries run.
        """
        while self._running:
            done, _ = wait(self._running, timeout=_TICK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                self._answered(future, finished)
            tick()

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

    def _chunks(self, findings: Findings, job: Job) -> Iterator[_Pair]:
        """The chunks of a job, some neighbouring ones as one query to both sides."""
        kept = job.cut is not None
        cut = job.cut or cut_of(self._snapshots[Side.TARGET], job.comparison, job.size, CHUNK_BYTES)
        wanted = range(cut.count) if job.wanted is None else job.wanted
        for chunk in wanted if kept else ():
            findings.chunks[chunk] = {side: Digest() for side in Side}
        bytes_each = job.size // cut.count
        buckets = bucket_count(bytes_each, _ROWS_PER_BUCKET)
        for first, last in spans(wanted, max(1, CHUNK_BYTES // max(1, bytes_each))):
            # A query that looks at one chunk need not tell which chunk a row is in.
            bounds = cut.bounds if last > first else ()
            span = _Span(cut.within(first, last), bounds, buckets, first if not bounds else 0)
            yield _Pair(
                findings,
                job.comparison.chunk(span.within, buckets, bounds),
                lambda answers, span=span: self._digested(  # type: ignore[misc]
                    findings, span, answers, kept=kept
                ),
            )

    def _digested(
        self, findings: Findings, span: "_Span", answers: dict[Side, list[Any]], *, kept: bool
    ) -> Iterator[_Pair]:
        """Add a span's digests up; where buckets differ, ask for their rows."""
        by_code = {side: digested(rows) for side, rows in answers.items()}
        for side, digests in by_code.items():
            findings.digests[side] = sum(digests.values(), findings.digests[side])
            for code, digest in digests.items() if kept else ():
                chunk = findings.chunks[span.offset + code // span.buckets]
                chunk[side] += digest
        source, target = by_code[Side.SOURCE], by_code[Side.TARGET]
        group: list[int] = []
        rows = 0
        for code in sorted(source.keys() | target.keys()):
            ours, theirs = source.get(code, Digest()), target.get(code, Digest())
            if ours == theirs:
                continue
            group.append(code)
            rows += max(ours.rows, theirs.rows)
            if rows >= _ROWS_AT_A_TIME:
                yield self._rows(findings, span, group)
                group, rows = [], 0
        if group:
            yield self._rows(findings, span, group)

    def _rows(self, findings: Findings, span: "_Span", wanted: Sequence[int]) -> _Pair:
        def compare(answers: dict[Side, list[Any]]) -> Iterator[_Pair]:
            keyed = bool(findings.comparison.table.key)
            for difference in differing(answers) if keyed else differing_copies(answers):
                findings.add(difference)
            return iter(())

        query = findings.comparison.rows(span.within, span.buckets, wanted, span.bounds)
        return _Pair(findings, query, compare)


@dataclass(frozen=True)
class _Span:
    """Neighbouring chunks that one query looks at."""

    within: Range
    bounds: Sequence[Key]
    buckets: int
    offset: int
    """The number of the chunk that the query calls 0."""


def cut_of(snapshot: Snapshot, comparison: Comparison, size: int, chunk_bytes: int) -> Cut:
    """Part a table into chunks of about so many bytes, by a sample of its keys.

    Args:
        snapshot: of the side to take the sample from.
        comparison: the table; one whose keys do not sort alike on both sides is one chunk.
        size: the table's bytes.
        chunk_bytes: of each chunk; more where the table would have too many of them.
    """
    parts = min(_MOST_CHUNKS, math.ceil(size / chunk_bytes)) if comparison.ordered else 1
    if parts < _FEWEST_CHUNKS:
        return Cut()
    pages = max(_SAMPLED_PAGES, _SAMPLED_AT_LEAST // parts)
    percent = min(100.0, 100.0 * parts * pages * _PAGE / size)
    with snapshot.session() as session:
        rows = session.execute(comparison.bounds(parts, percent)).fetchall()
    return Cut(tuple(tuple(row) for row in rows))


def spans(wanted: Sequence[int], most: int = _MOST_CHUNKS) -> Iterator[tuple[int, int]]:
    """Runs of neighbouring chunks, no longer than so many."""
    first = last = None
    for chunk in wanted:
        if first is None or last is None:
            first = last = chunk
        elif chunk == last + 1 and chunk - first < most:
            last = chunk
        else:
            yield first, last
            first = last = chunk
    if first is not None and last is not None:
        yield first, last


def differing(answers: Mapping[Side, Sequence[Any]]) -> Iterator[Difference]:
    """The rows that two answers of (key, hash, hash) do not share, in the order of their keys."""
    source, target = (
        {tuple(row[0]): (row[1], row[2]) for row in answers[side]}
        for side in (Side.SOURCE, Side.TARGET)
    )
    for key in sorted(source.keys() | target.keys()):
        if source.get(key) != target.get(key):
            yield Difference(key, source.get(key), target.get(key))


def differing_copies(answers: Mapping[Side, Sequence[Any]]) -> Iterator[Difference]:
    """The same of a table without a key: each copy of a row that one side has more often."""
    counts = {
        side: Counter((tuple(row[0]), (row[1], row[2])) for row in answers[side]) for side in Side
    }
    for row in sorted(counts[Side.SOURCE].keys() | counts[Side.TARGET].keys()):
        key, hashes = row
        more = counts[Side.TARGET][row] - counts[Side.SOURCE][row]
        for _ in range(abs(more)):
            yield Difference(
                key, source=None if more > 0 else hashes, target=hashes if more > 0 else None
            )
