"""Tells rows that are merely on their way from rows that differ.

Changes when "a moment behind" has to be understood in another way.
"""

import time
from collections.abc import Sequence
from typing import Any

from failback.models.common import Side
from failback.reverse_sync.differences import Difference, Findings, differing
from failback.reverse_sync.pulse import Progress
from failback.reverse_sync.sessions import Sessions, Snapshot

_PAUSE_SECONDS = 0.2


def settle(
    sessions: Sessions,
    findings: Sequence[Findings],
    seconds: float,
    progress: Progress,
    notes: list[str],
) -> int:
    """Look at differing rows again until the source has caught up with them, or time is up.

    A row that becomes equal was in flight: it is taken out of the counts and of both digests. A
    row that still differs when time is up stays a difference if the target did not change it
    again meanwhile; otherwise it is left out too, and counted in the answer.

    Args:
        sessions: open sessions to both sides.
        findings: tables with their differences; changed in place. Tables with more differences
            than were kept are left as they are: that is no lag.
        seconds: how long to look.
        progress: called with each look.
        notes: gets a sentence on what was left out.

    Returns:
        How many rows never stood still, so that nothing is known about them.
    """
    waiting = {
        place: list(found.differences)
        for place, found in enumerate(findings)
        if found.comparison.table.key and 0 < found.total == len(found.differences)
    }
    still = dict(waiting)
    deadline = time.monotonic() + seconds
    while any(still.values()) and time.monotonic() < deadline:
        progress("Looking again at rows that were in flight.")
        time.sleep(_PAUSE_SECONDS)
        with Snapshot(sessions, Side.TARGET) as target, Snapshot(sessions, Side.SOURCE) as source:
            for place, differences in still.items():
                still[place] = _still(findings[place], differences, source, target)
    arrived = moving = 0
    for place, before in waiting.items():
        first = {difference.key: difference for difference in before}
        kept = []
        for difference in still[place]:
            seen = first.get(difference.key)
            if seen is not None and seen.target == difference.target:
                kept.append(seen)
            else:
                moving += 1
        _leave_out(findings[place], kept)
        arrived += len(before) - len(still[place])
    if arrived:
        notes.append(f"{arrived} rows were in flight and are left out; they arrived meanwhile.")
    if moving:
        notes.append(f"{moving} rows changed all the time and are left out; fence to be sure.")
    return moving


def _still(
    found: Findings, differences: Sequence[Difference], source: Snapshot, target: Snapshot
) -> list[Difference]:
    """Those of the differing rows that differ now as well."""
    if not differences:
        return []
    columns = [list(values) for values in zip(*(each.key for each in differences), strict=True)]
    answers: dict[Side, list[Any]] = {}
    for side, snapshot in ((Side.SOURCE, source), (Side.TARGET, target)):
        with snapshot.session() as session:
            answers[side] = session.execute(found.comparison.some(), columns).fetchall()
    return list(differing(answers))


def _leave_out(found: Findings, kept: Sequence[Difference]) -> None:
    """Take every difference that is not kept out of the counts and of both digests."""
    keys = {difference.key for difference in kept}
    for difference in found.differences:
        if difference.key in keys:
            continue
        found.counts[difference.kind] -= 1
        for side, hashes in ((Side.SOURCE, difference.source), (Side.TARGET, difference.target)):
            if hashes is not None:
                found.digests[side] = found.digests[side].without(hashes)
    found.differences[:] = kept
