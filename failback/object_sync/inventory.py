"""What both sides were known to have, durable, and the listings of one pass, on disk.

Listings are joined here and not as they arrive, because S3 servers that are not AWS list in
orders of their own (by folder, some). SQLite's indexes keep memory constant.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from failback.errors import StorageBusyError, StorageRefusedError
from failback.models.storage import DeletedKey, ObjectEntry, ObjectPage
from failback.object_sync.judging import Action, Finding, Known

_CHUNK = 1_000
_YOUNG = timedelta(seconds=3)
"""Two writes within a server's clock tick have one time; so old, a tick of a second is over."""
_YOUNG_BY_FRACTIONS = timedelta(seconds=0.5)
"""The same, where the time has a fraction of a second: then ticks are shorter."""


class Inventory:
    """One process's hold on the inventory. Used by one thread; `close` lets others in.

    Args:
        path: the SQLite file, on a local disk; it and its folder are made if need be.

    Raises:
        StorageBusyError: another process holds it.
        StorageRefusedError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageRefusedError(
                f"The inventory {path} cannot be used: {error}.", "Name another storage.inventory."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA temp_store = FILE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(_sql("install"))
            self._update()
        except BlockingIOError as error:
            os.close(self._lock)
            raise StorageBusyError(
                f"Another storage sync holds {path}.", "Wait for it, or end it."
            ) from error
        except sqlite3.DatabaseError as error:
            os.close(self._lock)
            raise StorageRefusedError(
                f"{path} is no inventory: {error}.",
                "Move it away; deletes are then known by delete markers and the next baseline.",
            ) from error

    def _update(self) -> None:
        """Give an inventory of an earlier version what it lacks."""
        columns = {row[1] for row in self._db.execute("PRAGMA table_info(known)")}
        if "source_modified" not in columns:
            self._db.execute("ALTER TABLE known ADD COLUMN source_modified TEXT")
        self._db.execute(_sql("index"))

    def close(self) -> None:
        """Let others in."""
        self._db.close()
        os.close(self._lock)

    def forget_listings(self) -> None:
        """Begin a pass."""
        for table in ("seen_source", "seen_target", "marked", "work"):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own

    def see_source(self, page: ObjectPage) -> None:
        """Take in some of the source's listing. A key that it names twice counts once."""
        self._many(
            "INSERT OR REPLACE INTO seen_source VALUES (?, ?, ?, ?, ?)",
            ((o.key, o.size, o.etag, _text(o.modified), _settled(o, page)) for o in page.objects),
        )

    def see_target(self, page: ObjectPage) -> None:
        """Take in some of the target's listing."""
        self._many(
            "INSERT OR REPLACE INTO seen_target VALUES (?, ?, ?, ?, ?)",
            ((o.key, o.size, o.etag, _text(o.modified), _settled(o, page)) for o in page.objects),
        )

    def see_deleted(self, keys: Iterable[DeletedKey]) -> None:
        """Take in what the target's versions show to be deleted."""
        self._many(
            "INSERT OR REPLACE INTO marked VALUES (?, ?)", ((k.key, _text(k.at)) for k in keys)
        )

    def plan(self, pair: str, *, changed: bool, strict: bool = False) -> None:
        """Join what was seen.

        Args:
            pair: the buckets.
            changed: leave out what the listings show to be in order.
            strict: that takes the source's modification time, too, as it was when last equal.
        """
        self._db.execute("DELETE FROM work")
        self._db.execute(_sql("plan"), {"pair": pair, "changed": changed, "strict": strict})

    def left_out(self) -> tuple[int, int]:
        """Objects and bytes of the target's listing that the plan leaves out."""
        row = self._db.execute(_sql("left_out")).fetchone()
        return int(row[0]), int(row[1])

    def source_only(self) -> tuple[int, int]:
        """Keys of the plan that the target lacks, and those that it is not known to have had."""
        row = self._db.execute(_sql("source_only")).fetchone()
        return int(row[0]), int(row[1])

    def confirm(self, pair: str) -> None:
        """Remember when what the source has was written, of objects last known to be equal."""
        self._db.execute(_sql("confirm"), {"pair": pair})

    def findings(self, action: Action | None = None) -> Iterator[Finding]:
        """The plan by key, read in pages: what is read may be written meanwhile.

        Args:
            action: only what was decided so; None gives all.
        """
        last, wanted = "", action.value if action else None
        while True:
            rows = self._db.execute(
                "SELECT * FROM work WHERE key > ? AND (? IS NULL OR action = ?)"
                " ORDER BY key LIMIT ?",
                (last, wanted, wanted, _CHUNK),
            ).fetchall()
            for row in rows:
                yield _finding(row)
            if len(rows) < _CHUNK:
                return
            last = rows[-1][0]

    def decide(self, decisions: Iterable[tuple[str, Action]]) -> None:
        """Write down what is to be done about keys of the plan."""
        self._many(
            "UPDATE work SET action = ? WHERE key = ?",
            ((action.value, key) for key, action in decisions),
        )

    def intend(self, pair: str) -> None:
        """Say durably which copies are about to begin."""
        self._db.execute(
            "INSERT OR IGNORE INTO intended SELECT ?, key FROM work WHERE action IN (?, ?)",
            (pair, Action.COPY.value, Action.COMPARE.value),
        )

    def seen(self) -> int:
        """Objects in the target's listing."""
        return self._count("SELECT count(*) FROM seen_target")

    def known(self, pair: str) -> int:
        """Objects that the target is known to have had."""
        return self._count(
            "SELECT count(*) FROM known WHERE pair = ? AND target_etag IS NOT NULL", pair
        )

    def record(self, pair: str, known: Iterable[tuple[Finding, Known | None]]) -> None:
        """Remember what both sides have of these keys; None forgets. Their intents are over."""
        self._db.execute("BEGIN")
        for found, now in known:
            if now is None:
                self._db.execute("DELETE FROM known WHERE pair = ? AND key = ?", (pair, found.key))
            else:
                modified = _text(found.target.modified) if found.target and found.settled else None
                self._db.execute(
                    "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?, NULL)",
                    (pair, found.key, now.target_etag, modified, now.source_etag),
                )
            self._db.execute("DELETE FROM intended WHERE pair = ? AND key = ?", (pair, found.key))
        self._db.execute("COMMIT")

    def settle(self, pair: str, keys: Iterable[str]) -> None:
        """Intents that are known not to have been carried out."""
        self._many("DELETE FROM intended WHERE pair = ? AND key = ?", ((pair, key) for key in keys))

    def recorded_at(self, pair: str) -> datetime | None:
        """When a baseline or a sync of these buckets last ended."""
        row = self._db.execute("SELECT at FROM recorded WHERE pair = ?", (pair,)).fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    def ended(self, pair: str) -> None:
        """A baseline or a sync of these buckets has ended."""
        self._db.execute(
            "INSERT OR REPLACE INTO recorded VALUES (?, ?)", (pair, _text(datetime.now(UTC)))
        )

    def _count(self, query: str, *arguments: object) -> int:
        return int(self._db.execute(query, arguments).fetchone()[0])

    def _many(self, query: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._db.execute("BEGIN")
        try:
            self._db.executemany(query, rows)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


class Uploads:
    """Uploads in parts that were begun, so that a later process goes on with them. Thread-safe.

    Args:
        path: the inventory's file, which has to be open by `Inventory`.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
        self._lock = threading.Lock()

    def begun(self, pair: str, key: str) -> tuple[str, int, str] | None:
        """ETag of what is uploaded, bytes of a part, and id of the upload."""
        with self._lock:
            row = self._db.execute(
                "SELECT etag, part_bytes, upload FROM uploads WHERE pair = ? AND key = ?",
                (pair, key),
            ).fetchone()
        return (row[0], row[1], row[2]) if row else None

    def keep(self, pair: str, key: str, upload: tuple[str, int, str]) -> None:
        """Remember an upload."""
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?)", (pair, key, *upload)
            )

    def forget(self, pair: str, key: str) -> None:
        """An upload has ended."""
        with self._lock:
            self._db.execute("DELETE FROM uploads WHERE pair = ? AND key = ?", (pair, key))

    def all(self, pair: str) -> list[tuple[str, str]]:
        """Key and id of every upload that was begun and has not ended."""
        with self._lock:
            return self._db.execute(
                "SELECT key, upload FROM uploads WHERE pair = ?", (pair,)
            ).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _finding(row: tuple[Any, ...]) -> Finding:
    key = row[0]
    return Finding(
        key=key,
        target=None if row[2] is None else _entry(key, *row[1:4]),
        source=None if row[6] is None else _entry(key, *row[5:8]),
        known=Known(row[9], row[10]) if row[8] else None,
        deleted_at=datetime.fromisoformat(row[11]) if row[11] else None,
        intended=bool(row[12]),
        settled=bool(row[4]),
    )


def _settled(entry: ObjectEntry, page: ObjectPage) -> bool:
    """Whether its next write will have another time."""
    if page.at is None:
        return False
    young = _YOUNG_BY_FRACTIONS if entry.modified.microsecond else _YOUNG
    return entry.modified < page.at - young


def _entry(key: str, size: int, etag: str, modified: str) -> ObjectEntry:
    return ObjectEntry(key=key, size=size, etag=etag, modified=datetime.fromisoformat(modified))


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _sql(name: str) -> str:
    return resources.files("failback.object_sync").joinpath("sql", f"{name}.sql").read_text("utf-8")
