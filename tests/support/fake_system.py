"""What levels 3 and 4 take back, in memory: every call recorded, failing as a test asks."""

from collections.abc import Sequence
from datetime import UTC, datetime

from failback.models.common import Outcome, Side
from failback.models.recovery import ArchiveState, RestoreReport
from failback.models.storage import (
    BucketSync,
    StorageBaselineReport,
    StorageStatus,
    StorageSyncReport,
    StorageVerifyReport,
)
from failback.models.system import Item, ItemsReport, SessionProbe
from failback.ports import Progress
from failback.providers.faults import Call, Faults
from failback.providers.recovery.fake import FakeRecovery
from workers.composition import SystemPorts


class Spoilable(Faults):
    """A fake whose answers say that they failed, as often as a test asks."""

    def __init__(self, port: str, calls: list[Call] | None) -> None:
        super().__init__(port, calls)
        self._spoilt: dict[str, int] = {}

    def spoil(self, method: str, times: int = 1) -> None:
        """Let the next calls of a method answer that it failed."""
        self._spoilt[method] = times

    def item(self, method: str, name: str) -> Item:
        """An item that succeeded, unless it was to fail."""
        left = self._spoilt.get(method, 0)
        self._spoilt[method] = max(left - 1, 0)
        outcome = Outcome.FAILED if left else Outcome.SUCCEEDED
        return Item(name=name, outcome=outcome, detail="told to fail" if left else "")


class FakePauses(Spoilable):
    """Implements `MigrationActivityPause` with one hook, `forward_sync`."""

    def __init__(self, calls: list[Call]) -> None:
        super().__init__("pauses", calls)
        self.held = False

    async def pause(self, rollback_id: str, reason: str) -> ItemsReport:
        await self._called("pause", rollback_id, reason)
        self.held = True
        return ItemsReport(items=(self.item("pause", "forward_sync"),))

    async def resume(self, rollback_id: str, names: Sequence[str] = ()) -> ItemsReport:
        await self._called("resume", rollback_id, *names)
        self.held = False
        return ItemsReport(items=(self.item("resume", "forward_sync"),))

    async def paused(self) -> ItemsReport:
        return ItemsReport(items=(Item(name="forward_sync", outcome=Outcome.SUCCEEDED),))

    async def aclose(self) -> None:
        """Nothing to give back."""


class FakeFunctions(Spoilable):
    """Implements `FunctionFleet` with two functions."""

    def __init__(self, calls: list[Call]) -> None:
        super().__init__("functions", calls)
        self.live = {"ai-query": Side.TARGET, "hello": Side.TARGET}

    async def names(self) -> tuple[str, ...]:
        return tuple(self.live)

    async def status(self) -> ItemsReport:
        return ItemsReport(items=tuple(self.item("status", name) for name in self.live))

    async def bring_back(self, name: str) -> Item:
        await self._called("bring_back", name)
        self.live[name] = Side.SOURCE
        return self.item("bring_back", name)

    async def put_back(self, name: str) -> Item:
        await self._called("put_back", name)
        self.live[name] = Side.TARGET
        return self.item("put_back", name)

    async def probe(self, name: str, side: Side) -> Item:
        await self._called("probe", name, side)
        return self.item("probe", name)

    async def aclose(self) -> None:
        """Nothing to give back."""


class FakeAuth(Spoilable):
    """Implements `AuthBridge` with one session."""

    def __init__(self, calls: list[Call]) -> None:
        super().__init__("auth", calls)

    async def status(self) -> ItemsReport:
        return ItemsReport(items=(self.item("status", "tokens"),))

    async def prepare(self) -> ItemsReport:
        await self._called("prepare")
        return ItemsReport(items=(self.item("prepare", "tokens"),))

    async def open_session(self, rollback_id: str) -> SessionProbe:
        await self._called("open_session", rollback_id)
        return SessionProbe(user_id="u1", sealed="sealed", opened_at=datetime.now(UTC))

    async def accepts(self, probe: SessionProbe) -> Item:
        await self._called("accepts", probe.user_id)
        return self.item("accepts", "session")

    async def refreshes(self, probe: SessionProbe) -> Item:
        await self._called("refreshes", probe.user_id)
        return self.item("refreshes", "refresh")

    async def close_session(self, probe: SessionProbe) -> Item:
        await self._called("close_session", probe.user_id)
        return self.item("close_session", "user")

    async def aclose(self) -> None:
        """Nothing to give back."""


