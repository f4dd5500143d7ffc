"""Payloads of settling: which version of a parked row is kept, and what came of it."""

from enum import StrEnum

from failback.models.common import Payload, Side
from failback.models.sync import Conflict


class Keep(StrEnum):
    """Which version of a row that both sides changed is right."""

    SOURCE = "source"
    TARGET = "target"
    NEWEST = "newest"
    """The one with the later value in a column; where neither has, a person has to decide."""


class ConflictChoice(Payload):
    """What somebody decides about parked conflicts."""

    keep: Keep
    who: str
    ids: tuple[int, ...] = ()
    """One by one; empty where a rule decides."""
    table: str = ""
    """Rule: open conflicts of tables that this pattern matches (`*` and `?`, `schema.table`)."""
    column: str = ""
    """Of `newest`: the column that tells which version is later."""
    comment: str = ""
    plan: bool = False
    """Say what would be done, and change nothing."""


class Settled(StrEnum):
    """What came of settling one conflict."""

    SETTLED = "settled"
    PLANNED = "planned"
    """It could be settled so now."""
    ALREADY = "already"
    """It was settled so before."""
    REFUSED = "refused"
    UNDECIDED = "undecided"
    """The rule does not say which version is newer."""


class Settlement(Payload):
    """One conflict, and what came of settling it."""

    conflict: Conflict
    """As it is parked afterwards; a refusal for a changed row shows the row as it is now."""
    result: Settled
    keep: Side | None = None
    detail: str = ""
    """Why it was refused."""
    cure: str = ""


class SettleReport(Payload):
    """What came of settling, conflict by conflict, oldest first."""

    settlements: tuple[Settlement, ...] = ()
    open_conflicts: int = 0
    """Conflicts that are open afterwards, over all tables."""

    @property
    def complete(self) -> bool:
        """Whether nothing was refused or left undecided."""
        return all(
            one.result not in (Settled.REFUSED, Settled.UNDECIDED) for one in self.settlements
        )
