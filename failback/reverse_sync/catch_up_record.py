"""A catch-up as the receiver keeps it: what it reaches to, its shares, and their keys.

Changes when something else has to be known to carry a share or to settle. It is committed before
the first share is carried, so that any worker can go on with it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import psycopg

from failback.models.catch_up import CatchUpProgress
from failback.reverse_sync.apply import Work
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.key_set import KeySet, packed, unpacked
from failback.reverse_sync.lane import Armed
from failback.reverse_sync.matching import TablePair
from failback.reverse_sync.parallel_apply import may_be_cut
from failback.reverse_sync.pgoutput import Keys, Relation, lsn_number, lsn_text
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.statements import statement

_HELD_KEYS = 50_000
"""So many keys are held while they are dealt out, over all shares."""
_PORTIONS = 16
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '100ms'"
_KEYS_TYPES = ("text", "int4", "int4", "text", "int8", "text[]", "bool", "bool", "bytea")

Shape = tuple[int, str, int, str]
"""Oid and fingerprint of a table on the sender, and of the one on the receiver."""


@dataclass(frozen=True)
class CatchUpRun:
    """An open catch-up."""

    run: str
    origin: int
    """The stream's position when the keys were read."""
    origin_applied: str
    """The changelog's rows that had been applied then, as a snapshot; empty for a slot."""
    upto: int
    """The position of a receiver that has all of it."""
    applied: str | None
    """The changelog's rows that are among it, as a snapshot."""
    logs: tuple[str, ...]
    """The changelog's tables that can be shortened afterwards."""
    changes: int
    keys: int
    binary: bool
    """Whether keys are kept in binary form."""
    shapes: Mapping[str, Shape]
    """By table: a table that is another one by now is not carried."""

    def follows(self, held: StreamPosition) -> bool:
        """Whether the stream's position is still the one that the keys were read from."""
        return (held.lsn, held.applied or "") == (self.origin, self.origin_applied)


@dataclass(frozen=True)
class KeptShare:
    """One share as it is kept."""

    number: int
    label: str
    keys: int
    rows: int
    bytes: int
    carried: bool


@dataclass
class Dealt:
    """The works of one share, or a work that is cut into several."""

    works: list[Work]
    parts: int = 1

    @property
    def label(self) -> str:
        """Its tables, shortened."""
        first = self.works[0].pair.qualified
        return f"{first} and {len(self.works) - 1} more" if len(self.works) > 1 else first


def shape(armed: Armed, pair: TablePair) -> Shape:
    """What a table is known by on both sides."""
    sent, received = pair.sent.oid, pair.received.oid
    return sent, armed.sent[sent], received, armed.received[received]


def deal(works: Iterable[Work], share_keys: int) -> list[Dealt]:
    """Cut large tables by key where that can be done, and put small ones together.

    Cutting is for tables where nothing but the key is unique: the shares are carried as of
    different moments, and rows of two of them never meet. Two shares never have two tables in
    common, so that their marks in the ledger never wait for each other in a ring.
    """
    dealt: list[Dealt] = []
    together = Dealt([])
    for work in sorted(works, key=lambda each: each.count, reverse=True):
        if work.whole or work.count >= share_keys:
            parts = -(-work.count // share_keys) if may_be_cut(work) else 1
            dealt.append(Dealt([work], parts))
            continue
        if together.works and sum(each.count for each in together.works) + work.count > share_keys:
            dealt.append(together)
            together = Dealt([])
        together.works.append(work)
    return [*dealt, together] if together.works else dealt


def begin(
    connection: Connection, stream: str, run: CatchUpRun, works: Iterable[Work], share_keys: int
) -> None:
    """Keep a catch-up, in a transaction of the stream's only consumer.

    Args:
        connection: in that transaction, on the receiver.
        stream: the stream's name.
        run: the catch-up.
        works: what is to be carried.
        share_keys: about so many keys make a share.
    """
    connection.execute(statement("catch_up"))
    connection.execute(
        statement("catch_up_begin"),
        {
            "run": run.run,
            "stream": stream,
            "origin": lsn_text(run.origin),
            "origin_applied": run.origin_applied,
            "upto": lsn_text(run.upto),
            "applied": run.applied,
            "logs": list(run.logs),
            "changes": run.changes,
            "keys": run.keys,
            "binary": run.binary,
            "shapes": json.dumps(run.shapes),
        },
    )
    labels: dict[int, str] = {}
    counts: Counter[int] = Counter()
    number = 1
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY failback.catch_up_keys FROM STDIN (FORMAT binary)") as copy,
    ):
        copy.set_types(_KEYS_TYPES)
        place = 0
        for dealt in deal(works, share_keys):
            for part in range(dealt.parts):
                labels[number + part] = dealt.label
            for work in dealt.works:
                for share, keys, values in _portions(work, number, dealt.parts):
                    place += 1
                    counts[share] += len(values)
                    copy.write_row((run.run, share, place, *_row(work, keys, values)))
            number += dealt.parts
    connection.cursor().executemany(
        "INSERT INTO failback.catch_up_share (run, share, label, keys) VALUES (%s, %s, %s, %s)",
        [(run.run, share, label, counts[share]) for share, label in labels.items()],
    )


