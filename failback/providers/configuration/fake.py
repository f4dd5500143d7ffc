"""A place in memory, and a switch over it that fails and hangs as a test asks."""

from collections.abc import Sequence

from failback.errors import SettingsChangedError
from failback.models.common import Side
from failback.models.system import ItemsReport
from failback.providers.configuration.place import Change, Reading
from failback.providers.configuration.switching import PlacesSwitch
from failback.providers.configuration.values import ABSENT, Absent, Value, digest
from failback.providers.faults import Call, Faults
from failback.sections.configuration import KeyConfig


class FakePlace(Faults):
    """Implements `Place` with a mapping, `.held`, which tests may change."""

    def __init__(self, *, calls: list[Call] | None = None) -> None:
        super().__init__("place", calls)
        self.held: dict[str, Value] = {}
        self._version = 0

    async def read(self, keys: Sequence[KeyConfig]) -> Reading:
        """See `Place.read`."""
        await self._called("read", *(key.name for key in keys))
        digests = {key.name: digest(self.held.get(key.key, ABSENT)) for key in keys}
        return Reading(digests, seen=str(self._version))

    async def write(self, changes: Sequence[Change], seen: str) -> None:
        """See `Place.write`."""
        await self._called("write", *(change.key.name for change in changes))
        if seen != str(self._version):
            raise SettingsChangedError("The fake place changed while it was worked on.")
        self._version += 1
        for key, value in changes:
            if isinstance(value, Absent):
                self.held.pop(key.key, None)
            else:
                self.held[key.key] = value

    def put(self, key: str, value: Value) -> None:
        """Change a value as somebody else does."""
        self._version += 1
        self.held[key] = value

    async def aclose(self) -> None:
        """See `Place.aclose`."""
        await self._called("aclose")


class FakeConfigurationSwitch(Faults):
    """Implements `ConfigurationSwitch` over one place in memory, `.place`.

    Args:
        keys: the values; without any, two of the group `auth` and one of `settings`.
        side: which side's values they have at first.
        calls: see `Faults`.
    """

    def __init__(
        self,
        keys: Sequence[KeyConfig] = (),
        *,
        side: Side = Side.TARGET,
        calls: list[Call] | None = None,
    ) -> None:
        super().__init__("configuration", calls)
        self.place = FakePlace(calls=self.calls)
        chosen = tuple(keys) or _SOME
        for key in chosen:
            value = key.on(side)
            if value is not None:
                self.place.held[key.key] = value
        self._switch = PlacesSwitch(
            chosen, dict.fromkeys({key.place for key in chosen}, self.place), pause_seconds=0.001
        )

    async def status(self) -> ItemsReport:
        """See `ConfigurationSwitch.status`."""
        await self._called("status")
        return await self._switch.status()

    async def switch(self, side: Side) -> ItemsReport:
        """See `ConfigurationSwitch.switch`."""
        await self._called("switch", side)
        return await self._switch.switch(side)

    async def aclose(self) -> None:
        """See `ConfigurationSwitch.aclose`."""
        await self._called("aclose")


_SOME = tuple(
    KeyConfig.model_validate(
        {
            "name": name,
            "group": group,
            "place": "memory",
            "key": name.upper(),
            "source": f"https://source.test/{name}",
            "target": f"https://target.test/{name}",
        }
    )
    for name, group in (("auth_url", "auth"), ("jwks_url", "auth"), ("api_url", "settings"))
)
