"""Two databases in memory, between which the fake reverse sync carries rows."""

import time
from dataclasses import dataclass, field
from hashlib import sha256

Rows = dict[str, str]


@dataclass
class FakeDatabase:
    """One side: its rows, its fence, its sequence, and the writers that are at work."""

    rows: Rows = field(default_factory=dict)
    fenced: bool = False
    reachable: bool = True
    sequence: int = 0
    stragglers: list[str] = field(default_factory=list)
    """Writers that outlast any grace period; raising the fence ends them."""
    prepared: list[str] = field(default_factory=list)
    """Prepared transactions, by gid; the fence cannot be proved while one is there."""

    @property
    def digest(self) -> str:
        """A digest of all rows."""
        text = "\n".join(f"{key}={value!r}" for key, value in sorted(self.rows.items()))
        return sha256(text.encode()).hexdigest()[:32]

    def put(self, key: str, value: str | None) -> None:
        """Insert or update a row; None deletes it."""
        if value is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = value


@dataclass
class FakeCapture:
    """What the target changed and the source does not have, oldest first."""

    changes: dict[str, float] = field(default_factory=dict)
    """When each changed key was first changed, in seconds of the monotonic clock."""
    captured: int = 0
    """All changes ever; the fake's log position."""

    def add(self, key: str) -> None:
        """Capture a change of one key."""
        self.captured += 1
        self.changes.setdefault(key, time.monotonic())

    def take(self, limit: int) -> list[str]:
        """The oldest keys, which stay captured until `settle`."""
        return list(self.changes)[:limit]

    def settle(self, keys: list[str]) -> None:
        """Forget keys that the source holds now."""
        for key in keys:
            self.changes.pop(key, None)

    @property
    def lag_seconds(self) -> float:
        """Age of the oldest change; 0 without one."""
        return time.monotonic() - min(self.changes.values()) if self.changes else 0.0

    @property
    def position(self) -> str:
        """The end of what was captured, written as a log position."""
        return f"0/{self.captured:X}"

    @property
    def applied(self) -> str:
        """How far the source is, written as a log position."""
        return f"0/{self.captured - len(self.changes):X}"


def image(key: str, database: FakeDatabase) -> dict[str, str | None] | None:
    """A row as conflicts keep it; None where there is none."""
    return {"id": key, "value": database.rows[key]} if key in database.rows else None
