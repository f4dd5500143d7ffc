"""What a full-system rollback moves besides rows and traffic, reported item by item.

Changes when functions, sessions, configuration or paused work have to say something else.
"""

from datetime import datetime

from failback.models.common import Outcome, Payload


class Item(Payload):
    """One function, key, hook, check or session, and what became of it."""

    name: str
    outcome: Outcome
    detail: str = ""
    """Never a value that may be a secret: at most its digest."""
    changed: bool = False
    """Whether it had to be changed; False where it was as wanted already."""
    milliseconds: float = 0.0


class ItemsReport(Payload):
    """Several items of one kind. Failed where one of them is, inconclusive where one is unknown."""

    items: tuple[Item, ...] = ()
    note: str = ""
    """What holds for all of them, such as that none are configured."""
    attempts: int = 1

    @property
    def outcome(self) -> Outcome:
        """The worst of all items; inconclusive where there is none."""
        outcomes = {item.outcome for item in self.items}
        if Outcome.FAILED in outcomes:
            return Outcome.FAILED
        if Outcome.INCONCLUSIVE in outcomes or not outcomes:
            return Outcome.INCONCLUSIVE
        return Outcome.SUCCEEDED

    @property
    def detail(self) -> str:
        """All of it in a sentence: how many are right, and each that is not, with why."""
        right = [item for item in self.items if item.outcome is Outcome.SUCCEEDED]
        wrong = [item for item in self.items if item.outcome is not Outcome.SUCCEEDED]
        parts = [self.note] if self.note else []
        if self.items:
            parts.append(f"{len(right)} of {len(self.items)} right")
        parts.extend(f"{item.name}: {item.detail or item.outcome.value}" for item in wrong)
        return "; ".join(parts)


class SessionProbe(Payload):
    """A session that was opened on the target to see whether the source goes on with it."""

    user_id: str
    sealed: str
    """Its tokens, encrypted for this estate's workers alone."""
    opened_at: datetime
