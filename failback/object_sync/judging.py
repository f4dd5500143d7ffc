"""What is to be done about one object: a pure function, because deletes hang on it.

An object of the source is deleted only where something shows that the target had it: the
inventory (with the intents of copies), or a delete marker above a version on the target. That it
is not in the target's listing shows nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from failback.models.storage import ObjectEntry


class Action(StrEnum):
    """What a sync does about one object."""

    COPY = "copy"
    COMPARE = "compare"
    """Copy it unless it is equal."""
    COMPARE_ONLY = "compare_only"
    """A conflict unless it is equal."""
    DELETE = "delete"
    CONFLICT = "conflict"
    UNEXPLAINED = "unexplained"
    OWN = "own"
    """The source's own, as the baseline found it: nothing is done."""


@dataclass(frozen=True)
class Known:
    """What the inventory remembers of a key; see `install.sql`."""

    target_etag: str | None
    source_etag: str | None


@dataclass(frozen=True)
class Finding:
    """One key as listings, versions and inventory have it."""

    key: str
    target: ObjectEntry | None
    source: ObjectEntry | None
    known: Known | None = None
    deleted_at: datetime | None = None
    """Of a delete marker above a version on the target."""
    intended: bool = False
    """Whether a copy of it was begun and its end is not known."""
    settled: bool = False
    """Whether the target's modification time can be trusted to tell of the next write."""

    @property
    def known_to_have_been(self) -> bool:
        """Whether we saw it on the target: recorded, or listed just before a copy was begun."""
        return self.intended or (self.known is not None and self.known.target_etag is not None)

    @property
    def proved_by_marker(self) -> bool:
        """Whether the target itself says that it was deleted."""
        return self.deleted_at is not None


def judged(found: Finding, *, target_wins: bool = False) -> Action:
    """What is to be done about a key that is on at least one side.

    Args:
        found: what is known of it.
        target_wins: whether what somebody else wrote on the source may be lost.
    """
    if found.source is None:
        return Action.COPY
    foreign = _written_by_somebody(found, found.source) and not target_wins
    if found.target is not None:
        return Action.COMPARE_ONLY if foreign else Action.COMPARE
    if not (found.known_to_have_been or found.proved_by_marker):
        return Action.OWN if found.known is not None else Action.UNEXPLAINED
    return Action.CONFLICT if foreign else Action.DELETE


def _written_by_somebody(found: Finding, source: ObjectEntry) -> bool:
    """Whether the source's object was written since it was known, and not by us."""
    if found.intended:
        return False
    if found.known is not None:
        return found.known.source_etag != source.etag
    return found.deleted_at is not None and source.modified > found.deleted_at
