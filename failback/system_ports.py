"""What a full-system rollback needs besides rows and traffic. Providers implement these Protocols.

All of it may be repeated after a crash at any point. What is wrong with one item is a result;
an exception says that nothing could be asked at all: UnreachableError, CredentialsError,
MissingRightError, ConfigurationError.
"""

from collections.abc import Sequence
from typing import Protocol

from failback.models.common import Side
from failback.models.system import Item, ItemsReport, SessionProbe


class MigrationActivityPause(Protocol):
    """Stops forward syncs, backfills, schedulers and deploys, and remembers what it stopped."""

    async def pause(self, rollback_id: str, reason: str) -> ItemsReport:
        """Stop every configured activity; one that cannot be stopped is a failed item."""
        ...

    async def resume(self, rollback_id: str, names: Sequence[str] = ()) -> ItemsReport:
        """Let what this rollback paused go on; all of it where no names are given."""
        ...

    async def paused(self) -> ItemsReport:
        """What is paused now, an item each: by which rollback and since when."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class FunctionFleet(Protocol):
    """The product's functions on both sides."""

    async def names(self) -> tuple[str, ...]:
        """Every function that has to be brought back, in order."""
        ...

    async def status(self) -> ItemsReport:
        """Per function: on both sides, same code and same secrets by digest; nothing changes."""
        ...

    async def bring_back(self, name: str) -> Item:
        """Disable one on the target, enable it on the source, and ask it there."""
        ...

    async def put_back(self, name: str) -> Item:
        """Undo `bring_back`: enable it on the target, and leave it on the source as it is."""
        ...

    async def probe(self, name: str, side: Side) -> Item:
        """Ask one function on one side."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class AuthBridge(Protocol):
    """Sessions go on over a rollback. Rows of the auth schema travel with the reverse sync."""

    async def status(self) -> ItemsReport:
        """Whether tokens of the target hold on the source, and how many sessions would end."""
        ...

    async def prepare(self) -> ItemsReport:
        """Make the source accept the target's tokens, where that is configured and missing."""
        ...

    async def open_session(self, rollback_id: str) -> SessionProbe:
        """Sign a user of our own up on the target, while it still takes writes."""
        ...

    async def accepts(self, probe: SessionProbe) -> Item:
        """Whether the source, asked directly, knows the session. Writes nothing."""
        ...

    async def refreshes(self, probe: SessionProbe) -> Item:
        """Whether its refresh token works once on the source, and not a second time."""
        ...

    async def close_session(self, probe: SessionProbe) -> Item:
        """Delete our user from whichever side takes writes."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class ConfigurationSwitch(Protocol):
    """Keyed values that differ between the sides, wherever they live."""

    async def status(self) -> ItemsReport:
        """Per key: the source's value, the target's, neither, or unreadable; nothing changes."""
        ...

    async def switch(self, side: Side) -> ItemsReport:
        """Give every key that side's value, and read it back. All are tried."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


class SystemValidation(Protocol):
    """Looks at the whole product once it is back."""

    async def validate(self) -> ItemsReport:
        """Run seven checks; one that is not configured is inconclusive.

        They are database_connectivity, auth_flow, functions, storage_access, user_journeys,
        data_integrity and performance.
        """
        ...

    async def record_baseline(self) -> ItemsReport:
        """Measure the source's performance while it is known to be good, and keep it."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...
