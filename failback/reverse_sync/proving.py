"""Verification, the rolling pass and repair of one estate, with the sessions they keep open.

Changes when the engine has to prove something else about both sides.
"""

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import replace

from failback.models.common import Side
from failback.models.repair import RepairReport
from failback.models.sync import LedgerReport, VerifyReport
from failback.reverse_sync import repair, rolling
from failback.reverse_sync.catalogue import Table, read_named, read_tables
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.ledgered import LedgerUse
from failback.reverse_sync.prepared import Catalogues
from failback.reverse_sync.pulse import Progress
from failback.reverse_sync.sessions import Sessions
from failback.reverse_sync.settings import SyncSettings
from failback.reverse_sync.verify import TooMuchError, Verification

EXAMPLES = 100
_WARM_BYTES = 16 * 2**20


class Proving:
    """What the engine proves about both sides.

    Args:
        settings: what to compare between which databases.
        draining: set while somebody needs the servers more than the rolling pass.
    """

    def __init__(self, settings: SyncSettings, draining: threading.Event) -> None:
        self.settings = settings
        self._draining = draining
        self._use = LedgerUse(settings.direction, settings.object_name)
        # The pass has sessions of its own, so that a verification never waits for it. What is
        # known about the catalogues is used by who holds its sessions' lock.
        self._verifying, self._rolling = Sessions(settings.servers), Sessions(settings.servers)
        self._verified, self._rolled = Catalogues(self._tables), Catalogues(self._tables)

    def verify(
        self,
        progress: Progress | None = None,
        *,
        cold: bool = False,
        examples: int = EXAMPLES,
    ) -> VerifyReport:
        """See `ReverseSync.verify`."""
        return self.verification(progress, cold=cold, examples=examples).run()

    def repair(
        self, progress: Progress | None = None, *, plan_only: bool, rows: int
    ) -> RepairReport:
        """See `ReverseSync.repair`."""
        settings = self.settings
        work = self.verification(progress, cold=True, examples=EXAMPLES)
        work.kept = repair.MOST
        _, planned = repair.plan(work, rows)
        if plan_only:
            return planned
        tables = repair.apply(
            settings.servers, settings.direction, work, planned, progress or (lambda _: None)
        )
        after = self.verify(progress, cold=True)
        return planned.model_copy(
            update={
                "outcome": repair.outcome_of(tables, after),
                "applied": True,
                "tables": tables,
                "verification": after,
            }
        )

    def verification(self, progress: Progress | None, *, cold: bool, examples: int) -> Verification:
        """A verification that was not begun; what it finds is kept in it."""
        return Verification(
            self._verifying,
            self._verified,
            self.settings.rules,
            ledger=replace(self._use, cold=cold),
            progress=progress or (lambda _: None),
            parallel=self.settings.parallel,
            examples=examples,
            recheck_seconds=self.settings.recheck_seconds,
        )

    def verify_some(self, budget_seconds: float) -> LedgerReport:
        """See `ReverseSync.verify_some`."""
        return rolling.Rolling(
            self._rolling, self._rolled, self._use, stop=self._draining.is_set
        ).run(budget_seconds)

    def warm(self) -> None:
        """Open sessions, read catalogues and compare what little is not known to be equal.

        The first comparison in a session takes several times as long as those that follow.
        """
        self._verifying.warm(2)
        self._verified.warm(self._verifying)
        first = self.verification(None, cold=False, examples=0)
        first.recheck_seconds, first.most_bytes, first.rules = 0.0, _WARM_BYTES, ()
        with contextlib.suppress(TooMuchError):
            first.run()

    def close(self) -> None:
        """Give the sessions back."""
        self._verifying.close()
        self._rolling.close()

    def _tables(self, sessions: Mapping[Side, Connection]) -> Mapping[Side, tuple[Table, ...]]:
        """What the configuration names on the sender, and the same on the receiver."""
        settings, direction = self.settings, self.settings.direction
        sent = read_tables(sessions[direction.sender], settings.include, settings.exclude)
        received = read_named(sessions[direction.receiver], (table.qualified for table in sent))
        return {direction.sender: sent, direction.receiver: tuple(received.values())}
