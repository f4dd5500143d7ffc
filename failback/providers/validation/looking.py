"""One look at a part of the product: what was seen, as the worst of several observations."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from failback.models.common import Outcome

_LISTED = 5
_LONGEST = 1_000


class Look(NamedTuple):
    """What was seen."""

    outcome: Outcome
    detail: str


Looking = Callable[[], Awaitable[Look]]


def unknown(detail: str) -> Look:
    """A part that could not be looked at."""
    return Look(Outcome.INCONCLUSIVE, detail)


def worst(looks: Sequence[Look], fine: str = "") -> Look:
    """The worst of several, with why.

    Args:
        looks: what was seen; none is inconclusive.
        fine: what to say where all is well; else every detail is listed.
    """
    for outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE):
        wrong = [look.detail for look in looks if look.outcome is outcome]
        if wrong:
            return Look(outcome, listed(wrong))
    if not looks:
        return unknown("nothing was looked at")
    return Look(Outcome.SUCCEEDED, fine or listed([look.detail for look in looks if look.detail]))


def listed(texts: Sequence[str]) -> str:
    """Some of them, and how many more there are."""
    more = f"; and {len(texts) - _LISTED} more" if texts[_LISTED:] else ""
    return f"{'; '.join(texts[:_LISTED])[:_LONGEST]}{more}"
