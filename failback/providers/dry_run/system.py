"""Functions, sessions, objects, configuration and pauses in a dry run."""

from collections.abc import Sequence
from datetime import UTC, datetime

from failback.models.common import Outcome, Side
from failback.models.storage import (
    StorageBaselineReport,
    StorageStatus,
    StorageSyncReport,
    StorageVerifyReport,
)
from failback.models.system import Item, ItemsReport, SessionProbe
from failback.ports import Progress
from failback.providers.dry_run.journal import DryRunJournal
from failback.storage_ports import StorageSyncEngine
from failback.system_ports import (
    AuthBridge,
    ConfigurationSwitch,
    FunctionFleet,
    MigrationActivityPause,
    SystemValidation,
)

_DRY = "dry run"


def _item(name: str) -> Item:
    return Item(name=name, outcome=Outcome.SUCCEEDED, detail=_DRY)


def _tell(journal: DryRunJournal, what: str, report: ItemsReport) -> None:
    """Say of a real look at the estate only what is not as it has to be."""
    for item in report.items:
        if item.outcome is not Outcome.SUCCEEDED:
            journal.observed(f"{what} {item.name}: {item.detail or item.outcome.value}")


class DryRunPauses:
    """Implements `MigrationActivityPause`: nothing is stopped."""

    def __init__(self, real: MigrationActivityPause, journal: DryRunJournal) -> None:
        self._real = real
        self._journal = journal

    async def pause(self, rollback_id: str, reason: str) -> ItemsReport:
        """See `MigrationActivityPause.pause`."""
        self._journal.would(f"pause every configured activity of the migration: {reason}")
        return ItemsReport(items=(_item("activities"),))

    async def resume(self, rollback_id: str, names: Sequence[str] = ()) -> ItemsReport:
        """See `MigrationActivityPause.resume`."""
        self._journal.would(f"resume {', '.join(names) or 'what was paused'}")
        return ItemsReport(items=(_item("activities"),))

    async def paused(self) -> ItemsReport:
        """See `MigrationActivityPause.paused`; read-only, so that it is real."""
        return await self._real.paused()

    async def aclose(self) -> None:
        """See `MigrationActivityPause.aclose`."""
        await self._real.aclose()


class DryRunFunctions:
    """Implements `FunctionFleet`: names and status are real."""

    def __init__(self, real: FunctionFleet, journal: DryRunJournal) -> None:
        self._real = real
        self._journal = journal

    async def names(self) -> tuple[str, ...]:
        """See `FunctionFleet.names`."""
        _tell(self._journal, "function", await self._real.status())
        return await self._real.names()

    async def status(self) -> ItemsReport:
        """See `FunctionFleet.status`."""
        return await self._real.status()

    async def bring_back(self, name: str) -> Item:
        """See `FunctionFleet.bring_back`."""
        self._journal.would(
            f"disable function {name} on the target, enable it on the source and ask it there"
        )
        return _item(name)

    async def put_back(self, name: str) -> Item:
        """See `FunctionFleet.put_back`."""
        self._journal.would(f"enable function {name} on the target again")
        return _item(name)

    async def probe(self, name: str, side: Side) -> Item:
        """See `FunctionFleet.probe`; it asks a function, which is not done here."""
        self._journal.would(f"ask function {name} on the {side.value}")
        return _item(name)

    async def aclose(self) -> None:
        """See `FunctionFleet.aclose`."""
        await self._real.aclose()


