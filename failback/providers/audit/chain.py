"""The chain of the audit log: canonical JSON, the hash over it, and the check of a whole log.

Changes when an entry is hashed in another way, which must never happen to entries that exist.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from failback.errors import AuditError
from failback.models.audit import AuditEntry, AuditVerdict, NewEntry

GENESIS = "0" * 64
"""What the first entry names as the hash before it."""

BODY_LIMIT = 64 * 1024
"""Bytes of a body's canonical JSON; a longer one is kept by its beginning, size and hash."""

_TEXT_LIMIT = 1_000
_EXCERPT = 4_000


def canonical(value: Any) -> str:
    """JSON with sorted keys, no white space and nothing outside ASCII: one text for one value.

    Raises:
        AuditError: the value holds a number that JSON has no word for.
    """
    try:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        )
    except ValueError as error:
        raise AuditError(
            f"An entry cannot be written as JSON: {error}.", "Write NaN and infinity as text."
        ) from error


def time_text(at: datetime) -> str:
    """A time in UTC to the microsecond, in a form that sorts as the times do."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def fitted(entry: NewEntry) -> NewEntry:
    """The entry as a log can keep it: without NUL characters in its texts, its body bounded."""
    body = canonical(entry.body)
    if len(body) > BODY_LIMIT:
        shortened = {
            "shortened": body[:_EXCERPT],
            "bytes": len(body),
            "sha256": hashlib.sha256(body.encode()).hexdigest(),
        }
    else:
        shortened = json.loads(body)
    return entry.model_copy(
        update={
            "at": entry.at.astimezone(UTC),
            "key": _clean(entry.key),
            "who": _clean(entry.who),
            "subject": _clean(entry.subject),
            "body": shortened,
        }
    )


def chained(entry: NewEntry, sequence: int, previous_hash: str) -> AuditEntry:
    """A fitted entry as it follows what stands before it."""
    return AuditEntry(
        **entry.model_dump(),
        sequence=sequence,
        previous_hash=previous_hash,
        hash=digest(entry, sequence, previous_hash),
    )


def digest(entry: NewEntry, sequence: int, previous_hash: str) -> str:
    """SHA-256 over the hash before and the entry's canonical JSON, hexadecimal."""
    document = canonical(
        {
            "sequence": sequence,
            "kind": entry.kind.value,
            "key": entry.key,
            "at": time_text(entry.at),
            "who": entry.who,
            "subject": entry.subject,
            "body": entry.body,
        }
    )
    return hashlib.sha256(f"{previous_hash}\n{document}".encode()).hexdigest()


def head(entry: AuditEntry) -> str:
    """The short name of a log that ends with this entry, to be kept where nobody can reach it."""
    return f"{entry.sequence}:{entry.hash}"


class ChainCheck:
    """Follows a log from its first entry.

    Args:
        known: a head that an earlier check gave; a log that was cut off does not hold it.
    """

    def __init__(self, known: str = "") -> None:
        self._wanted, self._wanted_hash = _parsed(known)
        self._sequence = 0
        self._hash = GENESIS
        self._broken: tuple[int, str] | None = None

    def follow(self, entries: Iterable[AuditEntry]) -> None:
        """Look at the next entries; after the first that does not fit nothing counts."""
        for entry in entries:
            if self._broken is None:
                self._look(entry)

    def _look(self, entry: AuditEntry) -> None:
        wanted = self._sequence + 1
        if entry.sequence != wanted:
            self._broken = (wanted, f"entry {wanted} is missing; {entry.sequence} comes instead")
        elif entry.previous_hash != self._hash:
            self._broken = (wanted, f"entry {wanted} does not follow the one before it")
        elif digest(entry, entry.sequence, entry.previous_hash) != entry.hash:
            self._broken = (wanted, f"entry {wanted} was changed after it was written")
        elif wanted == self._wanted and entry.hash != self._wanted_hash:
            self._broken = (wanted, f"entry {wanted} is not the one whose hash was noted")
        else:
            self._sequence, self._hash = entry.sequence, entry.hash

    def verdict(self) -> AuditVerdict:
        """What is known once every entry was looked at."""
        broken = self._broken
        if broken is None and self._wanted > self._sequence:
            broken = (
                self._sequence + 1,
                f"the log ends at {self._sequence}; an earlier check saw entry {self._wanted}",
            )
        if broken is not None:
            where, why = broken
            return AuditVerdict(
                entries=self._sequence, intact=False, broken_at=where, explanation=f"{why}."
            )
        return AuditVerdict(
            entries=self._sequence,
            intact=True,
            head=f"{self._sequence}:{self._hash}",
            explanation=f"{self._sequence} entries, each follows the one before it.",
        )


def _parsed(known: str) -> tuple[int, str]:
    """The sequence and the hash of a head; (0, "") for none."""
    if not known:
        return 0, ""
    number, _, noted = known.partition(":")
    if not number.isdigit() or len(noted) != len(GENESIS):
        raise AuditError(
            f"{known!r} is no head of an audit log.",
            "Give it as SEQUENCE:HASH, the way `failback audit verify` printed it.",
        )
    return int(number), noted


def _clean(text: str) -> str:
    """A text that every store can hold, at most 1 000 characters of it."""
    printable = (
        text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\N{REPLACEMENT CHARACTER}")
    )
    return printable[:_TEXT_LIMIT]
