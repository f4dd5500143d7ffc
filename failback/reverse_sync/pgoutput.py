"""Reads pgoutput, the messages in which Postgres tells what committed transactions changed.

Changes when the protocol does. Protocol version 1, as the chapter "Logical Replication Message
Formats" of the Postgres documentation describes it. Only keys are kept: a publication with
column lists sends little else, and every change of a row is told by the key it has and had.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from failback.reverse_sync.key_set import KeySet

MARKER = "failback"
"""Prefix of the logical message by which failback's own transactions are recognised."""

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
BEGIN = struct.Struct("!QqI")
COMMIT = struct.Struct("!xQQq")
TUPLE_KIND_END = 6
"""Of a message: its type, the relation, the kind of its tuple."""
TUPLE_START = 8
"""The number of columns is before it."""

_INSERT, _UPDATE, _DELETE, _TRUNCATE = b"IUDT"
_BEGINS, _COMMITS, _RELATION, _MESSAGE, _ORIGIN, _TYPE = b"BCRMOY"
ROWS = frozenset((_INSERT, _UPDATE, _DELETE))
_NEW, _KEY, _OLD = b"NKO"
_BINARY, _TEXT, _NULL, _UNCHANGED = b"btnu"


class ProtocolError(ValueError):
    """The bytes are no pgoutput messages of version 1, or tell less than a key."""


@dataclass(frozen=True)
class Snapshot:
    """Which transactions a snapshot sees, as `pg_current_snapshot()` writes it."""

    xmin: int
    xmax: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "Snapshot":
        """Read `xmin:xmax:xip,xip,…`, 64-bit numbers."""
        xmin, xmax, running = text.split(":")
        return cls(
            int(xmin), int(xmax), frozenset(int(number) for number in running.split(",") if number)
        )

    def sees(self, xid: int) -> bool:
        """Whether a committed transaction is visible, by its 32-bit number.

        The stream carries numbers modulo 2^32. A number stands for the one nearest to the
        snapshot's end: Postgres never keeps two billion transactions apart.
        """
        full = (self.xmax & ~0xFFFFFFFF) | xid
        if full - self.xmax >= 1 << 31:
            full -= 1 << 32
        elif self.xmax - full > 1 << 31:
            full += 1 << 32
        return full < self.xmin or (full < self.xmax and full not in self.running)


@dataclass(frozen=True)
class Relation:
    """A table as the stream describes it before its first change."""

    oid: int
    schema: str
    name: str
    columns: tuple[str, ...]
    """Names in the order of the values: the columns that the publication carries."""


class WholeRow(tuple[str, ...]):
    """The columns of a table without a key, where a row is known by all its values."""

    __slots__ = ()


@dataclass
class Keys:
    """Distinct changed keys of one relation, each as the stream wrote its values.

    A value is a kind (`b` binary or `t` text), a length and the bytes; equal bytes are the
    same key, and a key that is written in two ways is merely looked up twice.
    """

    relation: Relation
    names: tuple[str, ...]
    """The key's columns in the order of the values."""
    values: KeySet = field(default_factory=KeySet)
    whole_row: bool = False
    """The table has no key: a row is known by all its values, NULLs among them."""


@dataclass
class Changes:
    """What a stretch of the stream says, netted by key."""

    keys: list[Keys] = field(default_factory=list)
    truncated: dict[int, Relation | None] = field(default_factory=dict)
    """Relations that were truncated, by oid; None where the stream did not describe them."""
    messages: int = 0
    changes: int = 0
    """Inserts, updates, deletes and truncates that were taken up."""
    transactions: int = 0
    """Transactions that were taken up: complete, not ours, not known already."""
    end: int = 0
    """End of the last complete transaction; 0 if there was none."""
    barrier: int | None = None
    """Start of the commit record of the first transaction that the snapshot does not see."""
    oldest: datetime | None = None
    """Commit time of the oldest transaction with a change."""
    first_xid: int | None = None
    """The first transaction that was read, by its 32-bit number; None where order is lost."""
    last_xid: int | None = None
    """The last one."""


Add = Callable[[bytes], None]
KeyColumns = Callable[[Relation], tuple[str, ...] | None]
"""The key's columns of a relation; None where nobody asked for its changes."""