class DryRunAuth:
    """Implements `AuthBridge`: nobody is signed up."""

    def __init__(self, real: AuthBridge, journal: DryRunJournal) -> None:
        self._real = real
        self._journal = journal

    async def status(self) -> ItemsReport:
        """See `AuthBridge.status`."""
        return await self._real.status()

    async def prepare(self) -> ItemsReport:
        """See `AuthBridge.prepare`."""
        found = await self._real.status()
        _tell(self._journal, "auth", found)
        self._journal.would("make the source accept the target's tokens where it does not")
        return found

    async def open_session(self, rollback_id: str) -> SessionProbe:
        """See `AuthBridge.open_session`."""
        self._journal.would("sign a user of our own up on the target")
        return SessionProbe(user_id=_DRY, sealed="", opened_at=datetime.now(UTC))

    async def accepts(self, probe: SessionProbe) -> Item:
        """See `AuthBridge.accepts`."""
        self._journal.would("show that this user's session holds on the source")
        return _item("session")

    async def refreshes(self, probe: SessionProbe) -> Item:
        """See `AuthBridge.refreshes`."""
        self._journal.would("refresh this session on the source")
        return _item("refresh")

    async def close_session(self, probe: SessionProbe) -> Item:
        """See `AuthBridge.close_session`."""
        self._journal.would("delete this user")
        return _item("user")

    async def aclose(self) -> None:
        """See `AuthBridge.aclose`."""
        await self._real.aclose()


class DryRunStorage:
    """Implements `StorageSyncEngine`: the status is real, no object is written."""

    def __init__(self, real: StorageSyncEngine, journal: DryRunJournal) -> None:
        self._real = real
        self._journal = journal
        self._looked = False

    def status(self) -> StorageStatus:
        """See `StorageSyncEngine.status`."""
        return self._real.status()

    def baseline(self, progress: Progress | None = None) -> StorageBaselineReport:
        """See `StorageSyncEngine.baseline`."""
        self._journal.would("record what both sides' buckets hold")
        return StorageBaselineReport(buckets=())

    def sync(
        self,
        progress: Progress | None = None,
        *,
        target_wins: bool = False,
        deletes_accepted_by: str = "",
        settle: bool = True,
    ) -> StorageSyncReport:
        """See `StorageSyncEngine.sync`."""
        self._look()
        self._journal.would("carry objects that were written, replaced or deleted to the source")
        return StorageSyncReport(outcome=Outcome.SUCCEEDED, buckets=())

    def _look(self) -> None:
        """Say once what is wrong with the buckets."""
        if self._looked:
            return
        self._looked = True
        for bucket in self._real.status().buckets:
            if bucket.problem:
                self._journal.observed(bucket.problem)

    def verify(
        self, progress: Progress | None = None, *, read_all: bool = False, quick: bool = False
    ) -> StorageVerifyReport:
        """See `StorageSyncEngine.verify`."""
        self._journal.would("compare both sides' objects")
        return StorageVerifyReport(outcome=Outcome.SUCCEEDED, buckets=())

    def close(self) -> None:
        """See `StorageSyncEngine.close`."""
        self._real.close()


class DryRunConfiguration:
    """Implements `ConfigurationSwitch`: values are read and not written."""

    def __init__(self, real: ConfigurationSwitch, journal: DryRunJournal) -> None:
        self._real = real
        self._journal = journal

    async def status(self) -> ItemsReport:
        """See `ConfigurationSwitch.status`."""
        return await self._real.status()

    async def switch(self, side: Side) -> ItemsReport:
        """See `ConfigurationSwitch.switch`."""
        found = await self._real.status()
        for item in found.items:
            self._journal.would(f"give {item.name} the {side.value}'s value (now: {item.detail})")
        return ItemsReport(items=tuple(_item(item.name) for item in found.items))

    async def aclose(self) -> None:
        """See `ConfigurationSwitch.aclose`."""
        await self._real.aclose()


class DryRunValidation:
    """Implements `SystemValidation`: nothing has moved, so that nothing is looked at."""

    def __init__(self, real: SystemValidation, journal: DryRunJournal) -> None:
        self._real = real
        self._journal = journal

    async def validate(self) -> ItemsReport:
        """See `SystemValidation.validate`."""
        self._journal.would("validate the whole product on the source")
        return ItemsReport(items=(_item("validation"),))

    async def record_baseline(self) -> ItemsReport:
        """See `SystemValidation.record_baseline`."""
        self._journal.would("record the source's performance")
        return ItemsReport(items=(_item("baseline"),))

    async def aclose(self) -> None:
        """See `SystemValidation.aclose`."""
        await self._real.aclose()