def _portions(work: Work, first: int, parts: int) -> Iterator[tuple[int, Keys | None, list[bytes]]]:
    """A work's keys in portions, each with its share, by the keys' hashes.

    A key that is there twice stays in one share.
    """
    if work.whole:
        yield first, None, []
        return
    for keys in work.keys:
        buckets: list[list[bytes]] = [[] for _ in range(parts)]
        held = 0
        for value in keys.values:
            buckets[hash(value) % parts].append(value)
            held += 1
            if held == _HELD_KEYS:
                yield from _filled(buckets, first, keys)
                held = 0
        yield from _filled(buckets, first, keys)


def _filled(
    buckets: list[list[bytes]], first: int, keys: Keys
) -> Iterator[tuple[int, Keys | None, list[bytes]]]:
    for part, bucket in enumerate(buckets):
        if bucket:
            yield first + part, keys, bucket
            bucket.clear()


def _row(work: Work, keys: Keys | None, values: list[bytes]) -> tuple[object, ...]:
    return (
        work.pair.qualified,
        keys.relation.oid if keys else 0,
        list(keys.names) if keys else [],
        bool(keys and keys.whole_row),
        work.whole,
        packed(values),
    )


def opened(connection: Connection, direction: Direction, held: StreamPosition) -> CatchUpRun | None:
    """The open catch-up of a stream, if there is one, and the position is still its own.

    Args:
        connection: in a transaction in which no catch-up can be taken away.
        direction: the stream's.
        held: the position as this transaction has read it.
    """
    if not held.catch_up:
        return None
    row = connection.execute(statement("catch_up_open"), {"stream": direction.name}).fetchone()
    if row is None:
        return None
    run, origin, origin_applied, upto, applied, logs, changes, keys, binary, shapes = row
    found = CatchUpRun(
        run=run,
        origin=lsn_number(origin),
        origin_applied=origin_applied,
        upto=lsn_number(upto),
        applied=applied,
        logs=tuple(logs),
        changes=changes,
        keys=keys,
        binary=binary,
        shapes={name: tuple(each) for name, each in shapes.items()},
    )
    return found if found.follows(held) else None


def shares(connection: Connection, run: str) -> tuple[KeptShare, ...]:
    """The shares of a catch-up, the largest first."""
    rows = connection.execute(statement("catch_up_shares"), {"run": run}).fetchall()
    return tuple(KeptShare(*row) for row in rows)


@dataclass
class _Read:
    """One table's part of a share while its keys are read."""

    whole: bool = False
    keys: dict[tuple[int, tuple[str, ...], bool], Keys] = field(default_factory=dict)


def works(
    connection: Connection, run: str, share: int, pairs: Mapping[str, TablePair]
) -> tuple[Work, ...]:
    """What a share is to carry; keys beyond a bound are kept in a file.

    Args:
        connection: in a transaction on the receiver.
        run: the catch-up.
        share: the share's number.
        pairs: the armed tables; every table of the share is among them.
    """
    found: dict[str, _Read] = {}
    with connection.cursor("failback_share", binary=True) as cursor:
        cursor.itersize = _PORTIONS
        cursor.execute(
            "SELECT name, relation, columns, whole_row, whole, data FROM failback.catch_up_keys"
            " WHERE run = %s AND share = %s ORDER BY place",
            [run, share],
        )
        for name, relation, columns, whole_row, whole, data in cursor:
            table = found.setdefault(name, _Read())
            if whole:
                table.whole = True
                continue
            known = (relation, tuple(columns), whole_row)
            keys = table.keys.get(known)
            if keys is None:
                pair = pairs[name]
                described = Relation(relation, pair.sent.schema, pair.sent.name, known[1])
                keys = Keys(described, known[1], KeySet(), whole_row)
                table.keys[known] = keys
            keys.values.update(unpacked(data))
            keys.values.bound()
    return tuple(
        Work(pairs[name], tuple(table.keys.values()), whole=table.whole)
        for name, table in sorted(found.items())
    )


def names(connection: Connection, run: str, share: int) -> tuple[str, ...]:
    """The tables of a share."""
    rows = connection.execute(
        "SELECT DISTINCT name FROM failback.catch_up_keys WHERE run = %s AND share = %s",
        [run, share],
    )
    return tuple(sorted(name for (name,) in rows.fetchall()))


def progress(connection: Connection, stream: str) -> CatchUpProgress | None:
    """How far the open catch-up of a stream is; None where there is none, or it is being ended.

    Args:
        connection: a session in autocommit mode on the receiver.
        stream: the stream's name.
    """
    try:
        with connection.transaction():
            connection.execute(_LOCK_TIMEOUT)
            row = connection.execute(statement("catch_up_progress"), {"stream": stream}).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.LockNotAvailable):
        return None
    if row is None:
        return None
    run, count, carried, keys, done, size_rows, size_bytes, started_at, seconds = row
    return CatchUpProgress(
        run=run,
        shares=count,
        shares_carried=carried,
        keys=keys,
        keys_carried=done,
        rows=size_rows,
        bytes=size_bytes,
        started_at=started_at,
        seconds_to_go=(keys - done) * seconds / done if done and seconds else None,
    )
