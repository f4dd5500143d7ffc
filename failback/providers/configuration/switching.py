"""Switches keyed values to one side's, wherever they live."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from failback.errors import FailbackError, SettingsChangedError
from failback.models.common import Outcome, Side
from failback.models.system import Item, ItemsReport
from failback.providers.configuration.place import Change, Place, Reading
from failback.providers.configuration.values import ABSENT, digest, shown, wanted
from failback.sections.configuration import KeyConfig

_TRIES = 3


class PlacesSwitch:
    """Implements `ConfigurationSwitch`.

    Places are worked on at the same time; all keys of one place are written at once. A place that
    does not answer, or that somebody else changed in the middle, is tried three times. Only where
    no place at all could be read, and one of them may answer later, its error is raised.

    Args:
        keys: the values.
        places: where they live, by name.
        pause_seconds: before the second try, and before reading back again; doubled after it.
    """

    def __init__(
        self, keys: Sequence[KeyConfig], places: Mapping[str, Place], *, pause_seconds: float = 0.3
    ) -> None:
        self._keys = {
            name: tuple(key for key in keys if key.place == name)
            for name in places
            if any(key.place == name for key in keys)
        }
        self._order = [item_name(key) for key in keys]
        self._places = places
        self._pause = pause_seconds

    async def status(self) -> ItemsReport:
        """See `ConfigurationSwitch.status`. Drift is a failed item unless the key is forced."""
        visits = [_Visit(self._places[name], keys, None) for name, keys in self._keys.items()]
        return await self._gathered(visits)

    async def switch(self, side: Side) -> ItemsReport:
        """See `ConfigurationSwitch.switch`."""
        visits = [_Visit(self._places[name], keys, side) for name, keys in self._keys.items()]
        return await self._gathered(visits)

    async def aclose(self) -> None:
        """See `ConfigurationSwitch.aclose`."""
        await asyncio.gather(
            *(place.aclose() for place in self._places.values()), return_exceptions=True
        )

    async def _gathered(self, visits: Sequence["_Visit"]) -> ItemsReport:
        found = await asyncio.gather(*(visit.items(self._pause) for visit in visits))
        errors = [visit.error for visit in visits if visit.error is not None and not visit.reached]
        if len(errors) == len(visits):
            for error in errors:
                if error.retryable:
                    raise error
        by_name = {item.name: item for items in found for item in items}
        return ItemsReport(items=tuple(by_name[name] for name in self._order))


class _Visit:
    """One place, read and, where a side is given, switched to it."""

    def __init__(self, place: Place, keys: Sequence[KeyConfig], side: Side | None) -> None:
        self._place = place
        self._keys = keys
        self._side = side
        self._written: set[str] = set()
        self.reached = False
        self.error: FailbackError | None = None

    async def items(self, pause_seconds: float) -> list[Item]:
        """An item for each key; what the place refuses as a whole is said of each."""
        began = time.perf_counter()
        found: list[Item] = []
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(pause_seconds * 2 ** (attempt - 1))
            try:
                found, self.error = await self._tried(pause_seconds), None
            except FailbackError as error:
                self.error = error
                if error.retryable:
                    continue
            break
        if self.error is not None:
            found = [self._untold(key, self.error) for key in self._keys]
        took = (time.perf_counter() - began) * 1000
        return [item.model_copy(update={"milliseconds": took}) for item in found]

    async def _tried(self, pause_seconds: float) -> list[Item]:
        reading = await self._place.read(self._keys)
        self.reached = True
        if self._side is None:
            return [self._told(key, reading) for key in self._keys]
        side, changes, items = self._side, [], []
        for key in self._keys:
            item = self._settled(key, reading, side)
            if item is None:
                changes.append(Change(key, wanted(key, side)))
            else:
                items.append(item)
        if changes:
            names = {change.key.name for change in changes}
            self._written |= names
            try:
                await self._place.write(changes, reading.seen)
            except SettingsChangedError:
                self._written -= names
                raise
            items += await self._read_back(changes, side, pause_seconds)
        return items

    async def _read_back(
        self, changes: Sequence[Change], side: Side, pause_seconds: float
    ) -> list[Item]:
        """A value counts once it was read: some places take a moment to show what they took."""
        keys = [change.key for change in changes]
        reading = await self._place.read(keys)
        for attempt in range(_TRIES - 1):
            if all(_has(key, reading, side) for key in keys):
                break
            await asyncio.sleep(pause_seconds * 2**attempt)
            reading = await self._place.read(keys)
        items = []
        for key in keys:
            item = self._settled(key, reading, side, written=True)
            items.append(
                item
                or _item(
                    key,
                    Outcome.FAILED,
                    f"was written, and reads back as {shown(reading.digests[key.name])}",
                    changed=True,
                )
            )
        return items

    def _settled(
        self, key: KeyConfig, reading: Reading, side: Side, *, written: bool = False
    ) -> Item | None:
        """What is known of a key that need not, or must not, be written; else None."""
        problem = reading.problems.get(key.name)
        if problem is not None:
            return _item(key, Outcome.FAILED, str(problem), changed=written)
        found = reading.digests[key.name]
        if _has(key, reading, side):
            changed = key.name in self._written
            return _item(key, Outcome.SUCCEEDED, _said(side, found), changed=changed)
        if written or key.force or _has(key, reading, side.other):
            return None
        return _item(key, Outcome.FAILED, f"{_drift(found)}; nothing was written")

    def _told(self, key: KeyConfig, reading: Reading) -> Item:
        problem = reading.problems.get(key.name)
        if problem is not None:
            return _item(key, Outcome.INCONCLUSIVE, str(problem))
        found = reading.digests[key.name]
        sides = [side for side in Side if _has(key, reading, side)]
        if len(sides) == len(Side):
            return _item(key, Outcome.SUCCEEDED, f"has the value of both sides ({shown(found)})")
        if sides:
            return _item(key, Outcome.SUCCEEDED, _said(sides[0], found))
        if key.force:
            return _item(
                key, Outcome.SUCCEEDED, f"has neither value ({shown(found)}), to be overwritten"
            )
        return _item(key, Outcome.FAILED, _drift(found))

    def _untold(self, key: KeyConfig, error: FailbackError) -> Item:
        looked = self._side is None
        return _item(
            key,
            Outcome.INCONCLUSIVE if looked else Outcome.FAILED,
            str(error),
            changed=key.name in self._written,
        )


def item_name(key: KeyConfig) -> str:
    """What items call a key: `group/name`."""
    return f"{key.group}/{key.name}"


def _has(key: KeyConfig, reading: Reading, side: Side) -> bool:
    return reading.digests.get(key.name) == digest(wanted(key, side))


def _said(side: Side, found: str) -> str:
    if found == digest(ABSENT):
        return f"is not set, as on the {side.value}"
    return f"has the {side.value}'s value ({shown(found)})"


def _drift(found: str) -> str:
    return (
        f"has neither side's value ({shown(found)}): see who changed it, then correct it, or the"
        " configuration, or set force on this key"
    )


def _item(key: KeyConfig, outcome: Outcome, detail: str, *, changed: bool = False) -> Item:
    return Item(name=item_name(key), outcome=outcome, detail=detail, changed=changed)
