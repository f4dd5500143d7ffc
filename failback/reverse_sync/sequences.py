"""Sets the receiver's sequences beyond both sides', with head-room.

Changes when a sequence's next value has to be kept clear of something else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg import sql

from failback.reverse_sync.connections import Connection
from failback.reverse_sync.statements import statement


@dataclass(frozen=True)
class Sequence:
    """A sequence's bounds and the last value that it may have given out."""

    identifier: sql.Identifier
    last: int
    """One step before the start where none was given out yet."""
    increment: int
    minimum: int
    maximum: int


def synchronise(
    sender: Connection, receiver: Connection, schemas: Iterable[str], headroom: int
) -> int:
    """Move every sequence that both sides have; returns how many moved.

    A sequence moves in the direction of its increment, beyond the further of both sides by
    `headroom` steps, and never out of its bounds nor back. A second call moves none that has
    not given out values in between.
    """
    names = sorted(set(schemas))
    return move_beyond(read(sender, names), receiver, names, headroom)


def move_beyond(
    theirs: Mapping[str, Sequence], receiver: Connection, schemas: list[str], headroom: int
) -> int:
    """Move the receiver's sequences beyond both its own values and others'; how many moved.

    Args:
        theirs: the others by `schema.name`; only `last` and `increment` count.
        receiver: whose sequences are moved.
        schemas: those to look in.
        headroom: steps beyond.
    """
    moved = 0
    for name, sequence in read(receiver, schemas).items():
        counterpart = theirs.get(name)
        wanted = None if counterpart is None else _wanted(counterpart, sequence, headroom)
        if wanted is None:
            continue
        receiver.execute(
            "SELECT setval(%s::regclass, %s, true)", [sequence.identifier.as_string(), wanted]
        )
        moved += 1
    return moved


def _wanted(sent: Sequence, received: Sequence, headroom: int) -> int | None:
    """The value to set; None where the receiver's sequence is far enough already."""
    ahead = sent.last + headroom * sent.increment
    wanted = min(max(ahead, received.minimum), received.maximum)
    far_enough = received.last >= wanted if received.increment > 0 else received.last <= wanted
    return None if far_enough else wanted


def read(connection: Connection, schemas: list[str]) -> dict[str, Sequence]:
    """The sequences of some schemas by `schema.name`."""
    bounds = connection.execute(statement("sequences"), {"schemas": schemas}).fetchall()
    if not bounds:
        return {}
    # The view of sequences hides the value of one that was set and not used since.
    values = connection.execute(
        sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}::int, last_value, is_called FROM {}").format(
                sql.Literal(place), sql.Identifier(schema, name)
            )
            for place, (schema, name, *_) in enumerate(bounds)
        )
    ).fetchall()
    found = {}
    for place, last, is_called in values:
        schema, name, increment, minimum, maximum = bounds[place]
        found[f"{schema}.{name}"] = Sequence(
            identifier=sql.Identifier(schema, name),
            last=last if is_called else last - increment,
            increment=increment,
            minimum=minimum,
            maximum=maximum,
        )
    return found
