"""What the activities of a catch-up need, as a protocol; beside `ports`, for its length."""

from typing import Protocol

from failback.models.catch_up import CatchUpPlan, CatchUpReport, ShareReport
from failback.ports import Progress


class CatchUpEngine(Protocol):
    """Carries a large backlog in shares, by any number of workers. Blocking; thread-safe.

    Every method is idempotent and may be repeated after a crash at any point. All raise
    UnreachableError, CredentialsError, MissingRightError, NotArmedError and SlotLostError.
    """

    def plan_catch_up(self, progress: Progress | None = None) -> CatchUpPlan:
        """Cut the backlog into shares, or say why batches have to carry it."""
        ...

    def carry_share(self, run: str, share: int, progress: Progress | None = None) -> ShareReport:
        """Carry one share. It gives way to a consumer with priority."""
        ...

    def settle_catch_up(self, run: str, progress: Progress | None = None) -> CatchUpReport:
        """Move the position beyond a catch-up of which every share was carried."""
        ...
