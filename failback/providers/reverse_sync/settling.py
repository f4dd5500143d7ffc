"""Settles the fake's conflicts by the rules of the real engine."""

from datetime import UTC, datetime
from fnmatch import fnmatchcase

from failback.errors import ConfigurationError
from failback.models.common import Side
from failback.models.settling import ConflictChoice, Keep, Settled, Settlement, SettleReport
from failback.models.sync import Conflict
from failback.providers.reverse_sync.database import FakeDatabase, image


def settle(parked: list[Conflict], choice: ConflictChoice, receiver: FakeDatabase) -> SettleReport:
    """Settle what the choice means; `parked` and the receiver's rows are changed in place."""
    if not choice.who.strip() or bool(choice.ids) == bool(choice.table):
        raise ConfigurationError("The choice is none.", "Name who decides, and an ID or a rule.")
    if (choice.keep is Keep.NEWEST) != bool(choice.column):
        raise ConfigurationError("A column says what is newest.", "Name it, or keep a side's.")
    known = {one.id for one in parked}
    if not known.issuperset(choice.ids):
        raise ConfigurationError("There is no such conflict.", "List those there are.")
    done = tuple(
        _settle(parked, place, choice, receiver)
        for place, one in enumerate(parked)
        if one.id in choice.ids
        or (choice.table and one.settled_at is None and fnmatchcase(one.table, choice.table))
    )
    return SettleReport(
        settlements=done, open_conflicts=sum(one.settled_at is None for one in parked)
    )


def _settle(
    parked: list[Conflict], place: int, choice: ConflictChoice, receiver: FakeDatabase
) -> Settlement:
    shown = parked[place]
    keep = _side(choice, shown)
    if shown.settled_at is not None:
        same = shown.kept is not None and keep in (None, shown.kept)
        return Settlement(
            conflict=shown, result=Settled.ALREADY if same else Settled.REFUSED, keep=keep
        )
    if keep is None:
        return Settlement(conflict=shown, result=Settled.UNDECIDED)
    if keep is Side.TARGET:
        now = image(shown.key, receiver)
        if receiver.fenced or now != shown.source_image:
            fresh = shown.model_copy(update={"source_image": now})
            if not choice.plan:
                parked[place] = fresh
            return Settlement(
                conflict=fresh,
                result=Settled.REFUSED,
                keep=keep,
                detail="the row has changed since it was shown",
            )
    if choice.plan:
        return Settlement(conflict=shown, result=Settled.PLANNED, keep=keep)
    if keep is Side.TARGET:
        receiver.put(shown.key, (shown.target_image or {}).get("value"))
    parked[place] = shown.model_copy(
        update={
            "settled_at": datetime.now(UTC),
            "settled_by": choice.who,
            "kept": keep,
            "resolution": f"kept the {keep}'s version: {choice.comment}",
        }
    )
    return Settlement(conflict=parked[place], result=Settled.SETTLED, keep=keep)


def _side(choice: ConflictChoice, shown: Conflict) -> Side | None:
    if choice.keep is not Keep.NEWEST:
        return Side(choice.keep.value)
    if shown.source_image is None or shown.target_image is None:
        return None
    ours, theirs = (
        version.get(choice.column) for version in (shown.source_image, shown.target_image)
    )
    if ours is None or theirs is None or ours == theirs:
        return None
    return Side.SOURCE if ours > theirs else Side.TARGET
