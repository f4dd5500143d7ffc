"""The sessions that a consumer of the stream works with, and what they have read already.

Changes when a batch needs another session, or something else is kept between batches.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from failback.models.common import Side
from failback.models.sync import TableProblem
from failback.reverse_sync import position, publication
from failback.reverse_sync.catalogue import read_named
from failback.reverse_sync.connections import Connection, Servers
from failback.reverse_sync.copying import collect, send
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.ledger import Marks
from failback.reverse_sync.matching import TablePair, match, refusals
from failback.reverse_sync.pgoutput import Relation
from failback.reverse_sync.staging import Staging
from failback.reverse_sync.statements import statement

_LOOK_AGAIN_SECONDS = 2.0
_TRY_AGAIN_SECONDS = 30.0
_ROLES = ("writer", "observer", "reader", "helper")


@dataclass(frozen=True)
class Armed:
    """The armed tables as both catalogues had them, and how to notice that they changed."""

    digest: str
    """Of the names that are armed, as the position tells it."""
    pairs: Mapping[str, TablePair]
    """By `schema.table`."""
    by_oid: Mapping[int, TablePair]
    """By the oid that the stream uses: of the table, or of each of its partitions."""
    others: frozenset[int]
    """Oids that are known to belong to no armed table."""
    sent: Mapping[int, str]
    """Fingerprints of the sender's tables by oid."""
    received: Mapping[int, str]
    """Fingerprints of the receiver's tables by oid."""
    stopped: Mapping[str, TableProblem] = field(default_factory=dict)
    """Armed tables that cannot be carried over for now, with why; they are no pairs."""

    @property
    def binary_keys(self) -> bool:
        """Whether the stream's values can be asked for in binary form."""
        return all(pair.binary_key for pair in self.pairs.values())

    def key_columns(self, relation: Relation) -> tuple[str, ...] | None:
        """The key of a relation of the stream; None for a table that is not armed.

        Raises:
            UnknownRelation: the catalogues were read before there was such a relation.
            KeyChanged: the stream does not carry what the table is keyed by now.
        """
        pair = self.by_oid.get(relation.oid)
        if pair is not None:
            if not frozenset(pair.key).issubset(relation.columns):
                raise KeyChanged(pair.qualified)
            return pair.key
        if relation.oid not in self.others:
            raise UnknownRelation(relation.oid)
        return None


class UnknownRelation(Exception):  # noqa: N818 - not an error: catalogues are read again
    """The stream tells of a relation, by its oid, that the catalogues did not have."""


class KeyChanged(Exception):  # noqa: N818 - not an error of the batch: the table is stopped
    """The stream tells changes of the table in its argument by another key than it has now."""


@dataclass(frozen=True)
class Ends:
    """What one carrier of rows works with: a session on each side, and their key tables."""

    reader: Connection
    writer: Connection
    read_keys: Staging
    write_keys: Staging


