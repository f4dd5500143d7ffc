"""Finds the rows that two snapshots do not share, by digests of ranges and buckets of keys.

Changes when work is divided among sessions in another way. A query to each side hashes some
neighbouring chunks of a table. Where chunks differ, their rows are grouped into buckets by their
keys, and only the rows of buckets that differ are fetched, as keys and hashes. Grouping costs a
fifth of a reading: it is done at once when rows have differed before, and else only where they do.
"""

import functools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg import sql

from failback.models.common import Side
from failback.reverse_sync.cuts import Cut, Span, cut_of, spans
from failback.reverse_sync.digests import (
    Comparison,
    Digest,
    Key,
    RowHash,
    bucket_count,
    digested,
    unlike_codes,
)
from failback.reverse_sync.sessions import Snapshot

# About half a second of hashing at 60 to 100 MB a second.
CHUNK_BYTES = 32 * 2**20
_SCOUTED_PARTS = 50
"""To wait for one part in so many of all bytes costs little."""
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
class Job:
    """A table, or some chunks of it, to be compared."""

    comparison: Comparison
    size: int
    """Bytes of the table on the larger side."""
    cut: Cut | None = None
    """None parts the table by its size alone, for this comparison."""
    wanted: tuple[int, ...] | None = None
    """The chunks to look at; None for all."""

    @property
    def bytes(self) -> int:
        """Bytes of what is looked at, as far as chunks are alike."""
        if self.wanted is None or self.cut is None:
            return self.size
        return self.size * len(self.wanted) // self.cut.count


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
class _Question:
    """One query that is put to both sides, and what to do with both answers."""

    query: sql.Composed
    then: Callable[[dict[Side, list[Any]]], Iterator["_Pair"]]


