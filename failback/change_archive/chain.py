"""Segments as ranges of the target's log, and how they follow one another. Pure.

Changes when another rule says which segments lead from a backup to now. A segment holds the final
state of every key that changed in its range, so that one which begins before a position serves as
well as one that begins there: ranges may overlap, and must never leave anything out.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from failback.reverse_sync.pgoutput import Snapshot

_NAME = re.compile(r"([0-9A-F]{16})-([0-9A-F]{16})-(\d+)")


@dataclass(frozen=True, order=True)
class Range:
    """One segment's stretch of the log, and how many keys it carries."""

    start: int
    end: int
    keys: int = 0

    @property
    def name(self) -> str:
        """Sorts by where the segment begins."""
        return f"{self.start:016X}-{self.end:016X}-{self.keys}"

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """The range of a name; None where it is none."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        start, end, keys = found.groups()
        return cls(int(start, 16), int(end, 16), int(keys))


@dataclass(frozen=True)
class Path:
    """The segments that lead on from a position without a gap."""

    ranges: tuple[Range, ...]
    end: int
    """Where they end: the position itself where none leads on."""
    resumes: int | None = None
    """Where segments go on after a gap; None where there is no gap."""


def path_from(position: int, ranges: Iterable[Range]) -> Path:
    """The fewest segments that cover everything from a position on."""
    rest = sorted(each for each in ranges if each.end > position)
    taken: list[Range] = []
    at, place = position, 0
    furthest: Range | None = None
    while True:
        while place < len(rest) and rest[place].start <= at:
            if furthest is None or rest[place].end > furthest.end:
                furthest = rest[place]
            place += 1
        if furthest is None or furthest.end <= at:
            break
        taken.append(furthest)
        at = furthest.end
    return Path(tuple(taken), at, rest[place].start if place < len(rest) else None)


def covers(later: Snapshot, earlier: Snapshot) -> bool:
    """Whether one snapshot sees every transaction that another one of the same server sees."""
    return later.xmax >= earlier.xmax and all(
        xid >= earlier.xmax or xid in earlier.running for xid in later.running
    )
