"""Carries the tables of a large batch side by side, each hand with sessions of its own.

Changes when work is shared out in another way. All hands read one snapshot of the sender. On the
receiver each has a transaction of its own; they commit one after the other, and the batch's own,
which moves the position, last. A crash between two commits leaves some tables newer than the
position says: their keys come again, and carrying a row over twice changes nothing.
"""

import math
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from failback.errors import FailbackError
from failback.reverse_sync.apply import Applied, Work
from failback.reverse_sync.key_set import HELD_KEYS, KeySet
from failback.reverse_sync.lane import Ends, Lane
from failback.reverse_sync.ledger import Marks
from failback.reverse_sync.pgoutput import MARKER, Keys
from failback.reverse_sync.refusals import Stale
from failback.reverse_sync.statements import statement

MANY_KEYS = 10_000
"""From so many keys on, a batch is worth further sessions."""

_BYTEWISE = frozenset(
    {"bigint", "integer", "smallint", "uuid", "date", "oid"}
    | {"timestamp without time zone", "timestamp with time zone"}
)
"""Types whose equal values are written with equal bytes: one row, one share."""

LOCK_TIMEOUT = "3s"
"""What two hands wait for each other in the worst case, before the batch is carried by one."""


@dataclass
class Hand:
    """One pair of sessions, and what it has carried."""

    number: int
    ends: Ends
    carried: list[Work] = field(default_factory=list)


Carry = Callable[[Ends, Work], Applied]


class ParallelApply:
    """A batch at work with several hands; the first has the batch's own sessions.

    Nobody else uses the lane's readers and writers between `start` and `finish` or `stop`.

    Args:
        lane: the sessions; reader and writer are in the batch's transactions.
        carry: carries one work with a pair of sessions.
    """

    def __init__(self, lane: Lane, carry: Carry) -> None:
        self._lane = lane
        self._carry = carry
        self.hands = [Hand(0, lane.ends())]
        """The batch's own sessions first."""
        self._left: list[Work] = []
        self._resting: list[Hand] = []
        self._begun: dict[str, Hand] = {}
        self._complete = False
        self._told = threading.Condition()
        self._failed: BaseException | None = None
        self._applied: dict[str, Applied] = {}
        self._pool: ThreadPoolExecutor | None = None
        for number in range(1, min(lane.hands, _cores())):
            try:
                self.hands.append(Hand(number, lane.ends(number)))
            except FailbackError:
                # A server that has no more sessions to give is no reason to stop.
                break

    def start(self, *, reading: bool = False) -> None:
        """Have the hands wait for works.

        Args:
            reading: the sender's log is being read until `finish` is called, which keeps a core
                busy: one hand rests until then.
        """
        self._begin()
        self._pool = ThreadPoolExecutor(len(self.hands), thread_name_prefix="carry")
        working = len(self.hands) - 1 if reading else len(self.hands)
        self._resting = self.hands[working:]
        self._submit(self.hands[:working])

    def add(self, works: Sequence[Work]) -> None:
        """Hand works out; those of one table have no key in common, unless one is of all of it."""
        whole = {work.pair.qualified for work in works if work.whole}
        with self._told:
            left = [work for work in self._left if work.pair.qualified not in whole]
            self._left = sorted([*left, *works], key=lambda work: work.count, reverse=True)
            self._told.notify_all()

    def finish(self) -> dict[str, Applied]:
        """Wait until everything is carried over; nothing is committed yet. What was done, by table.

        Raises:
            Stale: two hands stood in each other's way; the next attempt is one hand's.
            Exception: whatever the first failing hand raised.
        """
        self._submit(self._resting)
        self._wait()
        if self._failed is not None:
            if isinstance(self._cause(), psycopg.errors.LockNotAvailable):
                # Something makes one table's rows touch another's, as a trigger does.
                self._lane.hands = 1
                raise Stale from self._failed
            raise self._failed
        self.hands[0].ends.writer.execute(statement("apply_begin"))
        return self._applied

    def stop(self) -> None:
        """Leave what is left, and wait for what is at work. Nothing happens after `finish`."""
        with self._told:
            self._left.clear()
        self._wait()

    def commit(self) -> None:
        """Commit what the further hands have carried, each with its marks in the ledger.

        The batch's own marks are set last and are committed with its position: two transactions
        that mark one table wait for each other.
        """
        for hand in self.hands[1:]:
            self._mark(hand)
            hand.ends.writer.execute("COMMIT")
            hand.ends.reader.execute("COMMIT")
            hand.ends.write_keys.settle(committed=True)
            hand.ends.read_keys.settle(committed=True)
        self._mark(self.hands[0])

    def _begin(self) -> None:
        """Give every hand the batch's snapshot and a transaction to write in."""
        first = self.hands[0].ends
        row = first.reader.execute("SELECT pg_export_snapshot()").fetchone()
        snapshot = row[0] if row is not None else ""
        for hand in self.hands[1:]:
            reader, writer = hand.ends.reader, hand.ends.writer
            reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            reader.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
            writer.execute("BEGIN")
            writer.execute(statement("apply_begin"))
            writer.execute(
                "SELECT pg_logical_emit_message(true, %s, %s)",
                [MARKER, self._lane.direction.name],
            )
        for hand in self.hands:
            hand.ends.writer.execute(
                sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT))
            )

    def _submit(self, hands: Iterable[Hand]) -> None:
        if self._pool is not None:
            for hand in hands:
                self._pool.submit(copy_context().run, self._work, hand)

    def _wait(self) -> None:
        with self._told:
            self._complete = True
            self._told.notify_all()
        if self._pool is not None:
            self._pool.shutdown()

    def _work(self, hand: Hand) -> None:
        while (work := self._next(hand)) is not None:
            try:
                done = self._carry(hand.ends, work)
            except BaseException as error:  # noqa: BLE001 - raised by `finish` in the batch's thread
                with self._told:
                    self._failed = self._failed or error
                    self._told.notify_all()
                return
            with self._told:
                name = work.pair.qualified
                before = self._applied.get(name, Applied())
                self._applied[name] = Applied(
                    deleted=before.deleted + done.deleted, inserted=before.inserted + done.inserted
                )

    def _next(self, hand: Hand) -> Work | None:
        """The largest work that is left for a hand; waits until there is one, or never will be."""
        with self._told:
            while self._failed is None:
                for place, work in enumerate(self._left):
                    if self._may_have(hand, work):
                        self._begun.setdefault(work.pair.qualified, hand)
                        hand.carried.append(self._left.pop(place))
                        return work
                if self._complete:
                    return None
                self._told.wait()
            return None

    def _may_have(self, hand: Hand, work: Work) -> bool:
        """Whether a hand can carry a work.

        A hand's key table holds the keys of everything that it carried of a table's part, so that
        of a table that is shared out each hand has one share. A table that is begun by key may
        turn out to be copied whole: until everything is known, and then, it is one hand's.
        """
        name = work.pair.qualified
        if work.whole or (work.part and not self._complete):
            return self._begun.get(name, hand) is hand
        return all((had.pair.qualified, had.part) != (name, work.part) for had in hand.carried)

    def _mark(self, hand: Hand) -> None:
        marks = Marks(hand.ends.writer, self._lane.direction.name)
        for work in hand.carried:
            mark(marks, hand.ends, work)

    def _cause(self) -> BaseException | None:
        """The server's error behind a refusal, or the error itself."""
        return (self._failed and self._failed.__cause__) or self._failed


