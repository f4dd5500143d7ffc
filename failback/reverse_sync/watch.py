"""What the ledger cannot know by itself: changes that no batch has applied, or that were not ours.

Changes when such changes are found in another way. Both are told by the sides' own logs:

- the sender's slot, from the receiver's position: committed there, and applied by nobody yet;
- the receiver's slot, from where it was searched last: committed there by anybody but failback,
  whose transactions carry a marker. Only the tables that are published there are told of.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from failback.errors import SlotLostError
from failback.reverse_sync import capture, ledger, overtaking
from failback.reverse_sync.catalogue import Table
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.digests import Key
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.pgoutput import (
    Changes,
    Decoder,
    Relation,
    Snapshot,
    fields,
    lsn_number,
    lsn_text,
)
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.statements import statement

# A pass that is so far behind goes on no more: the log must not be kept for it for ever.
_MOST_BEHIND = 256 * 2**20
MANY_KEYS = 20_000
"""From so many changed keys on, a table counts as changed anywhere."""


@dataclass
class Touched:
    """Rows that were changed, by table."""

    keys: dict[str, list[Key]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    """Tables with more changes than were kept, or without a key."""

    @property
    def names(self) -> frozenset[str]:
        """Every table with a change."""
        return frozenset(self.keys) | self.whole


def unapplied(
    session: Connection,
    held: StreamPosition,
    publication: str,
    tables: Iterable[Table],
    side: str,
    *,
    read_again: Callable[[], StreamPosition],
) -> Touched:
    """What the sender has committed by now and the receiver does not hold.

    Called after the snapshots to be compared were taken: what they see was committed by then. What
    a batch has carried over since is not told: the receiver holds it by now.

    Args:
        session: in autocommit mode on the sender.
        held: the position, from the snapshot of the receiver.
        publication: the publication's name.
        tables: as the sender has them.
        side: the sender's name, for messages.
        read_again: reads the position that is committed now.

    Raises:
        SlotLostError: the slot does not tell all of it.
    """
    held = overtaking.check_slot(session, held, side, read_again)
    upto = _flushed(session)
    if upto <= held.lsn:
        return Touched()
    return _read(session, held.slot, publication, tables, since=held.lsn, upto=upto)[0]


def foreign(
    session: Connection,
    held: StreamPosition,
    direction: Direction,
    publication: str,
    tables: Iterable[Table],
) -> tuple[Touched, int]:
    """What others than failback have changed on the receiver since it was searched last.

    Returns:
        The changes, and the position up to which they are known.

    Raises:
        SlotLostError: the receiver's slot does not tell all of it, or nobody searched yet.
    """
    watched = _watched(session, direction)
    slot = capture.read_slot(session, held.receiver_slot)
    receiver = direction.receiver.value
    if not slot.exists or slot.confirmed is None or slot.wal_status == "lost":
        raise SlotLostError(f"The slot {held.receiver_slot} of the {receiver} is gone.")
    if watched is None or watched[0] != held.receiver_slot or slot.confirmed > watched[1]:
        raise SlotLostError(
            f"The slot {held.receiver_slot} of the {receiver} was made anew or moved since the "
            "ledger was kept."
        )
    row = session.execute("SELECT pg_current_snapshot()::text").fetchone()
    snapshot = Snapshot.parse(row[0] if row else "1:1:")
    upto = _flushed(session)
    found, barrier = _read(
        session,
        held.receiver_slot,
        publication,
        tables,
        since=watched[1],
        upto=upto,
        sees=snapshot.sees,
    )
    # A commit that is in the log and that nobody sees yet has to be told again.
    return found, upto if barrier is None else min(upto, barrier)


def is_kept(session: Connection, held: StreamPosition) -> bool:
    """Whether a rolling pass searches the receiver's log, so that nobody else may move its slot."""
    if not ledger.is_installed(session):
        return False
    row = session.execute(
        "SELECT watched::text FROM failback.ledger_watch WHERE slot = %s", [held.receiver_slot]
    ).fetchone()
    return row is not None and held.receiver_now - lsn_number(row[0]) < _MOST_BEHIND