class FakeStorageSync(Spoilable):
    """Implements `StorageSyncEngine` with one bucket."""

    def __init__(self, calls: list[Call]) -> None:
        super().__init__("storage", calls)

    def status(self) -> StorageStatus:
        return StorageStatus(estate="fake", outcome=Outcome.SUCCEEDED, buckets=())

    def baseline(self, progress: Progress | None = None) -> StorageBaselineReport:
        return StorageBaselineReport(buckets=())

    def sync(
        self,
        progress: Progress | None = None,
        *,
        target_wins: bool = False,
        deletes_accepted_by: str = "",
        settle: bool = True,
    ) -> StorageSyncReport:
        self._called_blocking("sync", deletes_accepted_by)
        outcome = self.item("sync", "files").outcome
        files = BucketSync(source="files", target="files", outcome=outcome, copied=3)
        return StorageSyncReport(outcome=outcome, buckets=(files,))

    def verify(
        self, progress: Progress | None = None, *, read_all: bool = False, quick: bool = False
    ) -> StorageVerifyReport:
        return StorageVerifyReport(outcome=Outcome.SUCCEEDED, buckets=())

    def close(self) -> None:
        """Nothing to give back."""


class FakeConfiguration(Spoilable):
    """Implements `ConfigurationSwitch` with one key."""

    def __init__(self, calls: list[Call]) -> None:
        super().__init__("configuration", calls)
        self.side = Side.TARGET

    async def status(self) -> ItemsReport:
        return ItemsReport(items=(self.item("status", "auth_url"),))

    async def switch(self, side: Side) -> ItemsReport:
        await self._called("switch", side)
        self.side = side
        return ItemsReport(items=(self.item("switch", "auth_url"),))

    async def aclose(self) -> None:
        """Nothing to give back."""


class FakeValidation(Spoilable):
    """Implements `SystemValidation` with one check."""

    def __init__(self, calls: list[Call]) -> None:
        super().__init__("validation", calls)

    async def validate(self) -> ItemsReport:
        await self._called("validate")
        return ItemsReport(items=(self.item("validate", "auth_flow"),))

    async def record_baseline(self) -> ItemsReport:
        return ItemsReport()

    async def aclose(self) -> None:
        """Nothing to give back."""


class FakeArchive(Spoilable):
    """Implements `ChangeArchive` over a target that always answers."""

    def __init__(self, calls: list[Call]) -> None:
        super().__init__("archive", calls)
        self.empty = False

    def arm(self) -> ArchiveState:
        return ArchiveState()

    def disarm(self) -> None:
        """Nothing to take away."""

    def archive_once(self, progress: Progress | None = None) -> ArchiveState:
        self._called_blocking("archive_once")
        if self.empty:
            return ArchiveState(detail="nothing is archived")
        return ArchiveState(
            segments=2, keys=5, last_position="0/9", last_commit_at=datetime.now(UTC)
        )

    def state(self, backup: str = "") -> ArchiveState:
        return ArchiveState()

    def replay(
        self, backup: str, dsn: str, after: str = "", progress: Progress | None = None
    ) -> RestoreReport:
        raise NotImplementedError

    def prune(self, keep_from: str) -> int:
        self._called_blocking("prune", keep_from)
        return 0

    def close(self) -> None:
        """Nothing to give back."""


class FakeSystem:
    """All of it, with one list of calls."""

    def __init__(self, calls: list[Call]) -> None:
        self.pauses = FakePauses(calls)
        self.functions = FakeFunctions(calls)
        self.auth = FakeAuth(calls)
        self.storage = FakeStorageSync(calls)
        self.configuration = FakeConfiguration(calls)
        self.validation = FakeValidation(calls)
        self.archive = FakeArchive(calls)
        self.recovery = FakeRecovery(calls=calls)

    @property
    def ports(self) -> SystemPorts:
        """As a worker takes them."""
        return SystemPorts(
            pauses=self.pauses,
            functions=self.functions,
            auth=self.auth,
            storage=self.storage,
            configuration=self.configuration,
            validation=self.validation,
            recovery=self.recovery,
            archive=self.archive,
        )
