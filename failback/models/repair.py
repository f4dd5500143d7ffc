"""What a repair would do, and what it did. Images of rows are shown to people, never kept."""

from pydantic import Field

from failback.models.common import Outcome, Payload
from failback.models.sync import VerifyReport


class RowDifference(Payload):
    """A row that the sides do not share. The target's version wins."""

    kind: str
    """`missing` on the source, `extra` there, or `different`."""
    key: dict[str, str]
    """The key's values by column; of a table without a key, the whole row as `row`."""
    source_image: dict[str, str | None] | None = None
    """The row's values by column; None where there is no such row, or it was changed meanwhile."""
    target_image: dict[str, str | None] | None = None


class TableRepair(Payload):
    """What is wrong with one table on the source."""

    table: str
    missing: int = 0
    extra: int = 0
    different: int = 0
    rows: tuple[RowDifference, ...] = ()
    """The first of them, bounded."""
    effects: tuple[str, ...] = ()
    """What would be done, as SQL with the number of rows."""
    repairable: bool = True
    why_not: str = ""
    repaired: int = 0
    """Rows that were made equal."""
    skipped: tuple[str, ...] = ()
    """Keys of rows that were not touched, because they are not any more what was compared."""

    @property
    def total(self) -> int:
        """Rows that the sides do not share."""
        return self.missing + self.extra + self.different


class RepairReport(Payload):
    """A plan, or what came of it."""

    outcome: Outcome
    """Of the comparison before; after a repair, of the one that followed it."""
    applied: bool = False
    exact: bool = False
    """Both sides were fenced while they were compared for the plan."""
    tables: tuple[TableRepair, ...] = ()
    """Those with differences."""
    verification: VerifyReport | None = Field(default=None)
    """The comparison that followed the repair, with foreign keys and business rules."""
    detail: str = ""

    @property
    def total(self) -> int:
        """Rows that the sides did not share."""
        return sum(table.total for table in self.tables)

    @property
    def repaired(self) -> int:
        """Rows that were made equal."""
        return sum(table.repaired for table in self.tables)
