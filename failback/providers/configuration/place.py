"""What the switch needs from a place where values live."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from failback.errors import FailbackError
from failback.providers.configuration.values import Value
from failback.sections.configuration import KeyConfig


@dataclass(frozen=True)
class Reading:
    """What a place has.

    Args:
        digests: by the key's name, as `values.digest` makes them; empty where it is not there.
        problems: by the key's name, why its value cannot be read or changed.
        seen: names the state that was read, for a conditional write.
    """

    digests: Mapping[str, str]
    problems: Mapping[str, FailbackError] = field(default_factory=dict)
    seen: str = ""


class Change(NamedTuple):
    """A value to be written."""

    key: KeyConfig
    value: Value


class Place(Protocol):
    """Somewhere that values live.

    Both raise UnreachableError, CredentialsError, MissingRightError, and SettingsError where the
    place is not what it should be.
    """

    async def read(self, keys: Sequence[KeyConfig]) -> Reading:
        """What these keys have now."""
        ...

    async def write(self, changes: Sequence[Change], seen: str) -> None:
        """Change these keys and nothing else, all at once where the place can.

        Raises SettingsChangedError where the place is not as it was when `seen` was read.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...