class _Pair:
    """A question to both sides, made up when the first of them has a session for it."""

    def __init__(self, findings: Findings, ask: Callable[[], _Question]) -> None:
        self.findings = findings
        self._ask = ask
        self._lock = threading.Lock()
        self._question: _Question | None = None

    @property
    def question(self) -> _Question:
        """The same for both sides."""
        with self._lock:
            if self._question is None:
                self._question = self._ask()
            return self._question


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
        self._differed = False
        self._complete: list[Findings] = []

    def start(self, jobs: Sequence[Job], kept: int = KEPT) -> list[Findings]:
        """Put every table's first queries to both sides, those of large tables first.

        Where that is more than a moment's work, one that is small beside the others is waited for
        before: if it differs, the others are read in buckets at once.

        Args:
            jobs: the tables.
            kept: so many differences of each are kept; all are counted.

        Returns:
            What will be found, in the order of the tables; complete after `finish`.
        """
        found = [Findings(job.comparison, kept=kept) for job in jobs]
        by_size = sorted(range(len(jobs)), key=lambda at: jobs[at].bytes, reverse=True)
        total = sum(job.bytes for job in jobs)
        small = min(CHUNK_BYTES, total // _SCOUTED_PARTS) if total > CHUNK_BYTES else 0
        scout = next((place for place in by_size if 0 < jobs[place].bytes <= small), None)
        if scout is not None:
            by_size.remove(scout)
            self.add(jobs[scout], found[scout])
            for future in wait(self._running, timeout=_TICK_SECONDS).done:
                self._answered(future)
        for place in by_size:
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
                self._answered(future)
            while self._complete:
                finished(self._complete.pop())
            tick()

    def _submit(self, pair: _Pair) -> None:
        pair.findings.waiting += 1
        self._answers[id(pair)] = {}
        for side in Side:
            future = self._executor.submit(self._run, side, pair)
            self._running[future] = pair, side

    def _run(self, side: Side, pair: _Pair) -> tuple[list[Any], float]:
        with self._snapshots[side].session() as session:
            started = time.monotonic()
            rows = session.execute(pair.question.query).fetchall()
            return rows, time.monotonic() - started

    def _answered(self, future: Future[tuple[list[Any], float]]) -> None:
        pair, side = self._running.pop(future)
        rows, seconds = future.result()
        pair.findings.seconds += seconds
        answers = self._answers[id(pair)]
        answers[side] = rows
        if len(answers) < len(Side):
            return
        del self._answers[id(pair)]
        for following in pair.question.then(answers):
            self._submit(following)
        pair.findings.waiting -= 1
        if pair.findings.waiting == 0:
            self._complete.append(pair.findings)

    def _chunks(self, findings: Findings, job: Job) -> Iterator[_Pair]:
        """The chunks of a job, some neighbouring ones as one query to both sides."""
        kept = job.cut is not None
        cut = job.cut or cut_of(self._snapshots[Side.TARGET], job.comparison, job.size, CHUNK_BYTES)
        wanted = range(cut.count) if job.wanted is None else job.wanted
        for chunk in wanted if kept else ():
            findings.chunks[chunk] = {side: Digest() for side in Side}
        bytes_each = job.size // cut.count
        buckets = bucket_count(bytes_each)
        for first, last in spans(wanted, max(1, CHUNK_BYTES // max(1, bytes_each))):
            span = Span(cut, first, last, buckets)
            yield _Pair(findings, functools.partial(self._look, findings, span, kept=kept))

    def _look(self, findings: Findings, span: Span, *, kept: bool) -> _Question:
        """A span's digests: by bucket where rows have differed before, else by chunk."""
        seen = span if self._differed else replace(span, buckets=1)
        return _Question(
            findings.comparison.chunk(seen.within, seen.buckets, seen.bounds),
            functools.partial(self._digested, findings, span, seen, kept=kept),
        )

    def _digested(
        self,
        findings: Findings,
        span: Span,
        seen: Span,
        answers: dict[Side, list[Any]],
        *,
        kept: bool,
    ) -> Iterator[_Pair]:
        """Add a span's digests up; where they differ, look closer."""
        by_code = {side: digested(rows) for side, rows in answers.items()}
        for side, digests in by_code.items():
            findings.digests[side] = sum(digests.values(), findings.digests[side])
            for code, digest in digests.items() if kept else ():
                findings.chunks[seen.chunk(code)][side] += digest
        unlike = unlike_codes(by_code[Side.SOURCE], by_code[Side.TARGET])
        self._differed = self._differed or bool(unlike)
        if seen.buckets == span.buckets:
            yield from self._fetched(findings, span, unlike)
            return
        for first, last in spans([seen.chunk(code) for code in unlike]):
            closer = replace(span, first=first, last=last)
            yield _Pair(findings, functools.partial(self._look_closer, findings, closer))

    def _look_closer(self, findings: Findings, span: Span) -> _Question:
        """The buckets of chunks that are known to differ."""

        def located(answers: dict[Side, list[Any]]) -> Iterator[_Pair]:
            source, target = (digested(answers[side]) for side in (Side.SOURCE, Side.TARGET))
            return self._fetched(findings, span, unlike_codes(source, target))

        return _Question(findings.comparison.chunk(span.within, span.buckets, span.bounds), located)

    def _fetched(
        self, findings: Findings, span: Span, unlike: Mapping[int, int]
    ) -> Iterator[_Pair]:
        """The rows of buckets that differ, so many at a time."""
        group: list[int] = []
        rows = 0
        for code, count in unlike.items():
            group.append(code)
            rows += count
            if rows >= _ROWS_AT_A_TIME:
                yield self._rows(findings, span, group)
                group, rows = [], 0
        if group:
            yield self._rows(findings, span, group)

    def _rows(self, findings: Findings, span: Span, wanted: Sequence[int]) -> _Pair:
        def compare(answers: dict[Side, list[Any]]) -> Iterator[_Pair]:
            keyed = bool(findings.comparison.table.key)
            for difference in differing(answers) if keyed else differing_copies(answers):
                findings.add(difference)
            return iter(())

        query = findings.comparison.rows(span.within, span.buckets, wanted, span.bounds)
        return _Pair(findings, lambda: _Question(query, compare))


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
