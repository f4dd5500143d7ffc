"""What a comparison needs to know about both catalogues, read again only when they changed.

Changes when a comparison has to know something else beforehand. Inside a fence every millisecond
is a customer's; so one query a side tells whether anything changed since the last comparison.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from failback.models.common import Side
from failback.models.sync import TableProblem
from failback.reverse_sync.catalogue import Table
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.digests import Comparison, agreed_form, compared
from failback.reverse_sync.foreign_keys import ForeignKey, read_foreign_keys
from failback.reverse_sync.sessions import Sessions, Snapshot
from failback.reverse_sync.statements import statement

Tables = Mapping[Side, Sequence[Table]]
Load = Callable[[Mapping[Side, Connection]], Tables]
"""Reads both sides' tables; those that the target lacks are not looked at."""
_Pair = tuple[Table, Table]
_Stamps = Mapping[Side, Mapping[int, str]]


@dataclass(frozen=True)
class Prepared:
    """Tables as they are compared."""

    tables: Tables
    comparisons: Mapping[str, Comparison]
    """By `schema.table`, in the order of the target's tables."""
    identities: Mapping[str, str]
    """By table: changes with whatever decides which rows it holds, but for writes."""
    sizes: Mapping[str, int]
    """Bytes on the larger side, when the catalogues were read."""
    foreign_keys: tuple[ForeignKey, ...]
    """Those of the source that touch the tables."""
    problems: tuple[TableProblem, ...]
    """What keeps tables from being compared, or from being equal."""
    differ: bool
    """Whether one of the problems means that the sides differ."""

    def named(self, side: Side) -> dict[str, Table]:
        """A side's tables by `schema.table`."""
        return {table.qualified: table for table in self.tables[side]}


class Catalogues:
    """Keeps what was prepared.

    Args:
        load: reads both sides' tables.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._stamps: _Stamps = {}
        self._prepared: Prepared | None = None

    def prepare(self, snapshots: Mapping[Side, Snapshot]) -> Prepared:
        """What is known about the tables, as the snapshots have them."""
        stamps = {side: _stamps(snapshots[side]) for side in Side}
        if self._prepared is None or stamps != self._stamps:
            with (
                snapshots[Side.SOURCE].session() as source,
                snapshots[Side.TARGET].session() as target,
            ):
                sessions = {Side.SOURCE: source, Side.TARGET: target}
                self._prepared = _prepare(sessions, self._load(sessions), stamps)
            self._stamps = stamps
        return self._prepared

    def warm(self, sessions: Sessions) -> None:
        """Read both catalogues, so that the next comparison need not."""
        with (
            sessions.lock,
            Snapshot(sessions, Side.TARGET) as target,
            Snapshot(sessions, Side.SOURCE) as source,
        ):
            self.prepare({Side.SOURCE: source, Side.TARGET: target})

    def forget(self) -> None:
        """Read everything again at the next comparison, sizes as well."""
        self._prepared = None


def _stamps(snapshot: Snapshot) -> dict[int, str]:
    with snapshot.session() as session:
        return dict(session.execute(statement("stamps")).fetchall())


def _prepare(sessions: Mapping[Side, Connection], tables: Tables, stamps: _Stamps) -> Prepared:
    on_source = {table.qualified: table for table in tables[Side.SOURCE]}
    problems: list[TableProblem] = []
    pairs: list[_Pair] = []
    for theirs in tables[Side.TARGET]:
        ours = on_source.get(theirs.qualified)
        if ours is None:
            cure = "Create it on the source as it is on the target."
            problems.append(_problem(theirs, "The source has no such table.", cure))
        else:
            pairs.append((ours, theirs))
    differ = bool(problems)
    sizes = {side: _sizes(sessions[side], side, pairs) for side in Side}
    bytewise = _bytewise(sessions, pairs)
    form = agreed_form([sessions[side] for side in Side])
    comparisons, identities = {}, {}
    for ours, theirs in pairs:
        name = theirs.qualified
        unread = [side for side in Side if not sizes[side][name][1]]
        for side in unread:
            cure = f"GRANT SELECT ON {theirs.identifier.as_string()} TO failback's role."
            problems.append(_problem(theirs, f"failback may not read it on the {side}.", cure))
        if unread:
            continue
        comparison, found = compared(ours, theirs, form, bytewise)
        problems.extend(found)
        differ = differ or bool(found)
        if any(key not in {column.name for column in ours.columns} for key in theirs.key):
            continue
        comparisons[name] = comparison
        parts = (
            comparison.identity,
            stamps[Side.SOURCE][ours.oid],
            stamps[Side.TARGET][theirs.oid],
        )
        identities[name] = sha256("\n".join(parts).encode()).hexdigest()
    wanted = {table.qualified for table in tables[Side.TARGET]}
    oids = [table.oid for table in tables[Side.SOURCE] if table.qualified in wanted]
    return Prepared(
        tables=tables,
        comparisons=comparisons,
        identities=identities,
        sizes={name: max(sizes[side][name][0] for side in Side) for name in comparisons},
        foreign_keys=read_foreign_keys(sessions[Side.SOURCE], oids),
        problems=tuple(problems),
        differ=differ,
    )


def _problem(table: Table, problem: str, cure: str) -> TableProblem:
    return TableProblem(table=table.qualified, problem=problem, cure=cure)


def _sizes(session: Connection, side: Side, pairs: Sequence[_Pair]) -> dict[str, tuple[int, bool]]:
    """Bytes, and whether it may be read, by table."""
    names = {_on(side, pair).oid: pair[1].qualified for pair in pairs}
    rows = session.execute(statement("digest_sizes"), {"tables": list(names)}).fetchall()
    return {names[oid]: (size, readable) for oid, size, readable in rows}


def _bytewise(
    sessions: Mapping[Side, Connection], pairs: Sequence[_Pair]
) -> dict[int, frozenset[str]]:
    """By a table's oid on the target, the text columns that sort by bytes on both sides."""
    found: dict[Side, set[tuple[str, str]]] = {}
    for side, session in sessions.items():
        names = {_on(side, pair).oid: pair[1].qualified for pair in pairs}
        rows = session.execute(statement("digest_collations"), {"tables": list(names)})
        found[side] = {(names[oid], column) for oid, column in rows}
    both = found[Side.SOURCE] & found[Side.TARGET]
    return {
        theirs.oid: frozenset(column for table, column in both if table == theirs.qualified)
        for _, theirs in pairs
    }


def _on(side: Side, pair: _Pair) -> Table:
    return pair[0] if side is Side.SOURCE else pair[1]
