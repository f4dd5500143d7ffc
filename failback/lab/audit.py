"""The judge: compares a journal of acknowledged writes with what a database holds.

For each key the writes are replayed in order. An acknowledged write says what the key must
hold; an unknown one adds a state that it may hold as well, until the next acknowledged write.

- *lost*: an acknowledged state is not there. The row is missing though it was put last, is
  there though it was deleted last, or holds an earlier state that was overwritten since.
- *wrong*: the row holds a value that no acknowledged or unknown write explains, which includes
  that of a write that was refused.

An object is its bytes together with its row: after an acknowledged write both have to be there,
and after an acknowledged delete neither.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, LiteralString

import psycopg

from failback.errors import (
    ConfigurationError,
    JournalError,
    LabError,
    MissingRightError,
    UnreachableError,
)
from failback.lab.audit_objects import held_objects, is_object
from failback.lab.customer_objects import TABLE
from failback.lab.journal import Journal, WriteKind, WriteOutcome, WriteRecord, read
from failback.models.common import Payload

ABSENT = None
"""The state of a key that has no row (or one that is softly deleted)."""

_EXAMPLES = 10
_ROW_ALONE = "a row without bytes"
_BATCH = 5000


class Finding(Payload):
    """One key that does not hold what it must."""

    key: str
    expected: tuple[str | None, ...]
    """The states that would be right; None is a missing row."""
    found: str | None
    sequence: int
    """The last acknowledged write of the key; 0 when there is none."""

    @property
    def sentence(self) -> str:
        """The finding for people."""
        wanted = " or ".join(_named(state) for state in self.expected)
        return f"{self.key}: expected {wanted}, found {_named(self.found)}"


class AuditReport(Payload):
    """How a database compares with a journal."""

    acknowledged: int
    """Writes that were acknowledged."""
    lost: int
    """Keys whose acknowledged state is not there."""
    wrong: int
    """Keys with a value that no acknowledged or unknown write explains."""
    unknown: int = 0
    """Writes whose client does not know; either state is right."""
    refused: int = 0
    """Writes that were refused; none of them may be there."""
    keys: int = 0
    """Keys that were compared."""
    objects: int = 0
    """Those of them that are objects."""
    objects_lost: int = 0
    """Part of `lost`."""
    objects_wrong: int = 0
    """Part of `wrong`."""
    objects_unjudged: int = 0
    """Objects of the journal that nobody said where to look for."""
    lost_examples: tuple[Finding, ...] = ()
    wrong_examples: tuple[Finding, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing is lost and nothing is wrong."""
        return self.lost == 0 and self.wrong == 0

    @property
    def sentence(self) -> str:
        """The verdict in one line: `acknowledged: N, lost: M, wrong: K`."""
        return f"acknowledged: {self.acknowledged}, lost: {self.lost}, wrong: {self.wrong}"


def audit(journal: Path, dsn: str, objects: Mapping[str, Any] | None = None) -> AuditReport:
    """Compare a journal with one database.

    Args:
        journal: the file that the load wrote.
        dsn: libpq connection string of a role that may read the product's tables.
        objects: the endpoint of that side's objects, as `storage.source` is written; without it
            they are not judged.

    Raises:
        JournalError: the file is not a journal.
        UnreachableError: the database does not answer, or does not let us in.
        MissingRightError: the role may not read a table.
        LabError: the database has not the product's tables.
        ConfigurationError: the connection string is none.
    """
    written = read(journal)
    keys = {record.key for record in written.records}
    stored = None if objects is None else held_objects(objects, keys)
    return judge(written, _held(dsn, keys), stored)


def judge(
    journal: Journal, held: dict[str, str], objects: Mapping[str, str] | None = None
) -> AuditReport:
    """Compare a journal with the rows that a database holds, by key.

    Args:
        journal: the writes.
        held: value by key (`table/identifier`) of each key of the journal that has a row.
        objects: digest and bytes by key of each object that is there; None judges none.
    """
    verdicts: dict[str, list[Finding]] = {"lost": [], "wrong": []}
    histories = _histories(journal.records)
    if objects is None:
        histories = {key: one for key, one in histories.items() if not is_object(key)}
    for key, history in histories.items():
        found = held.get(key, ABSENT)
        if objects is not None and is_object(key):
            found = history.object_found(objects.get(key, ABSENT), has_row=key in held)
        verdict = history.verdict(found)
        if verdict is not None:
            verdicts[verdict].append(
                Finding(
                    key=key,
                    expected=tuple(history.right),
                    found=found,
                    sequence=history.acknowledged,
                )
            )
    return AuditReport(
        acknowledged=journal.count(WriteOutcome.ACKNOWLEDGED),
        lost=len(verdicts["lost"]),
        wrong=len(verdicts["wrong"]),
        unknown=journal.count(WriteOutcome.UNKNOWN),
        refused=journal.count(WriteOutcome.REFUSED),
        keys=len(histories),
        objects=sum(map(is_object, histories)),
        objects_lost=sum(is_object(finding.key) for finding in verdicts["lost"]),
        objects_wrong=sum(is_object(finding.key) for finding in verdicts["wrong"]),
        objects_unjudged=len(set(map(_key, journal.records)) - set(histories)),
        lost_examples=tuple(verdicts["lost"][:_EXAMPLES]),
        wrong_examples=tuple(verdicts["wrong"][:_EXAMPLES]),
    )


