"""An estate's change archive: arms, archives, tells its state, replays and prunes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import psycopg

from failback.change_archive import arming
from failback.change_archive.chain import Range, path_from
from failback.change_archive.finding import Way, find, position_of
from failback.change_archive.replaying import replay
from failback.change_archive.settings import ArchiveSettings
from failback.change_archive.shelf import ArchiveShelf, Contents
from failback.change_archive.tables import told
from failback.change_archive.taking import Head, Round, Taker, head_at
from failback.errors import (
    ArchiveError,
    ArchiveGapError,
    ConfigurationError,
    CredentialsError,
    NotArmedError,
    SlotLostError,
    UnreachableError,
)
from failback.models.archive import ChainStart
from failback.models.backups import BackupManifest
from failback.models.common import Side
from failback.models.recovery import ArchiveState, RestoreReport
from failback.ports import Progress
from failback.reverse_sync import capture, wal_limit
from failback.reverse_sync.connections import Connection, Servers
from failback.reverse_sync.pgoutput import lsn_number, lsn_text
from failback.reverse_sync.pulse import Pulse


@dataclass(frozen=True)
class _Work:
    """What can stop a round: whoever is told of it, by way of the sessions at work."""

    pulse: Pulse
    sessions: list[Connection]


class EstateArchive:
    """Implements `ChangeArchive`.

    Args:
        settings: of the estate.
        shelf: where the archive is.
        backup: reads the manifest of a backup of this estate, once it is known to be unchanged.
    """

    def __init__(
        self,
        settings: ArchiveSettings,
        shelf: ArchiveShelf,
        backup: Callable[[str], BackupManifest],
    ) -> None:
        self._settings = settings
        self._shelf = shelf
        self._backup = backup
        self._lock = threading.Lock()
        self._head: Head | None = None
        self._ranges: list[Range] = []

    def arm(self) -> ArchiveState:
        """See `ChangeArchive.arm`."""
        with self._alone() as session:
            try:
                head = self._refreshed()
                reason = "" if head is None else self._broken(session, head)
            except ArchiveError as error:
                # Nothing can be added to what cannot be trusted.
                head, reason = None, error.cause
            if head is None or reason:
                head = self._begun(session, reason)
            else:
                arming.publish(session, self._settings)
            return self._state(head, head.at)

    def disarm(self) -> None:
        """See `ChangeArchive.disarm`."""
        with self._alone() as session:
            arming.remove(session, self._settings.slot)
            self._head = None

    def archive_once(self, progress: Progress | None = None) -> ArchiveState:
        """See `ChangeArchive.archive_once`. After a gap, a new chain is begun.

        Raises:
            NotArmedError: nothing is armed.
            SlotBusyError: another failback is at it.
        """
        sessions: list[Connection] = []
        with Pulse(progress, lambda: _cancel(sessions)) as pulse, self._alone() as session:
            sessions.append(session)
            try:
                head = self._found()
                if head is None:
                    raise NotArmedError("Nothing is archived.", "Run `failback arm` first.")
                return self._archived(session, head, _Work(pulse, sessions))
            finally:
                # Whatever stands in the archive's way must not fill the target's disk.
                if not session.closed:
                    arming.keep_limit(session, self._settings)

    def state(self, backup: str = "") -> ArchiveState:
        """See `ChangeArchive.state`. The target is asked as well, where it answers."""
        contents, head = self._read()
        looked = "" if head is None else self._looked(head)
        while head is not None and looked:
            # A segment may have been stored between the two looks.
            contents, fresh = self._read()
            if fresh == head or fresh is None:
                break
            head, looked = fresh, self._looked(fresh)
        if head is None:
            return ArchiveState(detail="Nothing is archived: run `failback arm`.")
        chain, newest = head.chain, contents[head.chain.id]
        said = [looked, _gap(chain)]
        first = min((each.start for each in newest.ranges), default=lsn_number(chain.begins))
        hole = path_from(first, newest.ranges)
        if hole.resumes is not None:
            said.append(
                f"Segments are missing between {lsn_text(hole.end)} and {lsn_text(hole.resumes)}."
            )
        state = _summed(newest.ranges, head, first, head.at, _joined(said))
        return state if not backup else self._beyond(backup, state, contents)

    def replay(
        self, backup: str, dsn: str, after: str = "", progress: Progress | None = None
    ) -> RestoreReport:
        """See `ChangeArchive.replay`."""
        sessions: list[Connection] = []
        with Pulse(progress, lambda: _cancel(sessions)) as pulse:

            def tell(text: str) -> None:
                pulse.text = text
                pulse()
                if progress is not None:
                    progress(text)

            manifest = self._backup(backup)
            way = find(manifest, self._shelf, self._shelf.contents())
            return replay(
                self._shelf,
                way,
                backup,
                Servers(dsn, dsn, self._settings.connect_timeout_seconds),
                after=after,
                headroom=self._settings.sequence_headroom,
                tell=tell,
                opened=sessions.append,
            )

    def prune(self, keep_from: str) -> int:
        """See `ChangeArchive.prune`. Nothing goes that is newer than the backup."""
        if not keep_from:
            raise ConfigurationError(
                "Name the oldest backup that has to be followed.",
                "`failback backup list` lists those that there are.",
            )
        manifest = self._backup(keep_from)
        contents = self._shelf.contents()
        try:
            way = find(manifest, self._shelf, contents)
        except ArchiveGapError:
            # Nothing says which of all this belongs to backups that are newer.
            return 0
        deleted = 0
        for chain, found in contents.items():
            if chain > way.chain.id:
                continue
            if chain < way.chain.id:
                self._shelf.discard_chain(found)
                deleted += len(found.ranges)
                continue
            gone = _needless(found, position_of(manifest))
            self._shelf.discard(chain, gone)
            deleted += len(set(gone).intersection(found.ranges))
        with self._lock:
            self._head = None
        return deleted

    def close(self) -> None:
        """See `ChangeArchive.close`."""
        self._shelf.store.close()

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A session of the only archiver, for one caller at a time."""
        with (
            self._lock,
            closing(self._settings.connect()) as session,
            self._settings.servers.explaining(Side.TARGET),
        ):
            arming.take(session)
            try:
                yield session
            except BaseException:
                # Whatever was at work, the store knows best how far it came.
                self._head = None
                raise

    def _found(self) -> Head | None:
        """Where the newest chain ends; None where there is none."""
        if self._head is None:
            contents, self._head = self._read()
            self._ranges = [] if self._head is None else contents[self._head.chain.id].ranges
        return self._head

    def _read(self) -> tuple[dict[str, Contents], Head | None]:
        """What the store has, and where the newest chain ends; None where there is none."""
        contents = self._shelf.contents()
        if not contents:
            return contents, None
        newest = contents[max(contents)]
        last = max(newest.ranges, key=_end, default=None)
        return contents, head_at(self._shelf, self._shelf.chain(newest.id), last)

    def _archived(self, session: Connection, head: Head, work: _Work) -> ArchiveState:
        """Store what is new; begin anew where changes may be missing."""
        if self._shelf.following(head.chain.id, head.end):
            head = self._refreshed() or head
        try:
            return self._taken(self._round(session, head, work))
        except SlotLostError as error:
            # Another process may have gone on with the chain, or have begun another one.
            fresh = self._refreshed() or head
            if (fresh.chain.id, fresh.end) != (head.chain.id, head.end):
                with suppress(SlotLostError):
                    return self._taken(self._round(session, fresh, work))
            begun = self._begun(session, self._why(session, error))
            return self._state(begun, begun.at)

    def _round(self, session: Connection, head: Head, work: _Work) -> Round:
        with closing(self._settings.connect()) as reader:
            work.sessions.append(reader)
            return Taker(self._settings, self._shelf, session, work.pulse).round(head, reader)

    def _refreshed(self) -> Head | None:
        self._head = None
        return self._found()

    def _taken(self, done: Round) -> ArchiveState:
        self._head = done.head
        if done.segment is not None:
            self._ranges.append(done.segment)
        return self._state(done.head, done.seen_at, told(done.problems))

    def _begun(self, session: Connection, reason: str) -> Head:
        chain = arming.begin(session, self._settings, self._shelf, reason)
        self._ranges = []
        self._head = head_at(self._shelf, chain, None)
        return self._head

    def _broken(self, session: Connection, head: Head) -> str:
        """Why a chain cannot be gone on with; empty where it can."""
        slot = capture.read_slot(session, self._settings.slot)
        try:
            capture.check_slot(slot, head.position(self._settings.slot), "target")
        except SlotLostError as error:
            return self._why(session, error)
        return ""

    def _why(self, session: Connection, error: SlotLostError) -> str:
        given_up = wal_limit.given_up(session, self._settings.slot)
        return f"the slot was given up, {given_up}" if given_up else error.cause

    def _looked(self, head: Head) -> str:
        """What the target says about the archive's slot; empty where all is well, or unknown."""
        with suppress(UnreachableError, CredentialsError):
            try:
                with (
                    closing(self._settings.connect()) as session,
                    self._settings.servers.explaining(Side.TARGET),
                ):
                    broken = self._broken(session, head)
            except psycopg.Error as error:
                raise ArchiveError(f"The target cannot be asked: {error}.") from error
            return f"Changes are not archived now: {broken}" if broken else ""
        return "The target does not answer, so that nothing is archived now."

    def _state(self, head: Head, seen_at: datetime, detail: str = "") -> ArchiveState:
        first = min((each.start for each in self._ranges), default=lsn_number(head.chain.begins))
        return _summed(self._ranges, head, first, seen_at, _joined([_gap(head.chain), detail]))

    def _beyond(
        self, backup: str, state: ArchiveState, contents: dict[str, Contents]
    ) -> ArchiveState:
        """The part of the archive that lies beyond a backup."""
        try:
            way: Way = find(self._backup(backup), self._shelf, contents)
        except ArchiveError as error:
            return state.model_copy(
                update={"segments": 0, "keys": 0, "detail": _joined([str(error), state.detail])}
            )
        return state.model_copy(
            update={
                "segments": len(way.path.ranges),
                "keys": way.keys,
                "first_position": lsn_text(way.position),
                "last_position": lsn_text(way.path.end),
                "joins_backup": way.reaches_now,
            }
        )