def _cores() -> int:
    """Hands that this machine can keep busy."""
    return max(2, os.cpu_count() or 1)


def mark(marks: Marks, ends: Ends, work: Work) -> None:
    """The ledger does not know any more that both sides hold the rows of a work."""
    if work.whole or work.pair.keyless:
        marks.whole([work.pair.qualified])
    else:
        keys = ends.write_keys.name(work.pair.received, work.part)
        marks.keys(work.pair.received, work.pair.key, keys)


def shares(works: Iterable[Work], hands: int) -> list[Work]:
    """The works, the largest first; a table with more than one hand's share is cut by key.

    Cutting is for tables where nothing but the key is unique: rows of two shares never meet.
    """
    ordered = sorted(works, key=lambda work: work.count, reverse=True)
    share = max(1, math.ceil(sum(work.count for work in ordered) / hands))
    found: list[Work] = []
    for work in ordered:
        parts = min(hands, math.ceil(work.count / share))
        found.extend(_cut(work, parts) if parts > 1 and may_be_cut(work) else [work])
    return sorted(found, key=lambda work: work.count, reverse=True)


def may_be_cut(work: Work) -> bool:
    """Whether a table's keys can be carried in several parts; see `shares`."""
    received = work.pair.received
    unique = [rule for rule in received.rules if rule.startswith(("UNIQUE", "EXCLUDE"))]
    return (
        not work.whole
        and not work.pair.keyless
        and len(unique) == 1
        and all(received.column(name).type_name in _BYTEWISE for name in work.pair.key)
    )


def _cut(work: Work, parts: int) -> list[Work]:
    """By the keys' hashes, so that a key which is there twice stays in one share."""
    cut: list[list[Keys]] = [[] for _ in range(parts)]
    for keys in work.keys:
        sets = [KeySet() for _ in range(parts)]
        for place, value in enumerate(keys.values):
            sets[hash(value) % parts].add(value)
            if place % HELD_KEYS == 0:
                for each in sets:
                    each.bound()
        for share, values in zip(cut, sets, strict=True):
            share.append(Keys(keys.relation, keys.names, values, keys.whole_row))
    # A hand may carry two parts, and no two shares.
    return [
        Work(work.pair, tuple(share), part=work.part and work.part + number)
        for number, share in enumerate(cut)
    ]
