"""Picks the way of capture that the servers allow, and says why.

Changes when another way, or another reason for one, is known.
"""

from dataclasses import dataclass

from failback.errors import ConfigurationError
from failback.models.common import Side
from failback.models.sync import CAPTURE_WAYS
from failback.reverse_sync import rights
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.rights import Lack
from failback.reverse_sync.ways import CHANGELOG, DIFF, SLOT

NONE = "none"
"""On the receiver: its own changes are not found, and late rows are parked whenever they differ."""

_WHY = {
    SLOT: "logical decoding tells every commit and costs the writers nothing more",
    CHANGELOG: "triggers write down each changed key, which needs no right to replicate",
    DIFF: "nothing is captured, and each batch compares both sides by checksum",
}


@dataclass(frozen=True)
class Choice:
    """How changes are captured on each side."""

    sender: str
    """`slot`, `changelog` or `diff`."""
    receiver: str
    """`slot`, `changelog` or `none`: how its own changes are found once it takes writes."""
    why: str
    warnings: tuple[str, ...] = ()
    cures: tuple[str, ...] = ()
    """What to run so that a better way could be chosen on the sender; empty where there is none."""
    receiver_cures: tuple[str, ...] = ()
    """The same on the receiver."""


def choose(
    connections: dict[Side, Connection],
    sending: Side,
    *,
    asked: str | None,
    before: str | None,
    slots_needed: dict[Side, int],
) -> Choice:
    """Pick the best way that the rights and the versions allow, unless one is asked for.

    Args:
        connections: a session on each side.
        sending: the side whose changes are captured.
        asked: the way that was asked for; None picks.
        before: the way that is armed already: it is kept where it can be.
        slots_needed: how many slots would have to be made on each side.

    Raises:
        ConfigurationError: there is no such way.
        MissingRightError: the way that was asked for needs something that is missing.
    """
    if asked is not None and asked not in CAPTURE_WAYS:
        raise ConfigurationError(
            f"There is no way of capture {asked}.",
            f"Leave it out, or write {', '.join(CAPTURE_WAYS)}.",
        )
    lacks = _lacks(connections[sending], sending, slots_needed[sending])
    if asked is not None:
        rights.refuse(lacks[asked])
        way, why = asked, f"it was asked for: {_WHY[asked]}"
    elif before is not None and not lacks[before]:
        way, why = before, _WHY[before] if before == SLOT else f"as before: {_WHY[before]}"
    else:
        way = next(name for name in CAPTURE_WAYS if not lacks[name])
        better = CAPTURE_WAYS[: CAPTURE_WAYS.index(way)]
        reasons = "; ".join(lack.what for name in better for lack in lacks[name])
        why = f"{_WHY[way]}; {reasons}" if reasons else _WHY[way]
    receiver, warnings, receiver_cures = _receiving(
        connections[sending.other], sending.other, slots_needed
    )
    if way == DIFF:
        warnings.insert(
            0,
            "no change is captured: each batch reads both sides whole, and so does a rollback "
            "inside the fence",
        )
    return Choice(
        way,
        receiver,
        why,
        tuple(warnings),
        cures=_cures(lacks, way),
        receiver_cures=receiver_cures,
    )


def _lacks(connection: Connection, side: Side, slots_needed: int) -> dict[str, list[Lack]]:
    return {
        SLOT: rights.slot_lacks(connection, side, slots_needed=slots_needed),
        CHANGELOG: rights.changelog_lacks(connection, side),
        DIFF: [],
    }


def _receiving(
    connection: Connection, side: Side, slots_needed: dict[Side, int]
) -> tuple[str, list[str], tuple[str, ...]]:
    lacks = _lacks(connection, side, slots_needed[side])
    if not lacks[SLOT]:
        return SLOT, [], ()
    what = "; ".join(lack.what for lack in lacks[SLOT])
    if not lacks[CHANGELOG]:
        warning = f"the {side.value}'s own changes are found by a changelog: {what}"
        return CHANGELOG, [warning], _cures(lacks, CHANGELOG)
    what += "; " + "; ".join(lack.what for lack in lacks[CHANGELOG])
    warning = (
        f"the {side.value}'s own changes cannot be found, so every late row that differs will be "
        f"parked as a conflict: {what}"
    )
    return NONE, [warning], _cures(lacks, DIFF)


def _cures(lacks: dict[str, list[Lack]], way: str) -> tuple[str, ...]:
    """What would have to be run for each way that is better than this one."""
    better = CAPTURE_WAYS[: CAPTURE_WAYS.index(way)]
    return tuple(dict.fromkeys(lack.cure for name in better for lack in lacks[name]))
