"""Finds by checksum what the receiver lacks, inside a batch's own two transactions.

Changes when unknown changes are looked for in another way. Used where changes were not captured:
the sender is read in the batch's snapshot, the receiver as the batch's transaction has it. So
what is found and carried over makes the two equal as of the snapshot, and a second comparison in
the same transaction proves it before the commit.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from failback.models.common import Side
from failback.reverse_sync.apply import Pulse
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.differences import CHUNK_BYTES, differing
from failback.reverse_sync.digests import (
    Comparison,
    Range,
    agreed_form,
    bucket_count,
    compared,
    digested,
    unlike_codes,
)
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.matching import TablePair
from failback.reverse_sync.pgoutput import Keys, Relation
from failback.reverse_sync.statements import statement

_SAMPLED_PAGES = 20
_PAGE = 8192
_BUCKETS_AT_A_TIME = 512


@dataclass(frozen=True)
class Unlike:
    """What one table differs by."""

    pair: TablePair
    keys: Keys | None
    """The keys of rows that the two sides do not share; None where all of it has to be copied."""

    @property
    def equal(self) -> bool:
        """Whether the two sides hold the same rows."""
        return self.keys is not None and not self.keys.values


class Reproof:
    """Compares tables between a batch's snapshot and its transaction.

    Args:
        reader: in the batch's transaction on the sender.
        writer: in the batch's transaction on the receiver.
        direction: which side is which.
        most: so many differing keys of a table are told apart; beyond that, it is copied whole.
        pulse: called while rows flow; raises to stop.
    """

    def __init__(
        self,
        reader: Connection,
        writer: Connection,
        direction: Direction,
        *,
        most: int,
        pulse: Pulse,
    ) -> None:
        self._sessions = {direction.sender: reader, direction.receiver: writer}
        self._direction = direction
        self._most = most
        self._pulse = pulse

    def compare(self, pairs: Iterable[TablePair]) -> tuple[Unlike, ...]:
        """What each table differs by; nothing is changed."""
        pairs = tuple(pairs)
        if not pairs:
            return ()
        for session in self._sessions.values():
            session.execute(statement("reproof_begin"))
        form = agreed_form(tuple(self._sessions.values()))
        bytewise = self._bytewise(pairs)
        found = []
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="reproof") as executor:
            for pair in pairs:
                source, target = self._tables(pair)
                comparison, problems = compared(source, target, form, bytewise)
                if problems or pair.keyless:
                    found.append(self._unkeyed(comparison, pair, executor, bool(problems)))
                else:
                    found.append(self._keyed(comparison, pair, executor))
        return tuple(found)

    def _tables(self, pair: TablePair) -> tuple[Any, Any]:
        """The table as the source and as the target have it."""
        if self._direction.sender is Side.TARGET:
            return pair.received, pair.sent
        return pair.sent, pair.received

    def _unkeyed(
        self, comparison: Comparison, pair: TablePair, executor: ThreadPoolExecutor, hopeless: bool
    ) -> Unlike:
        """Without a key only the whole table can be told to be equal or not."""
        keys = Keys(_relation(pair), ())
        if not hopeless:
            source, target = self._both(comparison.chunk(Range(), 1), executor)
            if digested(source) == digested(target):
                return Unlike(pair, keys)
        return Unlike(pair, None)

    def _keyed(
        self, comparison: Comparison, pair: TablePair, executor: ThreadPoolExecutor
    ) -> Unlike:
        names = comparison.table.key
        found = Keys(_relation(pair), names)
        size = self._size(pair)
        ranges = self._ranges(comparison, size)
        buckets = bucket_count(size // len(ranges))
        for within in ranges:
            self._pulse()
            ours, theirs = map(digested, self._both(comparison.chunk(within, buckets), executor))
            unlike = list(unlike_codes(ours, theirs))
            for start in range(0, len(unlike), _BUCKETS_AT_A_TIME):
                wanted = unlike[start : start + _BUCKETS_AT_A_TIME]
                source, target = self._both(comparison.rows(within, buckets, wanted), executor)
                answers = {Side.SOURCE: source, Side.TARGET: target}
                found.values.update(_key(each.key) for each in differing(answers))
                if len(found.values) > self._most:
                    return Unlike(pair, None)
        return Unlike(pair, found)

    def _both(
        self, query: sql.Composed, executor: ThreadPoolExecutor
    ) -> tuple[list[Any], list[Any]]:
        """The answers of the source and of the target, which work at the same time."""
        source = executor.submit(lambda: self._sessions[Side.SOURCE].execute(query).fetchall())
        try:
            target = self._sessions[Side.TARGET].execute(query).fetchall()
        finally:
            # Nobody may use the session before it has ended.
            source.exception()
        return source.result(), target

    def _ranges(self, comparison: Comparison, size: int) -> list[Range]:
        """A table's keys, parted so that each part is hashed in about half a second."""
        parts = math.ceil(size / CHUNK_BYTES) if comparison.ordered else 1
        bounds: Sequence[tuple[str, ...]] = ()
        if parts > 1:
            percent = min(100.0, 100.0 * parts * _SAMPLED_PAGES * _PAGE / size)
            session = self._sessions[Side.TARGET]
            bounds = session.execute(comparison.bounds(parts, percent)).fetchall()
        return [Range(*limits) for limits in itertools.pairwise([None, *bounds, None])]

    def _size(self, pair: TablePair) -> int:
        """Bytes of the table on the larger side."""
        sizes = []
        for table, side in zip(self._tables(pair), (Side.SOURCE, Side.TARGET), strict=True):
            row = (
                self._sessions[side]
                .execute(statement("digest_sizes"), {"tables": [table.oid]})
                .fetchone()
            )
            sizes.append(row[1] if row else 0)
        return max(sizes)

    def _bytewise(self, pairs: Sequence[TablePair]) -> dict[int, frozenset[str]]:
        """By a table's oid on the target, the text columns that sort by bytes on both sides."""
        found: dict[Side, set[tuple[int, str]]] = {}
        for side, session in self._sessions.items():
            target = {
                self._tables(pair)[0 if side is Side.SOURCE else 1].oid: self._tables(pair)[1].oid
                for pair in pairs
            }
            rows = session.execute(statement("digest_collations"), {"tables": list(target)})
            found[side] = {(target[oid], column) for oid, column in rows.fetchall()}
        both = found[Side.SOURCE] & found[Side.TARGET]
        return {oid: frozenset(column for table, column in both if table == oid) for oid, _ in both}


def _relation(pair: TablePair) -> Relation:
    return Relation(pair.sent.oid, pair.sent.schema, pair.sent.name, pair.key)


def _key(values: Sequence[str]) -> bytes:
    """A key in text form, as a stream would write its values."""
    written = [value.encode() for value in values]
    return b"".join(b"t" + len(value).to_bytes(4) + value for value in written)
