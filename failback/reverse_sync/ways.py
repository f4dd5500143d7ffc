"""The ways of capture behind one seam: what a batch asks for, whoever remembers the changes.

Changes when there is another way. A way opens a snapshot of the sender, tells the keys that
changed up to it, and forgets them when the receiver has committed, never before.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from failback.errors import ConfigurationError, SchemaDriftError, SlotLostError
from failback.models.sync import CAPTURE_WAYS
from failback.reverse_sync import capture, changelog, slot_reading, tail, wal_limit
from failback.reverse_sync.capture import Horizon
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.lane import Armed, Lane
from failback.reverse_sync.pgoutput import Changes, ProtocolError, Relation
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.tail import Tail

SLOT, CHANGELOG, DIFF = "slot", changelog.NAME, "diff"


@dataclass(frozen=True)
class Captured:
    """The keys that changed since the receiver's position."""

    changes: Changes
    reached: int
    """The position of a receiver that has applied them."""
    cut: bool = False
    """Whether a limit ended the reading before the snapshot."""
    applied: str | None = None
    """The changelog's rows that are among them: those that this snapshot sees."""
    logs: tuple[str, ...] = ()
    """The changelog's tables that can be shortened afterwards."""


class Way(Protocol):
    """One way to know what the sender changed."""

    name: str
    """As `failback arm --capture` takes it."""
    everything: bool
    """Whether every table has to be compared in every batch, because no key is remembered."""

    def open(self, lane: Lane, held: StreamPosition) -> Horizon:
        """Begin the sender's transaction of a batch; its snapshot is taken before the position.

        Raises:
            SlotLostError: changes may be missing.
        """

    def beginning(
        self, lane: Lane, held: StreamPosition, armed: Armed, horizon: Horizon, *, binary: bool
    ) -> Changes:
        """The first of the keys that `read` is to find, where reading them all takes long.

        None where it does not. Arguments and errors are those of `read`.
        """

    def read(
        self,
        lane: Lane,
        held: StreamPosition,
        armed: Armed,
        horizon: Horizon,
        *,
        limit: int | None,
        binary: bool,
        beginning: Changes | None = None,
    ) -> Captured:
        """The keys that changed between the receiver's position and the horizon.

        Args:
            lane: the sessions; its reader is in the horizon's transaction.
            held: the receiver's position.
            armed: the armed tables.
            horizon: what `open` returned.
            limit: stop at the first commit after so many changes; None reads all.
            binary: whether keys are wanted in binary form.
            beginning: what `beginning` returned, if it was called.

        Raises:
            SlotLostError: changes may be missing.
            SlotBusyError: another session keeps reading them.
            SchemaDriftError: they are told by another key than the catalogue has.
        """

    def acknowledge(
        self, lane: Lane, held: StreamPosition, horizon: Horizon, captured: Captured
    ) -> None:
        """The receiver has committed: let the sender forget these changes.

        Raises:
            SlotBusyError: another session keeps reading them; the next batch forgets them too.
        """

    def look(self, connection: Connection, held: StreamPosition) -> Tail:
        """What is captured and not applied, without taking any of it."""


@contextmanager
def _fitting() -> Iterator[None]:
    try:
        yield
    except ProtocolError as error:
        raise SchemaDriftError(
            f"The stream does not fit the catalogue: {error}",
            "A key was changed after arming: run `failback arm` again.",
        ) from error


class SlotWay:
    """A logical slot: the server's log remembers, and costs the writers nothing more."""

    name = SLOT
    everything = False

    def open(self, lane: Lane, held: StreamPosition) -> Horizon:
        """See `Way`."""
        sender = lane.direction.sender.value
        try:
            return capture.open_horizon(lane.reader, held, sender)
        except SlotLostError as error:
            reason = wal_limit.given_up(lane.helper, held.slot)
            if not reason:
                raise
            raise SlotLostError(
                f"The slot {held.slot} of the {sender} was given up deliberately, {reason}.",
                error.cure,
            ) from error

    def beginning(
        self, lane: Lane, held: StreamPosition, armed: Armed, horizon: Horizon, *, binary: bool
    ) -> Changes:
        """See `Way`."""
        with _fitting():
            return slot_reading.beginning(lane, held, armed, horizon, binary=binary)

    def read(
        self,
        lane: Lane,
        held: StreamPosition,
        armed: Armed,
        horizon: Horizon,
        *,
        limit: int | None,
        binary: bool,
        beginning: Changes | None = None,
    ) -> Captured:
        """See `Way`."""
        # What is not on disk cannot be read, and would be taken for read.
        if not horizon.flushed:
            capture.flush(lane.helper)
        with _fitting():
            changes, limit = slot_reading.read(
                lane, held, armed, horizon, limit=limit, binary=binary, beginning=beginning
            )
        # Somebody who advanced the slot between the first look and the reading is caught here.
        slot = capture.read_slot(lane.helper, held.slot)
        capture.check_slot(slot, held, lane.direction.sender.value)
        cut = limit is not None and changes.messages >= limit and changes.end < horizon.lsn
        reached = changes.end if cut else horizon.lsn
        if changes.barrier is not None:
            # The snapshot sees every commit before it, and not this one.
            reached = min(reached, changes.barrier)
        return Captured(changes, max(held.lsn, reached), cut)

    def acknowledge(
        self, lane: Lane, held: StreamPosition, horizon: Horizon, captured: Captured
    ) -> None:
        """See `Way`."""
        confirmed = horizon.slot.confirmed
        if confirmed is None or confirmed < captured.reached:
            # The server reads its log up to there, and nobody needs the outcome: if it fails, the
            # next batch tells it again.
            lane.send(capture.advancing(held.slot, captured.reached))

    def look(self, connection: Connection, held: StreamPosition) -> Tail:
        """See `Way`."""
        return tail.look(connection, slot=held.slot, publication=held.slot, known=held.lsn)


