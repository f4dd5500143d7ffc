"""Makes the receiver's rows those of the sender where a comparison found that they differ.

Changes when a difference is repaired in another way. The receiver has to be fenced: rows that it
changed itself since it takes writes are no differences but conflicts. A row is touched only while
both sides have it as it was compared, by the digests of both; whatever moved since is left alone,
because the stream brings it. Rows go the way that those of a batch go: under the replica role,
marked as failback's own, deleted and inserted as one snapshot of the sender has them, in groups
that are each a transaction; the ledger forgets what it knew about them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from failback.errors import SafetyRuleError
from failback.models.common import Outcome, Side
from failback.models.repair import RepairReport, RowDifference, TableRepair
from failback.models.sync import VerifyReport
from failback.reverse_sync import fence, position
from failback.reverse_sync.apply import Carrier, Work, rows_of
from failback.reverse_sync.connections import Connection, Servers
from failback.reverse_sync.differences import Difference, Findings
from failback.reverse_sync.digests import Comparison, Key, RowHash
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.images import image
from failback.reverse_sync.lane import Ends, Lane
from failback.reverse_sync.matching import TablePair
from failback.reverse_sync.pgoutput import MARKER, Keys, Relation
from failback.reverse_sync.pulse import Progress
from failback.reverse_sync.sessions import Sessions
from failback.reverse_sync.statements import statement
from failback.reverse_sync.verify import Verification

MOST = 1_000_000
"""So many differences of a table are told apart and repaired by key; the rest comes next time."""
_GROUP = 500
_WAIT_SECONDS = 30.0
_SKIPPED_SHOWN = 100


def plan(work: Verification, rows: int) -> tuple[VerifyReport, RepairReport]:
    """Compare both sides, and say what a repair would do. Nothing is changed.

    Args:
        work: a verification that was not begun and keeps up to `MOST` differences.
        rows: so many rows of each table are shown with both images.
    """
    report = work.run()
    tables = []
    for found in work.findings:
        if found.total:
            shown = _shown(work.sessions, found, rows)
            tables.append(_table_plan(found, shown, work.ledger.direction if work.ledger else None))
    return report, RepairReport(
        outcome=report.outcome,
        exact=report.exact,
        tables=tuple(tables),
        detail=report.detail,
    )


def apply(
    servers: Servers,
    direction: Direction,
    work: Verification,
    planned: RepairReport,
    progress: Progress,
) -> tuple[TableRepair, ...]:
    """Do what was planned; returns the tables with what was done.

    Args:
        servers: how to reach both sides.
        direction: the sender's rows win.
        work: the verification that the plan was made with.
        planned: the plan.
        progress: called for each group of rows; may raise to stop, after which another repair
            goes on.

    Raises:
        SafetyRuleError: the receiver takes writes.
        SlotBusyError: another consumer keeps the stream.
        NotArmedError: nothing is armed.
    """
    if not planned.tables:
        return ()
    findings = {found.comparison.table.qualified: found for found in work.findings}
    with closing(Lane(servers, direction)) as lane:
        _may_repair(lane)
        held = position.read(lane.writer, direction)
        armed = lane.armed(lambda: position.armed_names(lane.writer, direction), held.tables)
        done = []
        for table in planned.tables:
            pair = armed.pairs.get(table.table)
            if pair is None:
                why = "It is not armed: run `failback arm`, which has it carried over."
                done.append(table.model_copy(update={"repairable": False, "why_not": why}))
                continue
            repair = _TableRepair(lane, pair, findings[table.table], progress)
            done.append(repair.run(table))
    return tuple(done)


@dataclass
class _TableRepair:
    """One table's repair."""

    lane: Lane
    pair: TablePair
    findings: Findings
    progress: Progress
    repaired: int = 0
    skipped: list[str] = field(default_factory=list)

    def run(self, table: TableRepair) -> TableRepair:
        if self.pair.keyless:
            self._copy_whole()
            self.repaired = table.total
        else:
            entangled = [
                group for group in _groups(self.findings.differences) if not self._try(group)
            ]
            if entangled:
                # Rows that hold each other's unique values fit only together.
                self._repair([difference for group in entangled for difference in group])
        return table.model_copy(
            update={
                "repaired": self.repaired,
                "skipped": tuple(self.skipped[:_SKIPPED_SHOWN]),
            }
        )

    def _try(self, group: Sequence[Difference]) -> bool:
        try:
            self._repair(group)
        except (psycopg.errors.UniqueViolation, psycopg.errors.ExclusionViolation):
            return False
        return True

    def _repair(self, group: Sequence[Difference]) -> None:
        self.progress(f"Repairing {self.pair.qualified}: {self.repaired} rows so far.")
        with _Together(self.lane) as (reader, writer):
            same = self._unchanged(group, reader, writer)
            keys = Keys(self._relation(), self.findings.comparison.table.key)
            keys.values.update(_written(difference.key) for difference in same)
            if keys.values:
                work = Work(self.pair, (keys,))
                self._carrier(reader, writer).carry(work)
                marked = self.lane.write_keys.name(self.pair.received)
                self.lane.marks.keys(self.pair.received, self.pair.key, marked)
        self.repaired += len(same)
        left = {difference.key for difference in group} - {difference.key for difference in same}
        self.skipped.extend(_named(self.findings.comparison, key) for key in sorted(left))

    def _copy_whole(self) -> None:
        """Rows without a key are not told apart: the table is copied as the sender has it."""
        self.progress(f"Copying {self.pair.qualified} whole: it has no key.")
        with _Together(self.lane) as (reader, writer):
            self._carrier(reader, writer).carry(Work(self.pair, whole=True))
            self.lane.marks.whole([self.pair.qualified])

    def _unchanged(
        self, group: Sequence[Difference], reader: Connection, writer: Connection
    ) -> list[Difference]:
        """Those of the rows that both sides still have as they were compared."""
        columns = _columns(difference.key for difference in group)
        comparison = self.findings.comparison
        writer.execute(_by_key("repair_lock", comparison, columns))
        sender = self.lane.direction.sender
        now: dict[Side, dict[Key, RowHash]] = {}
        for side, session in ((sender, reader), (sender.other, writer)):
            rows = session.execute(comparison.some(), columns).fetchall()
            now[side] = {tuple(row[0]): (row[1], row[2]) for row in rows}
        return [
            difference
            for difference in group
            if now[Side.SOURCE].get(difference.key) == difference.source
            and now[Side.TARGET].get(difference.key) == difference.target
        ]

    def _carrier(self, reader: Connection, writer: Connection) -> Carrier:
        ends = Ends(reader, writer, self.lane.read_keys, self.lane.write_keys)
        return Carrier(ends, binary_keys=False, pulse=lambda: None)

    def _relation(self) -> Relation:
        sent = self.pair.sent
        return Relation(sent.oid, sent.schema, sent.name, self.findings.comparison.table.key)