def _needless(found: Contents, position: int) -> list[Range]:
    """Segments that lie before a position, the last one never among them."""
    last = max(found.ranges, key=_end, default=None)
    return [
        each
        for each in sorted({*found.ranges, *found.data})
        if each.end <= position and each != last
    ]


def _summed(ranges: list[Range], head: Head, first: int, at: datetime, detail: str) -> ArchiveState:
    return ArchiveState(
        segments=len(ranges),
        keys=sum(each.keys for each in ranges),
        first_position=lsn_text(first),
        last_position=lsn_text(head.end),
        last_commit_at=at,
        gap=_gap(head.chain),
        detail=detail,
    )


def _gap(chain: ChainStart) -> str:
    """What is missing before a chain; empty where nothing is."""
    if not chain.reason:
        return ""
    return (
        f"There is a gap before {chain.begins} ({chain.begun_at:%F %T} UTC): "
        f"{chain.reason.rstrip('.')}. A backup from before it cannot be followed beyond it."
    )


def _joined(sentences: list[str]) -> str:
    return " ".join(each for each in sentences if each)


def _end(place: Range) -> int:
    return place.end


def _cancel(sessions: list[Connection]) -> None:
    """End the statements at work, from another thread."""
    for session in tuple(sessions):
        with suppress(psycopg.Error):
            session.cancel_safe()
