"""Payloads of a catch-up: a large backlog that several workers carry, cut into shares.

Counts and names, never keys: those are kept on the receiving side.
"""

from datetime import datetime
from enum import StrEnum

from failback.models.common import Payload


class CatchUpRequest(Payload):
    """Cut the backlog of an estate into shares."""

    estate: str


class CarryShareRequest(Payload):
    """Carry one share of a catch-up."""

    estate: str
    run: str
    share: int


class SettleCatchUpRequest(Payload):
    """End a catch-up: move the position beyond it, or leave it to batches."""

    estate: str
    run: str


class CatchUpShare(Payload):
    """What one activity carries in one transaction."""

    number: int
    label: str
    """Its tables, shortened."""
    keys: int
    """Distinct changed keys; 0 of a table that is copied whole."""


class CatchUpPlan(Payload):
    """A backlog cut into shares, or why it was not."""

    run: str = ""
    """Empty where there is nothing to be shared out."""
    declined: str = ""
    """Why batches have to carry it."""
    shares: tuple[CatchUpShare, ...] = ()
    """Those that are left, the largest first."""
    of_shares: int = 0
    """All of them, those among them that were carried before."""
    keys: int = 0
    """Of all shares."""
    keys_carried: int = 0
    """Of the shares that were carried before."""
    changes: int = 0
    """Captured changes."""
    at_once: int = 1
    """How many shares are to be carried at the same time, over all workers."""
    seconds: float = 0.0
    attempts: int = 1


class ShareOutcome(StrEnum):
    """How the work on a share ended."""

    CARRIED = "carried"
    """Its rows are on the receiving side, now or since an earlier attempt."""
    VOID = "void"
    """The catch-up is over: another consumer has taken the stream, or is about to."""
    REFUSED = "refused"
    """It cannot be carried by itself: batches have to."""


class ShareReport(Payload):
    """What carrying a share did."""

    outcome: ShareOutcome
    keys: int = 0
    rows: int = 0
    """Rows inserted on the receiving side."""
    deleted: int = 0
    """Rows deleted there; a changed row is deleted and inserted."""
    bytes: int = 0
    """Of the rows, as they travelled."""
    seconds: float = 0.0
    detail: str = ""
    attempts: int = 1


class CatchUpReport(Payload):
    """A catch-up that has ended."""

    settled: bool
    """The position lies beyond it; otherwise batches carry what is left."""
    position: str = ""
    keys: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    detail: str = ""
    attempts: int = 1


class CatchUpProgress(Payload):
    """How far a catch-up is."""

    run: str
    shares: int = 0
    shares_carried: int = 0
    keys: int = 0
    keys_carried: int = 0
    rows: int = 0
    """Rows inserted on the receiving side so far."""
    bytes: int = 0
    """Of those rows, as they travelled."""
    started_at: datetime | None = None
    seconds_to_go: float | None = None
    """At the pace so far; None while there is none."""

    @property
    def told(self) -> str:
        """As a sentence for people."""
        left = "" if self.seconds_to_go is None else f", about {self.seconds_to_go:.0f} s to go"
        return (
            f"catching up: {self.shares_carried} of {self.shares} shares, "
            f"{self.keys_carried} of {self.keys} keys, {self.rows} rows, {self.bytes} bytes{left}"
        )
