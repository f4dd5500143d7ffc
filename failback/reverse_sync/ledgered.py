"""What the ledger spares a comparison, and what it learns from it.

Changes when the ledger is trusted under another condition. A chunk is not looked at again if it is
clean in the receiver's snapshot and nothing that the ledger does not know of may have changed it:

- its table is armed, has a key, is neither stopped nor to be compared or copied whole, and its
  catalogue entries and storage are as they were;
- the receiver's log tells of changes to the table, and told of none by others;
- the sender's log holds no change of it that the receiver lacks.

The receiver's snapshot is taken first: what the sender's snapshot does not see yet is applied by a
later batch, and marked by it.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

from psycopg import sql

from failback.errors import FailbackError, NotArmedError, SlotBusyError, SlotLostError
from failback.models.common import Side
from failback.reverse_sync import ledger, position, watch
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.cuts import spans
from failback.reverse_sync.differences import Comparer, Findings, Job
from failback.reverse_sync.digests import Digest, in_range, sortable
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.foreign_keys import ForeignKey
from failback.reverse_sync.ledger import Agreed, LedgerTable
from failback.reverse_sync.pgoutput import ProtocolError
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.prepared import Prepared
from failback.reverse_sync.sessions import Sessions, Snapshot
from failback.reverse_sync.watch import Touched

NONE = sql.SQL("false")
"""No row."""
_MOST_RANGES = 64
"""So many chunks are told apart in a condition; a whole table is read sooner than more."""


@dataclass(frozen=True)
class LedgerUse:
    """Which ledger a comparison uses.

    Args:
        direction: of the stream whose ledger it is.
        publication: the publication's name, the same on both sides.
        cold: take no chunk for clean; what is found equal is recorded all the same.
    """

    direction: Direction
    publication: str
    cold: bool = False


@dataclass
class Ledgered:
    """One comparison's view of the ledger, as the receiver's snapshot has it."""

    use: LedgerUse
    held: StreamPosition
    tables: dict[str, LedgerTable]
    rules: dict[str, str]
    prepared: Prepared
    doubt: str = ""
    """Why nothing is taken for clean; empty where the ledger is trusted."""
    spared: dict[str, Digest] = field(default_factory=dict)
    """By table: what its chunks that were not looked at add up to."""
    marks: dict[str, dict[int, int]] = field(default_factory=dict)
    """By table: the marks of the chunks that are looked at."""
    by_ledger: int = 0
    looked_at: int = 0
    oldest: datetime | None = None

    @classmethod
    def open(cls, use: LedgerUse, snapshot: Snapshot, prepared: Prepared) -> "Ledgered | None":
        """The ledger in the receiver's snapshot; None where there is none."""
        with snapshot.session() as session:
            if not ledger.is_installed(session):
                return None
            try:
                held = position.read(session, use.direction)
            except NotArmedError:
                return None
            told = watch.published(session, use.publication)
            armed = set(position.armed_names(session, use.direction))
            doubted = {
                name
                for name, comparison in prepared.comparisons.items()
                # Without a key, a log's changes are not searched for chunks.
                if not comparison.table.key
                or name not in told
                or name not in armed
                or name in held.unproven
                or name in held.stopped
            }
            doubt = "" if held.capture == "slot" else f"changes are captured by {held.capture}"
            cold = use.cold or bool(doubt) or held.receiver_capture != "slot"
            tables = ledger.read(
                session, use.direction.name, cold=cold, doubted=doubted | held.copy_whole
            )
            rules = {} if cold else ledger.rules(session, use.direction.name)
        return cls(use, held, tables, rules, prepared, doubt)

    def jobs(self) -> list[Job]:
        """What has to be looked at, by the order of the prepared comparisons."""
        return [self._job(name) for name in self.prepared.comparisons]

    def known(self, name: str) -> LedgerTable | None:
        """A table of the ledger that is parted as it would be now."""
        table = self.tables.get(name)
        current = table is not None and table.identity == self.prepared.identities[name]
        return table if current else None

    def look(self, executor: Executor, sessions: Sessions) -> list[Future[Touched]]:
        """Begin to search both logs; for `learn`. Called after both snapshots were taken."""
        if self.use.cold or self.doubt or not any(t.clean for t in self.tables.values()):
            return []
        direction = self.use.direction
        watchers = {side: sessions.watcher(side) for side in Side}
        tables = {side: self.prepared.tables[side] for side in Side}

        def read_again() -> StreamPosition:
            # In a session of its own: the receiver's watcher may be reading its slot.
            session = sessions.servers.connect(direction.receiver, autocommit=True)
            with closing(session), sessions.servers.explaining(direction.receiver):
                return position.read(session, direction)

        def unapplied() -> Touched:
            session = watchers[direction.sender]
            with sessions.servers.explaining(direction.sender):
                return watch.unapplied(
                    session,
                    self.held,
                    self.use.publication,
                    tables[direction.sender],
                    direction.sender.value,
                    read_again=read_again,
                )

        def foreign() -> Touched:
            session = watchers[direction.receiver]
            with sessions.servers.explaining(direction.receiver):
                return watch.foreign(
                    session,
                    self.held,
                    direction,
                    self.use.publication,
                    tables[direction.receiver],
                )[0]

        return [executor.submit(unapplied), executor.submit(foreign)]

    def learn(
        self,
        looking: Sequence[Future[Touched]],
        snapshot: Snapshot,
        comparer: Comparer,
        findings: Sequence[Findings],
        wait: Callable[[Future[Touched]], Touched],
    ) -> None:
        """Have the chunks compared that the logs tell of, beside those that were dirty anyway."""
        by_name = {found.comparison.table.qualified: found for found in findings}
        received = self.prepared.named(self.use.direction.receiver)
        for future in looking:
            try:
                touched = wait(future)
            except (SlotLostError, SlotBusyError, ProtocolError) as error:
                self.doubt = error.cause if isinstance(error, FailbackError) else f"{error}"
                touched = Touched(whole=set(self.tables))
            for name in touched.names & by_name.keys():
                table = self.known(name)
                if table is None:
                    continue
                with snapshot.session() as session:
                    chunks = (
                        range(table.cut.count)
                        if name in touched.whole
                        else ledger.touched(
                            session, self.use.direction.name, received[name], touched.keys[name]
                        )
                    )
                    new = set(chunks) - self.marks[name].keys()
                    clean = ledger.clean_chunks(session, self.use.direction.name, name, new)
                self._look_at(by_name[name], table, clean, comparer)

    def _look_at(
        self,
        findings: Findings,
        table: LedgerTable,
        chunks: dict[int, Agreed],
        comparer: Comparer,
    ) -> None:
        if not chunks:
            return
        for agreed in chunks.values():
            self.marks[table.name][agreed.chunk] = agreed.marks
            self.spared[table.name] = self.spared[table.name].minus(agreed.digest)
        self.by_ledger -= len(chunks)
        self.looked_at += len(chunks)
        comparer.add(self._some(table, tuple(sorted(chunks))), findings)

    def _job(self, name: str) -> Job:
        table = self.known(name)
        if table is None:
            self.looked_at += 1
            return Job(self.prepared.comparisons[name], self.prepared.sizes[name])
        self.marks[name] = dict(table.dirty)
        self.spared[name] = table.digest
        self.by_ledger += table.clean
        self.looked_at += len(table.dirty)
        if table.oldest is not None:
            self.oldest = min(table.oldest, self.oldest or table.oldest)
        return self._some(table, tuple(sorted(table.dirty)))

    def _some(self, table: LedgerTable, wanted: tuple[int, ...]) -> Job:
        name = table.name
        return Job(self.prepared.comparisons[name], self.prepared.sizes[name], table.cut, wanted)

    def add_spared(self, findings: Sequence[Findings]) -> None:
        """Add what was not looked at to both sides' digests, which are those of whole tables."""
        for found in findings:
            spared = self.spared.get(found.comparison.table.qualified)
            if spared is not None:
                for side in Side:
                    found.digests[side] += spared

    def changed(self, session: Connection) -> dict[str, dict[int, int]]:
        """By table, the chunks that were marked since the first foreign key was seen to hold."""
        since: dict[str, int] = {}
        for key in self.prepared.foreign_keys:
            before = _parsed(self.rules.get(key.name, ""))
            for name, (_, marks) in zip(key.tables, before or (), strict=False):
                since[name] = min(marks, since.get(name, marks))
        return ledger.marked_since(session, self.use.direction.name, since) if since else {}

    def unchecked(
        self, key: ForeignKey, changed: Mapping[str, Mapping[int, int]]
    ) -> sql.Composable | None:
        """Which rows a foreign key may not hold for, as a condition on `child`.

        Called after `learn`. A key that held does so still for rows that did not change and whose
        parents did not.

        Args:
            key: the foreign key.
            changed: what `changed` returned.

        Returns:
            `NONE` where nothing changed since it held; None where all rows have to be checked.
        """
        before = _parsed(self.rules.get(key.name, ""))
        if self.doubt or before is None:
            return None
        conditions: list[sql.Composable] = []
        for place, name in enumerate(key.tables):
            table = self.known(name) if name in self.prepared.comparisons else None
            identity, marks = before[place]
            if table is None or table.identity != identity:
                return None
            chunks = {chunk for chunk, at in changed[name].items() if at > marks}
            chunks |= self._told(table)
            if chunks and not self._ranges(key, place, table, sorted(chunks), conditions):
                return None
        if not conditions:
            return NONE
        return sql.SQL("({})").format(sql.SQL(" OR ").join(conditions))

    def _ranges(
        self,
        key: ForeignKey,
        place: int,
        table: LedgerTable,
        chunks: Sequence[int],
        conditions: list[sql.Composable],
    ) -> bool:
        """Add conditions for rows in, or for rows that lead into, some chunks; False if too many.

        A row that leads into a chunk can be told only where the foreign key refers to the key
        that chunks are ranges of.
        """
        columns = self.prepared.comparisons[table.name].table.key_columns
        names = {theirs: ours for ours, theirs in key.columns}
        if place and set(names) != {column.name for column in columns}:
            return False
        if len(chunks) > _MOST_RANGES:
            return False
        values = [
            sortable(c, sql.Identifier("child", names[c.name] if place else c.name))
            for c in columns
        ]
        conditions += [
            sql.SQL("({})").format(in_range(values, columns, table.cut.within(first, last)))
            for first, last in spans(chunks)
        ]
        return True

    def _told(self, table: LedgerTable) -> set[int]:
        """Chunks that only the logs told of, and that carry no mark yet."""
        return self.marks[table.name].keys() - table.dirty.keys()

    def state(self, key: ForeignKey) -> str | None:
        """What a foreign key's answer stays the same with; None where that is not known."""
        parts = []
        for name in key.tables:
            table = self.known(name) if name in self.prepared.comparisons else None
            if table is None or self._told(table):
                return None
            parts.append(f"{table.identity}:{table.marks}")
        return " ".join(parts)

    def record(
        self, sessions: Sessions, findings: Sequence[Findings], held_rules: Sequence[ForeignKey]
    ) -> None:
        """Remember what was found equal, with the marks of the snapshot that was compared."""
        direction = self.use.direction
        session = sessions.watcher(direction.receiver)
        with sessions.servers.explaining(direction.receiver):
            for found in findings:
                name = found.comparison.table.qualified
                table = self.known(name)
                if table is None:
                    continue
                agreed = [
                    Agreed(chunk, self.marks[name][chunk], sides[Side.SOURCE])
                    for chunk, sides in found.chunks.items()
                    if sides[Side.SOURCE] == sides[Side.TARGET]
                ]
                if agreed:
                    ledger.record(session, direction.name, table, agreed, self.held.lsn)
            states = {key.name: self.state(key) for key in held_rules}
            ledger.record_rules(
                session,
                direction.name,
                {name: state for name, state in states.items() if state},
            )


def _parsed(state: str) -> tuple[tuple[str, int], ...] | None:
    """Identities and marks of both tables, as `state` writes them."""
    parts = [part.rpartition(":") for part in state.split()]
    return tuple((identity, int(marks)) for identity, _, marks in parts) or None
