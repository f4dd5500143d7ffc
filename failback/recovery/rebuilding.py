"""What was restored takes the place of what is damaged: by name and by routing, never by copying.

Changes when another thing leads to the source's database. What is damaged stays as it is, for
whoever finds out why.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from psycopg import sql

from failback.errors import FailbackError
from failback.models.common import Outcome, Side
from failback.models.system import Item, ItemsReport
from failback.models.traffic import BackendRoute
from failback.recovery.settings import Hands, RecoverySettings
from failback.recovery.standby import Restored, Standby
from failback.recovery.waiting import Loop
from failback.reverse_sync.connections import Servers

_LONGEST_NAME = 63


@dataclass(frozen=True)
class Rebuilder:
    """Sends everybody who asks for the source's database to what was restored.

    Args:
        settings: the estate.
        hands: its ports.
        standby: where the restored database is.
        loop: for asynchronous ports.
    """

    settings: RecoverySettings
    hands: Hands
    standby: Standby
    loop: Loop

    def rebuild(self, rollback_id: str) -> ItemsReport:
        """See `Recovery.rebuild`."""
        restored = self.standby.needed(rollback_id)
        note, moved = self._take_name(restored)
        items = [moved, *self._addresses()]
        if self.hands.configuration is not None:
            switched = self.loop.run(self.hands.configuration.switch(Side.SOURCE))
            items.extend(switched.items)
        if all(item.outcome is not Outcome.FAILED for item in items):
            live = replace(restored, name=self.settings.database, state="live")
            self.standby.mark(live)
        return ItemsReport(items=tuple(items), note=note)

    def _take_name(self, restored: Restored) -> tuple[str, Item]:
        """Give the restored database the name that connection strings ask for."""
        wanted = self.settings.database
        there = self.standby.databases()
        kept = f"what is damaged stays untouched: {self._damaged_place()}"
        name = f"database {wanted}"
        if restored.name == wanted:
            # Whoever renamed it may have been killed before it was open again.
            self.standby.let_in(wanted)
            self._grant(wanted)
            return kept, Item(name=name, outcome=Outcome.SUCCEEDED, detail=self.standby.place)
        if wanted in there:
            aside = _aside(wanted, there)
            self.standby.rename(wanted, aside)
            kept += f"; the database that had its name on the standby is kept as {aside}"
        self.standby.rename(restored.name, wanted)
        self._grant(wanted)
        detail = f"{restored.name} has this name now, on {self.standby.place}"
        return kept, Item(name=name, outcome=Outcome.SUCCEEDED, detail=detail, changed=True)

    def _damaged_place(self) -> str:
        servers = Servers(self.settings.source_dsn, self.settings.target_dsn)
        return servers.describe(Side.SOURCE)

    def _grant(self, database: str) -> None:
        """A dump carries no rights on the database itself: failback needs a schema of its own."""
        role = self.settings.source_role
        with self.standby.session() as session:
            known = session.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone()
            if known is not None:
                session.execute(
                    sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
                        sql.Identifier(database), sql.Identifier(role)
                    )
                )

    def _addresses(self) -> Iterator[Item]:
        """Move each server of the balancer, end its old sessions, and read back."""
        if not self.settings.doors:
            detail = "recovery.doors names no backend: nobody is sent to the standby by it"
            yield Item(name="balancer", outcome=Outcome.INCONCLUSIVE, detail=detail)
        for route in self.settings.doors:
            name = f"{route.backend}/{route.source}"
            try:
                yield self.loop.run(self._moved(route, name))
            except FailbackError as error:
                yield Item(name=name, outcome=Outcome.FAILED, detail=str(error))

    async def _moved(self, route: BackendRoute, name: str) -> Item:
        balancer, settings = self.hands.balancer, self.settings
        wanted = (settings.standby_host, settings.standby_port)
        before = await balancer.address(route, Side.SOURCE)
        changed = (before.host, before.port) != wanted
        if changed:
            await balancer.set_address(route, Side.SOURCE, *wanted)
        await balancer.shut_sessions(route, Side.SOURCE)
        after = await balancer.address(route, Side.SOURCE)
        if (after.host, after.port) != wanted:
            detail = f"it still leads to {after.host}:{after.port}"
            return Item(name=name, outcome=Outcome.FAILED, detail=detail)
        detail = f"leads to {after.host}:{after.port}"
        if changed:
            detail += f" instead of {before.host}:{before.port}"
        return Item(name=name, outcome=Outcome.SUCCEEDED, detail=detail, changed=changed)


def _aside(name: str, there: dict[str, str]) -> str:
    """A free name for the database that gives way."""
    number = 1
    while (aside := f"{name[: _LONGEST_NAME - 12]}_before_{number}") in there:
        number += 1
    return aside
