"""One thing that was looked at, with what it says about a part's condition."""

from collections.abc import Iterable
from dataclasses import dataclass

from failback.models.common import Outcome
from failback.models.recovery import Condition, Part, PartAssessment
from failback.models.system import Item

_GRAVITY = (
    Condition.HEALTHY,
    Condition.UNKNOWN,
    Condition.DEGRADED,
    Condition.CORRUPTED,
    Condition.GONE,
)
"""From harmless to grave: a part is in the gravest condition that anything shows."""
_OUTCOMES = {Condition.HEALTHY: Outcome.SUCCEEDED, Condition.UNKNOWN: Outcome.INCONCLUSIVE}


@dataclass(frozen=True)
class Finding:
    """What was asked, what was seen, and the condition that it shows."""

    name: str
    condition: Condition
    detail: str = ""
    vital: bool = True
    """Whether the part's condition is not known where this is not."""

    @property
    def item(self) -> Item:
        """The finding as evidence."""
        outcome = _OUTCOMES.get(self.condition, Outcome.FAILED)
        return Item(name=self.name, outcome=outcome, detail=self.detail)


def sound(name: str, detail: str = "") -> Finding:
    """Looked at, and as it should be."""
    return Finding(name, Condition.HEALTHY, detail)


def untold(name: str, detail: str, *, vital: bool = False) -> Finding:
    """Could not be looked at."""
    return Finding(name, Condition.UNKNOWN, detail, vital)


def assessed(part: Part, findings: Iterable[Finding]) -> PartAssessment:
    """A part in the gravest condition that its findings show."""
    found = tuple(findings)
    counting = [
        one.condition for one in found if one.vital or one.condition is not Condition.UNKNOWN
    ]
    condition = max(counting, key=_GRAVITY.index, default=Condition.UNKNOWN)
    return PartAssessment(part=part, condition=condition, evidence=tuple(one.item for one in found))