class _Together:
    """A snapshot of the sender, and a transaction of the receiver that nobody else writes beside.

    The receiver's transaction is the stream's only consumer: no batch moves the rows meanwhile.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    def __enter__(self) -> tuple[Connection, Connection]:
        lane = self._lane
        position.prefer(lane.writer, _WAIT_SECONDS)
        try:
            lane.writer.execute("BEGIN")
            position.take_over(lane.writer, wait_seconds=_WAIT_SECONDS)
            # Whoever lifts the fence waits for this transaction from here on.
            _may_repair(lane)
            lane.writer.execute(statement("apply_begin"))
            lane.writer.execute(
                "SELECT pg_logical_emit_message(true, %s, %s)", [MARKER, lane.direction.name]
            )
            lane.reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE")
            for session in (lane.reader, lane.writer):
                session.execute("SET LOCAL lc_monetary = 'C'")
        except BaseException:
            self._end("ROLLBACK")
            raise
        return lane.reader, lane.writer

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._end("ROLLBACK" if kind else "COMMIT")

    def _end(self, how: str) -> None:
        lane = self._lane
        for session in (lane.writer, lane.reader):
            if how == "COMMIT":
                session.execute("COMMIT")
            elif not session.closed:
                session.execute("ROLLBACK")
        lane.settle(committed=how == "COMMIT")
        position.unprefer(lane.writer)


def _may_repair(lane: Lane) -> None:
    receiver = lane.direction.receiver.value
    if fence.is_up(lane.writer) is not True:
        raise SafetyRuleError(
            f"source_fenced: the {receiver} takes writes, so that its rows may be newer than those "
            "they would be replaced with.",
            f"Repair while the {receiver} is fenced; afterwards its rows are conflicts "
            "(`failback sync conflicts`).",
        )
    if position.read(lane.writer, lane.direction).receiver_lsn is not None:
        raise SafetyRuleError(
            f"source_fenced: the {receiver} took writes of its own, and has not been armed again.",
            "Run `failback arm` when the target is live again.",
        )


def _table_plan(
    found: Findings, rows: tuple[RowDifference, ...], direction: Direction | None
) -> TableRepair:
    table = found.comparison.table
    receiver = (direction or Direction()).receiver.value
    missing, extra, different = (found.counts[kind] for kind in ("missing", "extra", "different"))
    # What is shown, and never run.
    delete = sql.SQL("DELETE FROM {}").format(table.identifier)
    insert = sql.SQL("INSERT INTO {} OVERRIDING SYSTEM VALUE …").format(table.identifier)
    if table.key:
        key = sql.SQL(", ").join(map(sql.Identifier, table.key))
        delete = sql.SQL("{} WHERE ({}) IN (…)").format(delete, key)
        counts = (extra + different, missing + different)
    else:
        counts = (found.digests[Side.SOURCE].rows, found.digests[Side.TARGET].rows)
    effects = [
        f"{receiver}: {effect.as_string()}: {count} rows"
        for effect, count in zip((delete, insert), counts, strict=True)
        if count
    ]
    return TableRepair(
        table=table.qualified,
        missing=missing,
        extra=extra,
        different=different,
        rows=rows,
        effects=tuple(effects),
    )


def _shown(sessions: Sessions, found: Findings, rows: int) -> tuple[RowDifference, ...]:
    """The first differences with both images, as the rows are now."""
    comparison = found.comparison
    first = sorted(found.differences, key=lambda each: each.key)[:rows]
    table = comparison.table
    if not first or not table.key:
        return tuple(
            RowDifference(kind=difference.kind, key={"row": difference.key[0]})
            for difference in first
        )
    columns = _columns(difference.key for difference in first)
    images: dict[Side, dict[Key, Any]] = {}
    for side in Side:
        session = sessions.watcher(side)
        with sessions.servers.explaining(side):
            answer = session.execute(_by_key("repair_images", comparison, columns)).fetchall()
        images[side] = {tuple(row[0]): row[1] for row in answer}
    return tuple(
        RowDifference(
            kind=difference.kind,
            key=dict(zip(table.key, difference.key, strict=True)),
            source_image=images[Side.SOURCE].get(difference.key),
            target_image=images[Side.TARGET].get(difference.key),
        )
        for difference in first
    )


def _by_key(name: str, comparison: Comparison, values: Sequence[Sequence[str]]) -> sql.Composed:
    """A statement about rows by key, given as a list of texts for each key column."""
    table = comparison.table
    comma = sql.SQL(", ")
    wanted = [sql.Identifier(f"k{place}") for place, _ in enumerate(table.key)]
    parts: Mapping[str, sql.Composable] = {
        "table": rows_of(table),
        "names": comma.join(
            sql.SQL("t.{}::text").format(column.identifier) for column in table.key_columns
        ),
        "image": image("t", [c.name for c in table.columns if not c.generated]),
        "columns": comma.join(
            sql.SQL("t.{}").format(column.identifier) for column in table.key_columns
        ),
        **comparison.wanted_keys(wanted),
        # The image's expression has percent signs of its own, so that there are no parameters.
        "arrays": comma.join(sql.SQL("{}::text[]").format(sql.Literal(v)) for v in values),
    }
    return sql.SQL(statement(name)).format(**parts)


def _groups(differences: Iterable[Difference]) -> Iterator[list[Difference]]:
    """Bounded groups: extra rows first, because others may need the unique values they hold."""
    order = {"extra": 0, "different": 1, "missing": 2}
    ordered = sorted(differences, key=lambda each: (order[each.kind], each.key))
    for start in range(0, len(ordered), _GROUP):
        yield ordered[start : start + _GROUP]


def _columns(keys: Iterable[Key]) -> list[list[str]]:
    return [list(values) for values in zip(*keys, strict=True)]


def _written(key: Key) -> bytes:
    """A key in text form, as a stream would write its values."""
    values = [value.encode() for value in key]
    return b"".join(b"t" + len(value).to_bytes(4) + value for value in values)


def _named(comparison: Comparison, key: Key) -> str:
    return ", ".join(
        f"{name}={value}" for name, value in zip(comparison.table.key, key, strict=True)
    )


def outcome_of(tables: Iterable[TableRepair], after: VerifyReport) -> Outcome:
    """What a repair came to: that of the comparison afterwards, unless rows were left alone."""
    if any(table.skipped or not table.repairable for table in tables):
        return Outcome.FAILED if after.outcome is Outcome.FAILED else Outcome.INCONCLUSIVE
    return after.outcome
