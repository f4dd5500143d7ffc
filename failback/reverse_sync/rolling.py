"""The rolling pass: keeps the ledger's chunks verified while the migration is live.

Changes when another chunk should come first. Dirty chunks come first, then those that were looked
at longest ago. A slice takes a fraction of a second in two read-only snapshots; between slices the
pass stands aside for whoever has priority on the stream. It holds no lock on a table but the one
that reading takes, and none at all between slices.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from failback.errors import SlotBusyError, SlotLostError
from failback.models.common import Side
from failback.models.sync import LedgerReport
from failback.reverse_sync import ledger, position, sharing, watch
from failback.reverse_sync.capture import advance
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.cuts import Cut, cut_of
from failback.reverse_sync.differences import Comparer, Job
from failback.reverse_sync.ledgered import Ledgered, LedgerUse
from failback.reverse_sync.pgoutput import ProtocolError
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.prepared import Catalogues, Prepared
from failback.reverse_sync.sessions import Sessions, Snapshot

_SLICE_BYTES = 4 * 2**20
"""Of a slice: about 50 ms of hashing on each side."""
_GROWN = 4
"""A table that has so many times more chunks than it was parted into is parted anew."""


@dataclass
class Rolling:
    """The pass over one stream's ledger.

    Args:
        sessions: open sessions to be used and kept; not those of a verification, which would
            have to wait.
        catalogues: what is known about the tables from the last time.
        use: which ledger.
        stop: whether somebody else needs the servers now.
        rest_seconds: a clean chunk is left alone for so long.
    """

    sessions: Sessions
    catalogues: Catalogues
    use: LedgerUse
    stop: Callable[[], bool] = field(default=lambda: False)
    rest_seconds: float = 900.0

    def run(self, budget_seconds: float) -> LedgerReport:
        """Tend the ledger, then verify slices until the budget is used up or nothing is left.

        Raises:
            NotArmedError: nothing is armed.
        """
        started = time.monotonic()
        verified = differing = 0
        with self.sessions.lock:
            with contextlib.suppress(SlotBusyError):
                self.tend()
            seen: set[tuple[str, int]] = set()
            state = _State()
            while time.monotonic() - started < budget_seconds and not self._stopped():
                state = self._slice(seen)
                verified += state.verified
                differing += state.differing
                if not state.taken:
                    break
        return LedgerReport(
            verified=verified,
            differing=differing,
            dirty=max(0, state.dirty - state.verified_dirty),
            clean=state.clean + state.verified_dirty,
            oldest_at=state.oldest,
            seconds=time.monotonic() - started,
            detail=state.detail,
        )

    def tend(self) -> None:
        """Part tables that are not parted, and mark what others changed on the receiver.

        Where another consumer is at work, that is left for the next time.

        Raises:
            NotArmedError: nothing is armed.
        """
        direction = self.use.direction
        receiver = self.sessions.watcher(direction.receiver)
        with self.sessions.servers.explaining(direction.receiver):
            held = position.read(receiver, direction)
            if held.capture != "slot" or held.receiver_capture != "slot":
                return
            if not ledger.is_installed(receiver):
                ledger.install(receiver)
            prepared, cuts = self._cuts(receiver)
            found = self._foreign(receiver, held, prepared)
            with _alone(receiver) as alone:
                if not alone:
                    return
                if found is None:
                    watch.begin(receiver, held, direction)
                    self.catalogues.forget()
                else:
                    named = prepared.named(direction.receiver)
                    watch.settle(receiver, held, direction, found, named)
                for name, cut in cuts.items():
                    ledger.cut(receiver, direction.name, name, prepared.identities[name], cut)
            if found is not None and held.receiver_lsn is None:
                # Nobody but us may have written there; what others did is marked by now.
                advance(receiver, held.receiver_slot, found[1])

    def _foreign(
        self, receiver: Connection, held: StreamPosition, prepared: Prepared
    ) -> tuple[watch.Touched, int] | None:
        """What others changed on the receiver; None where the search has to begin anew."""
        direction = self.use.direction
        tables = prepared.tables[direction.receiver]
        try:
            return watch.foreign(receiver, held, direction, self.use.publication, tables)
        except (SlotLostError, ProtocolError):
            return None

    def _cuts(self, receiver: Connection) -> tuple[Prepared, Mapping[str, Cut]]:
        """How tables are to be parted that are not, or not as they are now."""
        known = ledger.read(receiver, self.use.direction.name)
        with (
            Snapshot(self.sessions, Side.TARGET) as target,
            Snapshot(self.sessions, Side.SOURCE) as source,
        ):
            prepared = self.catalogues.prepare({Side.SOURCE: source, Side.TARGET: target})
            armed = set(position.armed_names(receiver, self.use.direction))
            cuts = {}
            for name, comparison in prepared.comparisons.items():
                table, size = known.get(name), prepared.sizes[name]
                if name not in armed or not comparison.table.key:
                    continue
                kept = table is not None and table.identity == prepared.identities[name]
                if kept and table is not None:
                    parts = size / ledger.CHUNK_BYTES if comparison.ordered else 1
                    if parts <= _GROWN * table.cut.count:
                        continue
                cuts[name] = cut_of(target, comparison, size, ledger.CHUNK_BYTES)
        return prepared, cuts

    def _stopped(self) -> bool:
        """Whether somebody with priority is waiting for the stream or at work."""
        if self.stop():
            return True
        receiver = self.sessions.watcher(self.use.direction.receiver)
        return position.is_preferred(receiver)

    def _slice(self, seen: set[tuple[str, int]]) -> "_State":
        """Compare some chunks, and record those that are equal."""
        first = self.use.direction.receiver
        with (
            Snapshot(self.sessions, first) as one,
            Snapshot(self.sessions, first.other) as other,
            ThreadPoolExecutor(max_workers=2, thread_name_prefix="rolling") as executor,
        ):
            snapshots = {first: one, first.other: other}
            prepared = self.catalogues.prepare(snapshots)
            used = Ledgered.open(self.use, one, prepared)
            if used is None:
                return _State()
            used.jobs()
            jobs, state = self._chosen(used, one, seen)
            comparer = Comparer(snapshots, executor)
            findings = comparer.start(jobs)
            comparer.finish(lambda _: None, lambda: None)
        used.record(self.sessions, findings, ())
        equal = [
            (found.comparison.table.qualified, chunk)
            for found in findings
            for chunk, sides in found.chunks.items()
            if sides[Side.SOURCE] == sides[Side.TARGET]
        ]
        state.verified = len(equal)
        state.verified_dirty = sum(chunk in used.tables[name].dirty for name, chunk in equal)
        state.differing = state.taken - len(equal)
        return state

    def _chosen(
        self, used: Ledgered, snapshot: Snapshot, seen: set[tuple[str, int]]
    ) -> tuple[list[Job], "_State"]:
        """The next slice: dirty chunks, then the oldest ones, that this pass has not seen."""
        state = _State(
            dirty=sum(len(table.dirty) for table in used.tables.values()),
            clean=sum(table.clean for table in used.tables.values()),
            oldest=used.oldest,
            detail=used.doubt,
        )
        wanted: dict[str, list[int]] = {}
        budget = _SLICE_BYTES
        for name, chunk, marks in self._candidates(used, snapshot):
            table = used.known(name)
            if table is None or (name, chunk) in seen:
                continue
            seen.add((name, chunk))
            used.marks[name][chunk] = marks
            wanted.setdefault(name, []).append(chunk)
            state.taken += 1
            budget -= used.prepared.sizes[name] // table.cut.count
            if budget <= 0:
                break
        jobs = [
            Job(
                used.prepared.comparisons[name],
                used.prepared.sizes[name],
                used.tables[name].cut,
                tuple(sorted(chunks)),
            )
            for name, chunks in wanted.items()
        ]
        return jobs, state

    def _candidates(self, used: Ledgered, snapshot: Snapshot) -> Iterator[tuple[str, int, int]]:
        for name, table in used.tables.items():
            for chunk, marks in table.dirty.items():
                yield name, chunk, marks
        with snapshot.session() as session:
            oldest = ledger.oldest(session, self.use.direction.name, self.rest_seconds)
        yield from oldest


@dataclass
class _State:
    taken: int = 0
    verified: int = 0
    verified_dirty: int = 0
    differing: int = 0
    dirty: int = 0
    clean: int = 0
    oldest: datetime | None = None
    detail: str = ""


@contextmanager
def _alone(receiver: Connection) -> Iterator[bool]:
    """A transaction as the stream's only consumer, if nobody else is.

    Shares of a catch-up mark chunks without being one: a cut that they do not see would lose marks.
    """
    with receiver.transaction():
        yield position.take(receiver) and sharing.none_at_work(receiver)