class ChangelogWay:
    """Triggers that write down each changed key; needs no right to replicate."""

    name = CHANGELOG
    everything = False

    def open(self, lane: Lane, held: StreamPosition) -> Horizon:
        """See `Way`."""
        horizon = _plain_horizon(lane, held)
        changelog.check(lane.reader, held, horizon.snapshot, lane.direction.sender.value)
        return horizon

    def beginning(
        self, lane: Lane, held: StreamPosition, armed: Armed, horizon: Horizon, *, binary: bool
    ) -> Changes:
        """Reading takes no time to speak of."""
        del lane, held, armed, horizon, binary
        return Changes()

    def read(
        self,
        lane: Lane,
        held: StreamPosition,
        armed: Armed,
        horizon: Horizon,
        *,
        limit: int | None,
        binary: bool,
        beginning: Changes | None = None,
    ) -> Captured:
        """See `Way`."""
        del beginning
        relations = {
            pair.sent.oid: Relation(pair.sent.oid, pair.sent.schema, pair.sent.name, pair.key)
            for pair in armed.pairs.values()
        }
        found = changelog.read(
            lane.reader, held.applied, horizon.snapshot, relations, limit=limit, binary=binary
        )
        return Captured(
            found.changes,
            held.lsn if found.cut else max(held.lsn, horizon.lsn),
            found.cut,
            applied=found.applied,
            logs=found.logs,
        )

    def acknowledge(
        self, lane: Lane, held: StreamPosition, horizon: Horizon, captured: Captured
    ) -> None:
        """See `Way`."""
        del held, horizon
        if captured.logs and captured.applied is not None:
            changelog.forget(lane.helper, captured.logs, captured.applied)

    def look(self, connection: Connection, held: StreamPosition) -> Tail:
        """See `Way`."""
        return changelog.look(connection, held.applied)


class DiffWay:
    """Nothing is remembered: both sides are compared by checksum, in every batch."""

    name = DIFF
    everything = True

    def open(self, lane: Lane, held: StreamPosition) -> Horizon:
        """See `Way`."""
        return _plain_horizon(lane, held)

    def beginning(
        self, lane: Lane, held: StreamPosition, armed: Armed, horizon: Horizon, *, binary: bool
    ) -> Changes:
        """There is nothing to read."""
        del lane, held, armed, horizon, binary
        return Changes()

    def read(
        self,
        lane: Lane,
        held: StreamPosition,
        armed: Armed,
        horizon: Horizon,
        *,
        limit: int | None,
        binary: bool,
        beginning: Changes | None = None,
    ) -> Captured:
        """See `Way`."""
        del lane, armed, limit, binary, beginning
        return Captured(Changes(), max(held.lsn, horizon.lsn))

    def acknowledge(
        self, lane: Lane, held: StreamPosition, horizon: Horizon, captured: Captured
    ) -> None:
        """Nothing was remembered."""

    def look(self, connection: Connection, held: StreamPosition) -> Tail:
        """Nobody knows without a comparison, unless nothing at all was written since."""
        return tail.unknown(connection, held.lsn)


_WAYS: Mapping[str, Way] = MappingProxyType(
    {way.name: way for way in (SlotWay(), ChangelogWay(), DiffWay())}
)


def of(name: str) -> Way:
    """The way of this name.

    Raises:
        ConfigurationError: there is none.
    """
    way = _WAYS.get(name)
    if way is None:
        raise ConfigurationError(
            f"There is no way of capture {name}.",
            f"Leave it out, or write {', '.join(CAPTURE_WAYS)}.",
        )
    return way


def _plain_horizon(lane: Lane, held: StreamPosition) -> Horizon:
    sender = lane.direction.sender.value
    horizon = capture.unchecked_horizon(lane.reader, held, sender)
    capture.check_history(horizon.slot, held, sender)
    return horizon
