"""How a table is parted into chunks, which are ranges of its keys.

Changes when a table is cut by another measure than its size.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from failback.reverse_sync.digests import Comparison, Key, Range
from failback.reverse_sync.sessions import Snapshot

_SAMPLED_PAGES = 4
_SAMPLED_AT_LEAST = 100
_MOST_CHUNKS = 4096
_FEWEST_CHUNKS = 2
_PAGE = 8192


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
class Span:
    """Neighbouring chunks that one query looks at, each in some buckets."""

    cut: Cut
    first: int
    last: int
    buckets: int

    @property
    def within(self) -> Range:
        """Their keys."""
        return self.cut.within(self.first, self.last)

    @property
    def bounds(self) -> Sequence[Key]:
        """What a row's chunk is told by; a query that looks at one need not tell it."""
        return self.cut.bounds if self.last > self.first else ()

    def chunk(self, code: int) -> int:
        """The chunk of a row's code in the query's answer."""
        return (0 if self.bounds else self.first) + code // self.buckets


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