@dataclass
class _History:
    """What is known about one key after its writes were replayed."""

    right: list[str | None] = field(default_factory=lambda: [ABSENT])
    """States that the key may hold now: the acknowledged one first."""
    earlier: set[str | None] = field(default_factory=set)
    """States that it held, or may have held, before the last acknowledged write."""
    acknowledged: int = 0

    def add(self, record: WriteRecord) -> None:
        state = record.value if record.kind is WriteKind.PUT else ABSENT
        if record.outcome is WriteOutcome.ACKNOWLEDGED:
            self.earlier.update(self.right)
            self.right = [state]
            self.acknowledged = record.sequence
        elif record.outcome is WriteOutcome.UNKNOWN and state not in self.right:
            self.right.append(state)

    def object_found(self, stored: str | None, *, has_row: bool) -> str | None:
        """The state of an object of which bytes and row were looked for.

        While a write is unknown it may be half done: then the bytes alone are judged.
        """
        if len(self.right) > 1 or (stored is not ABSENT) == has_row:
            return stored
        if self.right == [ABSENT]:
            return stored or _ROW_ALONE
        return ABSENT

    def verdict(self, found: str | None) -> Literal["lost", "wrong"] | None:
        if found in self.right:
            return None
        if self.acknowledged == 0:
            return "wrong"
        overwritten = found is ABSENT or found in self.earlier
        deleted = self.right == [ABSENT]
        return "lost" if overwritten or deleted else "wrong"


def _histories(records: Iterable[WriteRecord]) -> dict[str, _History]:
    histories: dict[str, _History] = defaultdict(_History)
    for record in records:
        histories[record.key].add(record)
    return dict(histories)


_LOOK_UPS: dict[str, LiteralString] = {
    "lab_writes": "SELECT key, value FROM public.lab_writes WHERE key = ANY(%s)",
    "documents": (
        "SELECT id::text, body FROM public.documents"
        " WHERE id = ANY(%s::uuid[]) AND deleted_at IS NULL"
    ),
    "users": (
        "SELECT lower(email), lower(email) FROM auth.users"
        " WHERE lower(email) = ANY(%s) AND deleted_at IS NULL"
    ),
    TABLE: (
        "SELECT bucket_id || '/' || name, version FROM storage.objects"
        " WHERE bucket_id || '/' || name = ANY(%s)"
    ),
    "sessions": "SELECT id::text, user_id::text FROM auth.sessions WHERE id = ANY(%s::uuid[])",
}
"""How the keys of each table are looked up: identifier and value."""
_BY_UUID = frozenset({"documents", "sessions"})


def _held(dsn: str, keys: set[str]) -> dict[str, str]:
    """The keys that have a row, with its value, read in bulk and from one snapshot."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for key in sorted(keys):
        table, _, identifier = key.partition("/")
        if table not in _LOOK_UPS or not _fits(table, identifier):
            raise JournalError(
                f"The journal has the key {key!r}, which names no row of the product.",
                "Audit a journal that `failback lab load` wrote.",
            )
        wanted[table].append(identifier)
    held: dict[str, str] = {}
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            for table, identifiers in wanted.items():
                for batch in _batches(identifiers):
                    rows = connection.execute(_LOOK_UPS[table], [list(batch)])
                    held.update({f"{table}/{name}": value for name, value in rows})
    except psycopg.errors.InsufficientPrivilege as error:
        raise MissingRightError(
            f"The audit may not read: {error}.", "Audit as a role that reads the product's tables."
        ) from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise LabError(
            f"The database has not the product's tables: {error}.",
            "Name a database of the lab.",
        ) from error
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(
            f"The connection string cannot be used: {error}.",
            "Write it as postgresql://user:password@host:port/database.",
        ) from error
    except psycopg.OperationalError as error:
        raise UnreachableError(
            f"The database cannot be audited: {error}.",
            "Is it up, and the connection string right?",
        ) from error
    return held


def _fits(table: str, identifier: str) -> bool:
    if table not in _BY_UUID:
        return bool(identifier)
    try:
        return str(uuid.UUID(identifier)) == identifier
    except ValueError:
        return False


def _key(record: WriteRecord) -> str:
    return record.key


def _batches(items: Sequence[str]) -> Iterator[list[str]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _named(state: str | None) -> str:
    return "no row" if state is ABSENT else repr(state)