class Lane:
    """Three sessions: one reads rows, one reads the slot, one writes on the receiver.

    Further pairs of a reader and a writer are there while tables are carried side by side. All
    are in autocommit mode; a batch begins and ends its transactions itself. Not thread-safe: its
    user holds a lock.

    Args:
        servers: how to reach both sides.
        direction: the stream's.
        hands: pairs of reader and writer that a large batch may use.
    """

    def __init__(self, servers: Servers, direction: Direction, hands: int = 1) -> None:
        self.servers = servers
        self.direction = direction
        self._sessions: dict[str, Connection] = {}
        self._staging: dict[str, Staging] = {}
        self._armed: Armed | None = None
        self._others: set[int] = set()
        self._refused: dict[str, tuple[TableProblem, float]] = {}
        self._again_at = 0.0
        self._marks: tuple[Connection, Marks] | None = None
        self.hands = hands
        self._sent_by: Connection | None = None

    @property
    def reader(self) -> Connection:
        """On the sender, for the snapshot and the rows."""
        return self._session("reader")

    @property
    def helper(self) -> Connection:
        """On the sender, for the slot."""
        helper = self._session("helper")
        if self._sent_by is not None:
            if self._sent_by is helper:
                collect(helper)
            self._sent_by = None
        return helper

    def send(self, query: sql.Composed) -> None:
        """Have the helper carry a statement out while others work; its outcome is not looked at."""
        helper = self.helper
        send(helper, query)
        self._sent_by = helper

    @property
    def writer(self) -> Connection:
        """On the receiver."""
        return self._session("writer")

    @property
    def observer(self) -> Connection:
        """On the receiver, for its own slot, while the writer is in a transaction."""
        return self._session("observer")

    @property
    def read_keys(self) -> Staging:
        """The reader's key tables."""
        return self._staged("reader")

    @property
    def write_keys(self) -> Staging:
        """The writer's key tables."""
        return self._staged("writer")

    def ends(self, number: int = 0) -> Ends:
        """The sessions of one carrier: number 0 has the batch's own reader and writer."""
        suffix = f"-{number}" if number else ""
        reader, writer = f"reader{suffix}", f"writer{suffix}"
        return Ends(
            reader=self._session(reader),
            writer=self._session(writer),
            read_keys=self._staged(reader),
            write_keys=self._staged(writer),
        )

    def give_back(self) -> None:
        """Close the sessions of further carriers."""
        for name in tuple(self._sessions):
            if "-" in name:
                self._drop(name)

    @property
    def marks(self) -> Marks:
        """Marks in the ledger what the batch's own writer changes."""
        writer = self.writer
        if self._marks is None or self._marks[0] is not writer:
            self._marks = writer, Marks(writer, self.direction.name)
        return self._marks[1]

    def armed(self, names: Callable[[], tuple[str, ...]], digest: str) -> Armed:
        """The armed tables, read again when others are armed or a stopped one may be cured."""
        if self._armed is not None and self._armed.stopped and time.monotonic() >= self._again_at:
            self.forget()
        if self._armed is None or self._armed.digest != digest:
            self._armed = self._read_armed(names(), digest)
            self._again_at = time.monotonic() + _LOOK_AGAIN_SECONDS
        return self._armed

    def stop(self, problem: TableProblem) -> None:
        """Leave a table out whose rows were refused; it is tried again after a while."""
        self._refused[problem.table] = problem, time.monotonic() + _TRY_AGAIN_SECONDS
        self.forget()

    def look(self) -> None:
        """Read catalogues again where an armed table is gone, or was made anew under its name.

        Nothing in the stream tells that: a table that was made anew is not published.
        """
        if self._armed is None:
            return
        oids = [pair.sent.oid for pair in self._armed.pairs.values()]
        row = self.helper.execute(
            "SELECT count(*) FROM pg_class WHERE oid = ANY (%s)", [oids]
        ).fetchone()
        if row is None or row[0] != len(oids):
            self.forget()

    def retry(self) -> None:
        """Try stopped tables again now."""
        if self._refused or (self._armed is not None and self._armed.stopped):
            self._refused.clear()
            self.forget()

    def forget(self, relation: int | None = None) -> None:
        """Read catalogues again at the next use.

        Args:
            relation: an oid that belongs to no armed table unless they say so then, as that of
                a new partition; a relation that was dropped has no rows to be carried over.
        """
        self._armed = None
        if relation is not None:
            self._others.add(relation)
        # A key table has the types that the key had when it was made.
        for name in tuple(self._sessions):
            if name.startswith(("reader", "writer")):
                self._drop(name)

    def sessions(self) -> tuple[tuple[Connection, Side], ...]:
        """The open sessions, the writer first, each with its side."""
        return tuple(
            (self._sessions[name], self._side(name))
            for name in sorted(
                self._sessions, key=lambda name: _ROLES.index(name.partition("-")[0])
            )
        )

    def settle(self, *, committed: bool) -> None:
        """The batch's transactions ended on both sides."""
        for staging in self._staging.values():
            staging.settle(committed=committed)

    def warm(self) -> None:
        """Open the sessions, read the catalogues and make the key tables.

        Raises:
            NotArmedError: nothing is armed.
        """
        held = position.read(self.writer, self.direction)
        armed = self.armed(lambda: position.armed_names(self.writer, self.direction), held.tables)
        for pair in armed.pairs.values():
            self.read_keys.prepare(pair.sent, pair.key)
            self.write_keys.prepare(pair.received, pair.key)
        self.settle(committed=True)

    def cancel(self) -> None:
        """End the statements at work, from another thread."""
        for session, _ in self.sessions():
            with contextlib.suppress(psycopg.Error):
                session.cancel_safe()

    def close(self) -> None:
        """Give the sessions back."""
        for name in tuple(self._sessions):
            self._drop(name)
        self._armed = None

    def _read_armed(self, names: tuple[str, ...], digest: str) -> Armed:
        """Each armed table is a pair, or stopped: nothing that one lacks stops the others."""
        now = time.monotonic()
        self._refused = {n: each for n, each in self._refused.items() if each[1] > now}
        stopped = {name: each[0] for name, each in self._refused.items()}
        sent = read_named(self.helper, names)
        received = read_named(self.writer, names)
        sender = self.direction.sender
        for name in names:
            if name not in sent:
                stopped[name] = TableProblem(
                    table=name,
                    problem=f"does not exist on the {sender.value} any more",
                    cure="Exclude it and run `failback arm` again, or create it anew",
                )
        held = position.read(self.writer, self.direction)
        # Slot and publication carry one name.
        published = (
            publication.published(self.helper, held.slot) if held.capture == "slot" else names
        )
        for name in sent:
            if name not in published and name not in held.uncaptured:
                stopped[name] = TableProblem(
                    table=name,
                    problem=f"is not published on the {sender.value}: it was made anew since it "
                    "was armed",
                    cure="Run `failback arm` again",
                )
        pairs, problems = match(sent.values(), received, self.direction)
        for problem in (*problems, *refusals(sent.values(), sender)):
            stopped.setdefault(problem.table, problem)
        pairs = tuple(pair for pair in pairs if pair.qualified not in stopped)
        by_oid = {}
        for pair in pairs:
            by_oid[pair.sent.oid] = pair
            for partition in pair.sent.partitions:
                by_oid[partition.oid] = pair
        # Changes of a stopped table are not taken: it is compared whole when it goes on.
        ignored = {table.oid for name, table in sent.items() if name in stopped}
        ignored.update(
            partition.oid
            for name, table in sent.items()
            if name in stopped
            for partition in table.partitions
        )
        return Armed(
            digest=digest,
            pairs={pair.qualified: pair for pair in pairs},
            by_oid=by_oid,
            others=frozenset(self._others.union(ignored).difference(by_oid)),
            sent=fingerprints(self.helper, [pair.sent.oid for pair in pairs]),
            received=fingerprints(self.writer, [pair.received.oid for pair in pairs]),
            stopped=stopped,
        )

    def _session(self, name: str) -> Connection:
        connection = self._sessions.get(name)
        if connection is not None and (
            connection.closed or connection.info.transaction_status is TransactionStatus.UNKNOWN
        ):
            self._drop(name)
            connection = None
        if connection is None:
            connection = self.servers.connect(self._side(name), autocommit=True)
            self._sessions[name] = connection
            self._staging[name] = Staging(connection)
        return connection

    def _side(self, name: str) -> Side:
        on_receiver = name.startswith(("writer", "observer"))
        return self.direction.receiver if on_receiver else self.direction.sender

    def _staged(self, name: str) -> Staging:
        self._session(name)
        return self._staging[name]

    def _drop(self, name: str) -> None:
        connection = self._sessions.pop(name, None)
        self._staging.pop(name, None)
        if connection is not None:
            connection.close()


def _place(name: str) -> int:
    return _ROLES.index(name.partition("-")[0])


def fingerprints(connection: Connection, oids: list[int]) -> dict[int, str]:
    """One value per table that changes when its columns do."""
    return dict(connection.execute(statement("fingerprint"), {"tables": oids}).fetchall())