class Decoder:
    """Takes messages in the order of the stream and nets them by key.

    Args:
        key_columns: says which columns of a relation are its key.
        sees: whether the reader's snapshot sees a transaction (32-bit number).
        known: transactions whose commit record starts before this position are left out;
            the receiver has them.
    """

    form = "peek"
    """The statement that tells messages as they are taken here."""

    def __init__(
        self, key_columns: KeyColumns, sees: Callable[[int], bool], known: int = 0
    ) -> None:
        self.changes = Changes()
        self._key_columns = key_columns
        self._sees = sees
        self._known = known
        self._relations: dict[int, Relation] = {}
        self._takers: dict[bytes, Taker | None] = {}
        self._adders: dict[bytes, Add] = {}
        self._taking = False
        self._taken = 0
        self._committed_at = 0

    def consume(self, blocks: Iterable[Sequence[bytes]]) -> Changes:
        """Read messages to their end; the result is complete up to the last commit."""
        changes, takers = self.changes, self._takers
        adders = self._adders if self._taking else {}
        for messages in blocks:
            changes.messages += len(messages)
            plain = 0
            for message in messages:
                add = adders.get(message[:TUPLE_KIND_END])
                if add is not None:
                    add(message[TUPLE_START:])
                    plain += 1
                elif message[0] not in ROWS:
                    self._taken += plain
                    plain = 0
                    self._turn(message[0], message)
                    adders = self._adders if self._taking else {}
                elif self._taking:
                    taker = takers.get(message[1:5], unknown)
                    if taker is not None:
                        taker(message)
                        self._taken += 1
            self._taken += plain
            for keys in changes.keys:
                keys.values.bound()
        return changes

    def _turn(self, kind: int, message: bytes) -> None:
        """A message that is no change of a row."""
        if kind == _BEGINS:
            self._begin(message)
        elif kind == _COMMITS:
            self._commit(message)
        elif kind == _RELATION:
            self._describe(message)
        elif kind == _TRUNCATE:
            self._truncate(message)
        elif kind == _MESSAGE:
            self._told(message)
        elif kind not in (_ORIGIN, _TYPE):
            raise ProtocolError(f"Unknown message {message[:1]!r} in the stream.")

    def _begin(self, message: bytes) -> None:
        start, self._committed_at, xid = BEGIN.unpack_from(message, 1)
        if self.changes.first_xid is None:
            self.changes.first_xid = xid
        self.changes.last_xid = xid
        if self.changes.barrier is None and not self._sees(xid):
            self.changes.barrier = start
        self._taking = start >= self._known
        self._taken = 0

    def _commit(self, message: bytes) -> None:
        changes = self.changes
        _, end, _ = COMMIT.unpack_from(message, 1)
        changes.end = end
        if self._taken:
            changes.transactions += 1
            changes.changes += self._taken
            changes.oldest = changes.oldest or moment(self._committed_at)
        self._taking = False
        self._taken = 0

    def _describe(self, message: bytes) -> None:
        relation = _relation(message)
        known = self._relations.get(relation.oid)
        if known == relation:
            return
        if known is not None:
            self._described_anew(relation)
        self._relations[relation.oid] = relation
        for start in [each for each in self._adders if each[1:5] == message[1:5]]:
            del self._adders[start]
        wanted = self._key_columns(relation)
        if wanted is None:
            self._takers[message[1:5]] = None
            return
        taker = Taker(relation, wanted)
        self._takers[message[1:5]] = taker
        self._adders.update(taker.plain())
        self.changes.keys.append(taker.keys)

    def _truncate(self, message: bytes) -> None:
        (count,) = struct.unpack_from("!I", message, 1)
        for oid in struct.unpack_from(f"!{count}I", message, 6):
            self._truncated(oid)

    def _truncated(self, oid: int) -> None:
        if self._taking:
            self.changes.truncated[oid] = self._relations.get(oid)
            self._taken += 1

    def _told(self, message: bytes) -> None:
        """A logical message."""
        self._taking = self._taking and not is_marker(message)

    def _described_anew(self, relation: Relation) -> None:
        """A relation has other columns than it had; what follows is read by these."""


