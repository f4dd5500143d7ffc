"""An audit log in memory that fails and hangs as a test asks."""

from collections.abc import Sequence
from datetime import datetime

from failback.models.audit import AuditEntry, AuditVerdict, EntryKind, NewEntry
from failback.providers.audit.chain import GENESIS, ChainCheck, chained, fitted
from failback.providers.faults import Call, Faults


class FakeAuditLog(Faults):
    """Keeps entries in `.entries`, chained as the real ones are."""

    def __init__(self, *, calls: list[Call] | None = None) -> None:
        super().__init__("audit", calls)
        self.entries: list[AuditEntry] = []

    async def append(self, entry: NewEntry) -> AuditEntry:
        """See `AuditLog.append`."""
        return (await self.append_all((entry,)))[0]

    async def append_all(self, entries: Sequence[NewEntry]) -> tuple[AuditEntry, ...]:
        """See `AuditLog.append_all`."""
        await self._called("append_all", len(entries))
        standing = {(entry.kind, entry.key): entry for entry in self.entries}
        written = []
        for entry in map(fitted, entries):
            found = standing.get((entry.kind, entry.key))
            if found is None:
                before = self.entries[-1].hash if self.entries else GENESIS
                found = chained(entry, len(self.entries) + 1, before)
                self.entries.append(found)
                standing[found.kind, found.key] = found
            written.append(found)
        return tuple(written)

    async def read(
        self,
        kinds: Sequence[EntryKind] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        subject: str = "",
        limit: int = 1000,
    ) -> tuple[AuditEntry, ...]:
        """See `AuditLog.read`."""
        await self._called("read", tuple(kinds), since, until, subject, limit)
        found = [
            entry
            for entry in self.entries
            if (not kinds or entry.kind in kinds)
            and (since is None or entry.at >= since)
            and (until is None or entry.at <= until)
            and (not subject or entry.subject == subject)
        ]
        return tuple(found[-limit:])

    async def verify(self, known: str = "") -> AuditVerdict:
        """See `AuditLog.verify`."""
        await self._called("verify", known)
        check = ChainCheck(known)
        check.follow(self.entries)
        return check.verdict()

    async def aclose(self) -> None:
        """See `AuditLog.aclose`."""
        await self._called("aclose")
