"""What is to be done for each table, from what was captured and what was compared.

Changes when something else makes a table's rows be carried over.
"""

from collections.abc import Iterable

from failback.reverse_sync.apply import Work
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.lane import Armed, fingerprints
from failback.reverse_sync.pgoutput import Changes, Keys
from failback.reverse_sync.reproof import Unlike
from failback.reverse_sync.statements import statement


def works_of(
    armed: Armed, changes: Changes, copy_whole: Iterable[str], unlike: Iterable[Unlike] = ()
) -> list[Work]:
    """What to do, by table. A table that was truncated is copied whole.

    Args:
        armed: the armed tables.
        changes: what was captured.
        copy_whole: tables to be copied whole for another reason.
        unlike: what a comparison found.
    """
    whole = set(copy_whole)
    for oid in changes.truncated:
        pair = armed.by_oid.get(oid)
        if pair is not None:
            whole.add(pair.qualified)
    keys: dict[str, list[Keys]] = {}
    for found in changes.keys:
        if found.values:
            keys.setdefault(armed.by_oid[found.relation.oid].qualified, []).append(found)
    for each in unlike:
        if each.keys is None:
            whole.add(each.pair.qualified)
        elif each.keys.values:
            keys.setdefault(each.pair.qualified, []).append(each.keys)
    return [
        Work(pair, tuple(keys.get(name, ())), whole=name in whole)
        for name, pair in armed.pairs.items()
        if name in whole or name in keys
    ]


def catalogues_hold(
    reader: Connection, writer: Connection, armed: Armed, works: Iterable[Work]
) -> bool:
    """Whether both sides' tables are as they were when the catalogues were read.

    A column that was added since must not be left out.
    """
    works = tuple(works)
    return all(
        fingerprints(session, oids) == {oid: known[oid] for oid in oids}
        for session, known, oids in (
            (reader, armed.sent, [work.pair.sent.oid for work in works]),
            (writer, armed.received, [work.pair.received.oid for work in works]),
        )
    )


def rewritten(reader: Connection, works: Iterable[Work]) -> bool:
    """Whether a table's storage was replaced, so that it looks empty to an older snapshot."""
    works = tuple(works)
    oids = [work.pair.sent.oid for work in works]
    oids += [leaf.oid for work in works for leaf in work.pair.sent.leaves]
    return reader.execute(statement("rewritten"), {"tables": oids}).fetchone() is not None
