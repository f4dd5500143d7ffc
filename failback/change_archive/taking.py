"""One round: what the target has committed since the last segment becomes the next one.

Changes when the order of these steps does. The order is what nothing is lost by:

1. the target's snapshot is taken, then a position that covers all it sees;
2. the slot is read up to that position, keys are netted, and their rows are read in the snapshot;
3. data are stored, and after them the manifest, with which the segment exists;
4. only then is the slot advanced.

A crash before the manifest leaves an object that nobody knows, and the next round begins at the
same position; a crash after it leaves a slot that lies behind the archive, which is looked at
first.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql

from failback.change_archive import reading
from failback.change_archive.chain import Range
from failback.change_archive.segment import SegmentWriter
from failback.change_archive.settings import ArchiveSettings
from failback.change_archive.shelf import ArchiveShelf
from failback.change_archive.tables import ArchivedTables, published
from failback.errors import ArchiveError, SlotBusyError, UnreachableError
from failback.models.archive import ArchivedSequence, ChainStart, SegmentManifest
from failback.models.sync import TableProblem
from failback.reverse_sync import capture, sequences
from failback.reverse_sync.apply import Work
from failback.reverse_sync.capture import Horizon
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.pgoutput import Changes, Keys, lsn_number, lsn_text
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.works import rewritten

_ATTEMPTS = 6
_LOCK_MS = 500
"""Below the server's deadlock_timeout: where the product waits for us, it is we who give way."""

Pulse = Callable[[], None]


@dataclass(frozen=True)
class Head:
    """The end of a chain, as far as it is stored."""

    chain: ChainStart
    end: int
    at: datetime
    """When everything before the end was in the archive."""
    covered: dict[str, int]
    previous: str = ""
    previous_sha256: str = ""

    def position(self, slot: str) -> StreamPosition:
        """The same in the words of the reverse sync, whose checks of a slot it is held to."""
        return StreamPosition(
            slot=slot,
            system_identifier=int(self.chain.system_identifier),
            lsn=self.end,
            batch=0,
            updated_at=self.at,
            receiver_slot="",
            receiver_lsn=None,
            receiver_now=0,
            copy_whole=frozenset(),
            tables="",
            timeline=self.chain.timeline,
        )


@dataclass(frozen=True)
class Round:
    """What a round came to."""

    head: Head
    seen_at: datetime
    """The archive held everything that was committed before this."""
    segment: Range | None = None
    """None where nothing had to be stored."""
    problems: tuple[TableProblem, ...] = ()


@dataclass(frozen=True)
class _Seen:
    """What an attempt has seen before it writes."""

    head: Head
    horizon: Horizon
    reached: int
    tables: ArchivedTables
    oldest: datetime | None


class Stale(Exception):  # noqa: N818 - not an error: the round begins again
    """One of the tables was rewritten while their rows were read."""

    def __init__(self, works: tuple[Work, ...]) -> None:
        self.works = works
        super().__init__()