class Taker:
    """Takes the keys out of the changes of one relation."""

    def __init__(self, relation: Relation, wanted: tuple[str, ...]) -> None:
        missing = [name for name in wanted if name not in relation.columns]
        if missing:
            raise ProtocolError(
                f"The stream carries {relation.schema}.{relation.name} without its key column "
                f"{missing[0]}."
            )
        self._places = [place for place, name in enumerate(relation.columns) if name in wanted]
        self.keys = Keys(
            relation,
            tuple(relation.columns[place] for place in self._places),
            whole_row=isinstance(wanted, WholeRow),
        )
        # With nothing but the key in it, a tuple's bytes can be taken as they are.
        self._whole = len(self._places) == len(relation.columns)
        self._add = self.keys.values.held.add

    def plain(self) -> dict[bytes, Add]:
        """What takes a tuple's bytes as they are, by how its message begins.

        That is most of a stream, and worth a look-up instead of a call for each.
        """
        if not self._whole:
            return {}
        relation = self.keys.relation.oid.to_bytes(4)
        kinds = ((_INSERT, _NEW), (_UPDATE, _NEW), (_DELETE, _KEY), (_DELETE, _OLD))
        return {bytes((change,)) + relation + bytes((kind,)): self._add for change, kind in kinds}

    def __call__(self, message: bytes) -> None:
        """Take the key of one insert, update or delete."""
        tuple_kind = message[5]
        values, offset = _values(message, 6)
        old = None
        if tuple_kind in (_KEY, _OLD):
            old = self._picked(values)
            self._add(b"".join(old))
            if message[0] == _DELETE:
                return
            values, _ = _values(message, offset + 1)
        new = self._picked(values)
        if old is not None:
            # A large value that did not change is not sent again: it is the old one.
            new = [
                was if value[0] == _UNCHANGED else value
                for value, was in zip(new, old, strict=True)
            ]
        self._add(b"".join(new))

    def _picked(self, values: list[bytes]) -> list[bytes]:
        return [values[place] for place in self._places]


def unknown(message: bytes) -> None:
    """Stands for the taker of a relation that the stream has not described."""
    raise ProtocolError(f"A change of a relation that was not described: {message[:5]!r}.")


def _values(message: bytes, offset: int) -> tuple[list[bytes], int]:
    """The values of a tuple, each with its kind and length, and where the tuple ends."""
    (count,) = struct.unpack_from("!H", message, offset)
    offset += 2
    values = []
    for _ in range(count):
        if message[offset] in (_NULL, _UNCHANGED):
            values.append(message[offset : offset + 1])
            offset += 1
            continue
        (length,) = struct.unpack_from("!I", message, offset + 1)
        end = offset + 5 + length
        values.append(message[offset:end])
        offset = end
    return values, offset


def fields(key: bytes, *, whole_row: bool = False) -> list[tuple[bool, bytes | None]]:
    """The values of one key as (is binary, bytes); None is NULL.

    Args:
        key: as the stream wrote it.
        whole_row: whether the key is a row of a table without one, where NULL is a value.

    Raises:
        ProtocolError: a value of the key is missing, so that no row could be found by it.
    """
    values: list[tuple[bool, bytes | None]] = []
    offset = 0
    while offset < len(key):
        kind = key[offset]
        if kind == _NULL and whole_row:
            values.append((False, None))
            offset += 1
            continue
        if kind not in (_BINARY, _TEXT):
            raise ProtocolError("The stream carries a change without a complete key.")
        (length,) = struct.unpack_from("!I", key, offset + 1)
        end = offset + 5 + length
        values.append((kind == _BINARY, key[offset + 5 : end]))
        offset = end
    return values


def _relation(message: bytes) -> Relation:
    (oid,) = struct.unpack_from("!I", message, 1)
    schema, offset = _string(message, 5)
    name, offset = _string(message, offset)
    (count,) = struct.unpack_from("!H", message, offset + 1)
    offset += 3
    columns = []
    for _ in range(count):
        column, offset = _string(message, offset + 1)
        columns.append(column)
        offset += 8
    # pg_catalog is written as an empty name.
    return Relation(oid, schema or "pg_catalog", name, tuple(columns))


def _string(message: bytes, offset: int) -> tuple[str, int]:
    end = message.index(b"\0", offset)
    return message[offset:end].decode(), end + 1


def is_marker(message: bytes) -> bool:
    """Whether a logical message is transactional and carries failback's marker."""
    prefix, _ = _string(message, 10)
    return message[1] == 1 and prefix == MARKER


def moment(microseconds: int) -> datetime:
    """The time that the stream writes as microseconds since 2000."""
    return _EPOCH + timedelta(microseconds=microseconds)


def lsn_number(text: str) -> int:
    """`16/B374D848` as a number."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) | int(low, 16)


def lsn_text(number: int) -> str:
    """A position as Postgres writes it."""
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"