def begin(session: Connection, held: StreamPosition, direction: Direction) -> None:
    """Search from here on; nothing that the ledger says so far counts any more.

    The caller is the stream's only consumer, inside a transaction.
    """
    names = [
        row[0]
        for row in session.execute(
            "SELECT name FROM failback.ledger_table WHERE stream = %s", [direction.name]
        ).fetchall()
    ]
    ledger.mark_whole(session, direction.name, names)
    confirmed = capture.read_slot(session, held.receiver_slot).confirmed
    session.execute("DELETE FROM failback.ledger_watch WHERE stream = %s", [direction.name])
    if confirmed is not None:
        _set_watched(session, held, direction, confirmed)


def settle(
    session: Connection,
    held: StreamPosition,
    direction: Direction,
    found: tuple[Touched, int],
    tables: Mapping[str, Table],
) -> None:
    """Mark what others changed. The caller is the stream's only consumer, in a transaction."""
    touched, upto = found
    ledger.mark_whole(session, direction.name, sorted(touched.whole))
    for name, keys in touched.keys.items():
        chunks = ledger.touched(session, direction.name, tables[name], keys)
        ledger.mark_chunks(session, direction.name, name, chunks)
    _set_watched(session, held, direction, upto)


def published(session: Connection, publication: str) -> frozenset[str]:
    """The tables whose changes a side's slot tells, as `schema.table`."""
    rows = session.execute(
        "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = %s",
        [publication],
    )
    return frozenset(name for (name,) in rows.fetchall())


def _set_watched(session: Connection, held: StreamPosition, direction: Direction, lsn: int) -> None:
    session.execute(
        statement("ledger_watched"),
        {"stream": direction.name, "slot": held.receiver_slot, "lsn": lsn_text(lsn)},
    )


def _watched(session: Connection, direction: Direction) -> tuple[str, int] | None:
    row = session.execute(
        "SELECT slot, watched::text FROM failback.ledger_watch WHERE stream = %s",
        [direction.name],
    ).fetchone()
    return None if row is None else (row[0], lsn_number(row[1]))


def _flushed(session: Connection) -> int:
    """A position that covers all that was committed by now, and that the log is on disk to."""
    query = "SELECT pg_current_wal_insert_lsn()::text, pg_current_wal_flush_lsn()::text"
    row = session.execute(query).fetchone()
    inserted, flushed = row or ("0/0", "0/0")
    if lsn_number(inserted) > lsn_number(flushed):
        # Commits that are not on disk yet may be visible, and a slot does not tell them.
        capture.flush(session)
    return lsn_number(inserted)


def _read(
    session: Connection,
    slot: str,
    publication: str,
    tables: Iterable[Table],
    *,
    since: int,
    upto: int,
    sees: Callable[[int], bool] = lambda _: True,
) -> tuple[Touched, int | None]:
    """The net changes of a slot between two positions, with keys as texts.

    With them comes where the first transaction commits that is not seen, if there is one.
    """
    by_oid = {}
    for table in tables:
        by_oid[table.oid] = table
        by_oid.update({partition.oid: table for partition in table.partitions})

    def key_columns(relation: Relation) -> tuple[str, ...] | None:
        table = by_oid.get(relation.oid)
        return table.key if table is not None and table.key else None

    changes = capture.peek(
        session,
        slot=slot,
        publication=publication,
        upto=upto,
        limit=None,
        binary=False,
        decoder=Decoder(key_columns, sees, known=since),
    )
    return _touched(changes, by_oid), changes.barrier


def _touched(changes: Changes, by_oid: Mapping[int, Table]) -> Touched:
    found = Touched()
    for oid in changes.truncated:
        if oid in by_oid:
            found.whole.add(by_oid[oid].qualified)
    for keys in changes.keys:
        table = by_oid[keys.relation.oid]
        if not keys.values or table.qualified in found.whole:
            continue
        if len(keys.values) + len(found.keys.get(table.qualified, ())) > MANY_KEYS:
            found.whole.add(table.qualified)
            found.keys.pop(table.qualified, None)
            continue
        order = [keys.names.index(name) for name in table.key]
        for value in keys.values:
            texts = [(text or b"").decode() for _, text in fields(value)]
            key = tuple(texts[place] for place in order)
            found.keys.setdefault(table.qualified, []).append(key)
    return found
