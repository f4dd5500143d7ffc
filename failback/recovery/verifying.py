"""Checks what was restored and replayed, before anybody is sent there.

Changes when something else has to hold in a restored database.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from failback.errors import FailbackError
from failback.models.common import Outcome
from failback.models.recovery import Condition
from failback.models.system import Item, ItemsReport
from failback.ports import Progress
from failback.recovery.findings import Finding
from failback.recovery.reading import Deadline, check_structure, count_rows
from failback.recovery.settings import Hands, RecoverySettings
from failback.recovery.standby import Standby
from failback.recovery.statements import statement
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.foreign_keys import check_foreign_key, read_foreign_keys
from failback.reverse_sync.rules import check_rule

_AMCHECK_SCHEMA = "failback_amcheck"
_NAMED = 5


@dataclass(frozen=True)
class _OwnedSequence:
    """A sequence with how far the column that it serves has got."""

    name: sql.Identifier
    text: str
    last: int
    largest: int
    increment: int
    highest: int

    @property
    def is_behind(self) -> bool:
        """Whether the next value may be there already."""
        if self.increment > 0:
            return self.last < self.largest
        return self.last > self.largest


def verify(
    settings: RecoverySettings,
    hands: Hands,
    standby: Standby,
    rollback_id: str,
    progress: Progress,
) -> ItemsReport:
    """See `Recovery.verify`."""
    restored = standby.needed(rollback_id)
    items: list[Item] = []
    with standby.session(restored.name) as session, _amcheck(session):
        deadline = Deadline(settings.amcheck_seconds)
        findings = [
            *count_rows(session, deadline, progress).findings,
            *check_structure(session, deadline, progress),
        ]
        items.extend(_told(findings))
        progress("Checking foreign keys.")
        items.append(_foreign_keys(session))
        progress("Checking business rules.")
        items.append(_rules(session, settings))
        items.append(_sequences(session))
    items.append(_objects(settings, hands, progress))
    return ItemsReport(items=tuple(items), note=f"{restored.name} on {standby.place}")


def raise_sequences(standby: Standby, database: str, headroom: int) -> int:
    """Set sequences that are behind their columns beyond them; returns how many moved."""
    moved = 0
    with standby.session(database) as session:
        for one in _owned_sequences(session):
            if one.is_behind:
                wanted = one.largest + headroom * one.increment
                bounded = min(wanted, one.highest) if one.increment > 0 else wanted
                session.execute(
                    "SELECT setval(%s::regclass, %s, true)", [one.name.as_string(), bounded]
                )
                moved += 1
    return moved


def _told(findings: list[Finding]) -> list[Item]:
    """Evidence as items. What amcheck could not look at was read, which the others say."""
    read = any(one.name == "b-trees can be read" for one in findings)
    return [
        one.item
        for one in findings
        if not (read and one.name == "amcheck" and one.condition is Condition.UNKNOWN)
    ]


@contextmanager
def _amcheck(session: Connection) -> Iterator[None]:
    """Lend amcheck to a database for as long as it is looked at, where the server has it."""
    there = session.execute(statement("amcheck_functions")).fetchone()
    available = "SELECT FROM pg_available_extensions WHERE name = 'amcheck'"
    ours = there is None and session.execute(available).fetchone() is not None
    schema = sql.Identifier(_AMCHECK_SCHEMA)
    if ours:
        try:
            with session.transaction():
                session.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
                session.execute(sql.SQL("CREATE EXTENSION amcheck SCHEMA {}").format(schema))
        except psycopg.errors.InsufficientPrivilege:
            ours = False
    try:
        yield
    finally:
        if ours and not session.closed:
            session.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(schema))


def _foreign_keys(session: Connection) -> Item:
    oids = [oid for _, _, oid in session.execute(statement("tables")).fetchall()]
    broken, checked = [], 0
    with session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for key in read_foreign_keys(session, oids):
            result = check_foreign_key(session, key)
            checked += not key.skipped
            if result.violations:
                broken.append(f"{key.name}: {result.detail or f'{result.violations:,} rows'}")
    return _item("foreign keys", broken, f"all {checked} hold")


def _rules(session: Connection, settings: RecoverySettings) -> Item:
    broken = []
    with session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for rule in settings.rules:
            result = check_rule(session, rule)
            if result.violations:
                broken.append(f"{rule.name}: {result.detail or f'{result.violations:,} rows'}")
    return _item("business rules", broken, f"all {len(settings.rules)} hold")


def _sequences(session: Connection) -> Item:
    behind, looked_at = [], 0
    for one in _owned_sequences(session):
        looked_at += 1
        if one.is_behind:
            behind.append(f"{one.text} is at {one.last}, its column at {one.largest}")
    return _item("sequences", behind, f"all {looked_at} are beyond their columns")


def _owned_sequences(session: Connection) -> Iterator[_OwnedSequence]:
    for schema, name, of, table, column, increment, highest in session.execute(
        statement("sequences")
    ).fetchall():
        identifier = sql.Identifier(schema, name)
        largest = sql.SQL("max" if increment > 0 else "min")
        query = sql.SQL(
            "SELECT s.last_value, s.is_called, (SELECT {}({}) FROM {}) FROM {} AS s"
        ).format(largest, sql.Identifier(column), sql.Identifier(of, table), identifier)
        last, is_called, reached = session.execute(query).fetchall()[0]
        if reached is None:
            continue
        yield _OwnedSequence(
            identifier,
            f"{schema}.{name}",
            last if is_called else last - increment,
            int(reached),
            increment,
            highest,
        )


def _objects(settings: RecoverySettings, hands: Hands, progress: Progress) -> Item:
    """The source's objects against the target's, one by one."""
    if hands.storage is None or not settings.buckets:
        return Item(name="objects", outcome=Outcome.SUCCEEDED, detail="none are configured")
    progress("Comparing objects.")
    try:
        report = hands.storage.verify(progress)
    except FailbackError as error:
        return Item(name="objects", outcome=Outcome.INCONCLUSIVE, detail=error.cause)
    wrong = [
        f"{one.target}: {one.missing} missing, {one.different} different, {one.extra} extra"
        for one in report.buckets
        if one.outcome is not Outcome.SUCCEEDED
    ]
    if report.outcome is Outcome.INCONCLUSIVE:
        return Item(name="objects", outcome=report.outcome, detail="; ".join(wrong[:_NAMED]))
    compared = sum(one.objects for one in report.buckets)
    return _item("objects", wrong, f"{compared:,} objects are those of the target")


def _item(name: str, wrong: list[str], right: str) -> Item:
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        return Item(name=name, outcome=Outcome.FAILED, detail="; ".join(wrong[:_NAMED]) + more)
    return Item(name=name, outcome=Outcome.SUCCEEDED, detail=right)
