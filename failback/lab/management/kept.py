"""What the stand-in knows, in one JSON file that outlives it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from failback.lab.accounts import write_private

_DAY_SECONDS = 86_400
_DAYS_KEPT = 7


class Kept:
    """State on disk, written whole after each change.

    Args:
        file: a JSON object; one that is missing is begun anew.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._state: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self._state = _new()
            write_private(file, json.dumps(self._state, indent=2))

    @property
    def state(self) -> dict[str, Any]:
        """To read; change it in `changing`."""
        return self._state

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """The state, to be changed; it is on disk when the block ends."""
        yield self._state
        write_private(self._file, json.dumps(self._state, indent=2))


def _new() -> dict[str, Any]:
    now = int(time.time())
    midnight = now - now % _DAY_SECONDS
    return {
        "created_at": now,
        "functions": {},
        "key_times": {},
        "legacy_key": None,
        "backups": [midnight - day * _DAY_SECONDS for day in range(_DAYS_KEPT)],
        "restore_points": {},
        "restores": [],
        "restoring_until": 0.0,
    }
