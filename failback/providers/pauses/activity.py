"""What pausing needs from one activity of a migration."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from pydantic import JsonValue

from failback.models.common import Outcome

Remembered = Mapping[str, JsonValue]
"""What has to be known to resume no more than what was stopped, such as numbers of jobs."""


class Told(NamedTuple):
    """What an activity is told with a call. The same call has the same `key` in repeats."""

    rollback_id: str
    reason: str
    key: str


class Seen(NamedTuple):
    """What became of a call."""

    outcome: Outcome
    detail: str
    changed: bool = True


class Activity(Protocol):
    """Something that can be paused. Every method may be repeated.

    All may raise UnreachableError, CredentialsError, MissingRightError and ConfigurationError.
    """

    async def look(self) -> Remembered:
        """What would be stopped now. Changes nothing."""
        ...

    async def stop(self, told: Told, remembered: Remembered) -> Seen:
        """Stop it, and see that it stands still."""
        ...

    async def start(self, told: Told, remembered: Remembered) -> Seen:
        """Let what is remembered go on, and nothing else."""
        ...

    async def running(self, remembered: Remembered) -> Seen | None:
        """What of the remembered runs although it is paused; None where nothing is known to."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...
