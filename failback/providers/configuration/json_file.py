"""Values in a JSON file."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from failback.providers.configuration.documents import changed_keys, read_keys
from failback.providers.configuration.files import SettingsFile
from failback.providers.configuration.place import Change, Reading
from failback.sections.configuration import KeyConfig


class JsonFilePlace:
    """Implements `Place`: what is not switched keeps its form; replaced in one step.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = SettingsFile(path)

    async def read(self, keys: Sequence[KeyConfig]) -> Reading:
        """See `Place.read`."""
        text, seen = await asyncio.to_thread(self._file.read)
        return read_keys(text, keys, seen)

    async def write(self, changes: Sequence[Change], seen: str) -> None:
        """See `Place.write`."""
        await asyncio.to_thread(self._file.change, seen, lambda text: changed_keys(text, changes))

    async def aclose(self) -> None:
        """See `Place.aclose`."""
