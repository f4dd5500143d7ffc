"""What the receiver changed itself since it takes writes, however that can be found there.

Changes when it can be found in another way. Asked after the rows were locked: whoever changed one
of them has committed by then, and is found. Transactions of failback are none of its own: they
carry a marker in the log, and fire no trigger of a changelog.
"""

from dataclasses import dataclass

from failback.errors import SlotLostError
from failback.reverse_sync import capture, changelog
from failback.reverse_sync.lane import Armed, Lane
from failback.reverse_sync.pgoutput import Changes, Decoder, Relation, Snapshot, lsn_number
from failback.reverse_sync.position import StreamPosition


@dataclass(frozen=True)
class OwnChanges:
    """Keys by the receiver's relations; or nothing, where nobody knows them."""

    changes: Changes
    unknown: bool = False
    """Any row may have been changed: one that differs is to be parked."""


def find(
    lane: Lane, held: StreamPosition, armed: Armed, *, publication: str, binary: bool
) -> OwnChanges:
    """The keys that the receiver changed itself since it takes writes.

    Args:
        lane: the sessions; the writer is in the batch's transaction.
        held: the stream's position, with the moment the receiver began to take writes.
        armed: the armed tables.
        publication: the publication's name on the receiver.
        binary: whether keys are wanted in binary form.

    Raises:
        SlotLostError: a slot was to tell them, and cannot any more.
    """
    if held.receiver_capture == "none":
        return OwnChanges(Changes(), unknown=True)
    if held.receiver_capture == changelog.NAME:
        row = lane.writer.execute("SELECT pg_current_snapshot()::text").fetchone()
        relations = {
            pair.received.oid: Relation(
                pair.received.oid, pair.received.schema, pair.received.name, pair.key
            )
            for pair in armed.pairs.values()
        }
        snapshot = Snapshot.parse(row[0] if row else changelog.NOTHING)
        found = changelog.read(lane.writer, None, snapshot, relations, limit=None, binary=binary)
        return OwnChanges(found.changes)
    return OwnChanges(_told_by_slot(lane, held, armed, publication=publication, binary=binary))


def _told_by_slot(
    lane: Lane, held: StreamPosition, armed: Armed, *, publication: str, binary: bool
) -> Changes:
    observer = lane.observer
    receiver = lane.direction.receiver.value
    slot = capture.read_slot(observer, held.receiver_slot)
    since = held.receiver_lsn or 0
    if not slot.exists or slot.wal_status == "lost" or (slot.confirmed or 0) > since:
        raise SlotLostError(
            f"The slot {held.receiver_slot} of the {receiver} does not tell any more what "
            f"the {receiver} changed since it takes writes.",
            "Compare both sides (`failback sync verify`) and settle the differences by hand.",
        )
    # A commit that released a lock may not be on disk yet, where the slot is read from.
    capture.flush(observer)
    row = observer.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
    keys = {pair.received.oid: pair.key for pair in armed.pairs.values()}
    keys |= {
        partition.oid: pair.key
        for pair in armed.pairs.values()
        for partition in pair.received.partitions
    }
    return capture.peek(
        observer,
        slot=held.receiver_slot,
        publication=publication,
        upto=lsn_number(row[0]) if row else 0,
        limit=None,
        binary=binary,
        decoder=Decoder(lambda relation: keys.get(relation.oid), lambda _: True, known=since),
    )
