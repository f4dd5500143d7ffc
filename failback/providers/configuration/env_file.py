"""Values in a `.env` file."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from failback.errors import FailbackError, SettingsError
from failback.providers.configuration.env_text import changed_variable, read_variable
from failback.providers.configuration.files import SettingsFile
from failback.providers.configuration.place import Change, Reading
from failback.providers.configuration.values import digest
from failback.sections.configuration import KeyConfig


class EnvFilePlace:
    """Implements `Place`: comments, order and quotes stay; the file is replaced in one step.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = SettingsFile(path)

    async def read(self, keys: Sequence[KeyConfig]) -> Reading:
        """See `Place.read`."""
        text, seen = await asyncio.to_thread(self._file.read)
        digests: dict[str, str] = {}
        problems: dict[str, FailbackError] = {}
        for key in keys:
            try:
                digests[key.name] = digest(read_variable(text, key.key))
            except SettingsError as error:
                problems[key.name] = error
        return Reading(digests, problems, seen)

    async def write(self, changes: Sequence[Change], seen: str) -> None:
        """See `Place.write`."""

        def changed(text: str) -> str:
            for key, value in changes:
                text = changed_variable(text, key.key, value)
            return text

        await asyncio.to_thread(self._file.change, seen, changed)

    async def aclose(self) -> None:
        """See `Place.aclose`."""