@dataclass(frozen=True)
class Taker:
    """Takes rounds of one chain.

    Args:
        settings: the estate's.
        shelf: where segments are kept.
        helper: the session that is known to be the only archiver's, in autocommit mode.
        pulse: called while rows flow; raises to stop.
    """

    settings: ArchiveSettings
    shelf: ArchiveShelf
    helper: Connection
    pulse: Pulse

    def round(self, head: Head, reader: Connection) -> Round:
        """Store the next segment.

        Args:
            head: where the chain ends.
            reader: a session in autocommit mode on the target, for the snapshot.

        Raises:
            SlotLostError: changes may be missing; nothing was stored.
            ArchiveError: tables are rewritten all the time.
        """
        works: tuple[Work, ...] = ()
        for _ in range(_ATTEMPTS):
            try:
                return self._attempt(head, reader, works)
            except Stale as stale:
                works = stale.works
            except psycopg.errors.LockNotAvailable:
                # The table is being rewritten at this moment, which is over some time.
                self.pulse()
            reader.execute("ROLLBACK")
        raise ArchiveError(
            "Tables kept being rewritten while their rows were read.",
            "Wait until that has finished; nothing was lost.",
        )

    def _attempt(self, head: Head, reader: Connection, works: Sequence[Work]) -> Round:
        position = head.position(self.settings.slot)
        horizon = capture.unchecked_horizon(
            reader, position, "target", lambda: _hold(reader, works)
        )
        capture.check_slot(horizon.slot, position, "target")
        tables = published(reader, self.settings)
        changes = reading.read(
            self.helper, self.settings.slot, horizon, head.end, tables.key_columns
        )
        # Somebody who advanced the slot between the first look and the reading is caught here.
        capture.check_slot(capture.read_slot(self.helper, self.settings.slot), position, "target")
        reached = horizon.lsn if changes.barrier is None else min(horizon.lsn, changes.barrier)
        seen_at = horizon.at if reached == horizon.lsn else head.at
        works = _works(tables, changes, head.covered)
        idle = not works and tables.covered == head.covered
        waited = (horizon.at - head.at).total_seconds()
        if reached <= head.end or (idle and waited < self.settings.idle_seconds):
            reader.execute("ROLLBACK")
            return Round(head, seen_at, problems=tables.problems)
        seen = _Seen(head, horizon, reached, tables, changes.oldest)
        with tempfile.TemporaryDirectory(prefix="failback-archive-") as folder:
            data = Path(folder) / "data"
            manifest = self._written(seen, works, reader, data)
            reader.execute("COMMIT")
            place = Range(head.end, reached, manifest.keys)
            digest = self.shelf.write(
                manifest, place, data if manifest.data_bytes else None, self._alone
            )
        self._advance(reached)
        return Round(
            Head(head.chain, reached, horizon.at, tables.covered, place.name, digest),
            seen_at,
            place,
            tables.problems,
        )

    def _written(
        self, seen: _Seen, works: list[Work], reader: Connection, data: Path
    ) -> SegmentManifest:
        """Write the data into a file, and say what is in it."""
        with data.open("wb") as file:
            writer = SegmentWriter(reader, file, self.pulse)
            written = tuple(writer.write(work) for work in works)
        if rewritten(reader, works):
            raise Stale(tuple(works))
        snapshot = reader.execute("SELECT pg_current_snapshot()::text").fetchall()[0][0]
        head = seen.head
        return SegmentManifest(
            estate=self.settings.estate,
            chain=head.chain.id,
            begins=lsn_text(head.end),
            ends=lsn_text(seen.reached),
            at=seen.horizon.at,
            snapshot=snapshot,
            previous=head.previous,
            previous_sha256=head.previous_sha256,
            oldest=seen.oldest,
            tables=written,
            covered=seen.tables.covered,
            sequences=_sequences(reader, seen.tables.schemas),
            data_bytes=writer.bytes,
            data_sha256=writer.sha256 if writer.bytes else "",
        )

    def _alone(self) -> None:
        """Whether this is still the only archiver: with the session its lock would be gone."""
        try:
            self.helper.execute("SELECT 1")
        except psycopg.Error as error:
            raise UnreachableError(
                "The connection to the target was lost before a segment was stored.",
                "The next round stores it.",
            ) from error

    def _advance(self, reached: int) -> None:
        try:
            capture.advance(self.helper, self.settings.slot, reached)
        except SlotBusyError:
            # The segment is stored; the log goes with the next round.
            return


def head_at(shelf: ArchiveShelf, chain: ChainStart, last: Range | None) -> Head:
    """The end of a chain whose last segment is known; None where it has none."""
    if last is None:
        return Head(chain, lsn_number(chain.begins), chain.begun_at, chain.covered)
    manifest, digest = shelf.manifest(chain.id, last)
    return Head(chain, last.end, manifest.at, manifest.covered, last.name, digest)


def _hold(reader: Connection, works: Sequence[Work]) -> None:
    """Keep tables from being rewritten before the snapshot is taken; never for long."""
    if not works:
        return
    tables = sql.SQL(", ").join(work.pair.sent.identifier for work in works)
    reader.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(_LOCK_MS)))
    reader.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(tables))


def _works(tables: ArchivedTables, changes: Changes, covered: dict[str, int]) -> list[Work]:
    """What has changed, by table; a table that was truncated, or is new here, as a whole."""
    whole = {name for name, oid in tables.covered.items() if covered.get(name) != oid}
    for oid in changes.truncated:
        pair = tables.by_oid.get(oid)
        if pair is not None:
            whole.add(pair.qualified)
    keys: dict[str, list[Keys]] = {}
    for found in changes.keys:
        pair = tables.by_oid.get(found.relation.oid)
        if pair is not None and found.values:
            keys.setdefault(pair.qualified, []).append(found)
    return [
        Work(pair, () if name in whole else tuple(keys.get(name, ())), whole=name in whole)
        for name, pair in tables.pairs.items()
        if name in whole or name in keys
    ]


def _sequences(session: Connection, schemas: list[str]) -> tuple[ArchivedSequence, ...]:
    return tuple(
        ArchivedSequence(name=name, last=found.last, increment=found.increment)
        for name, found in sequences.read(session, schemas).items()
    )
