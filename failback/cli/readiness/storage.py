"""Questions about stored objects: whether they could go back, and whether deletes are known."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

from failback.cli.readiness.findings import Finding, Part
from failback.config import Estate
from failback.errors import StorageBusyError
from failback.models.storage import BucketState, StorageStatus
from failback.providers.storage import open_storage

_DELETES = "deletes on the target would be known"
_HOURS = timedelta(hours=48)
"""From here on an age is told in days."""


def examine_storage(estate: Estate) -> list[Finding]:
    """Look at the buckets of both sides and at the inventory. Blocking; no object is written.

    Nothing is asked of an estate that names no buckets.
    """
    part = Part("storage")
    if estate.storage is None:
        return []
    with closing(open_storage(estate.estate, estate.storage)) as engine:
        try:
            status = engine.status(probe=False)
        except StorageBusyError as busy:
            part.skip("objects can go back", busy.cause)
            return part.findings
    for state in status.buckets:
        _bucket(part, state)
    _deletes(part, status)
    return part.findings


def _bucket(part: Part, state: BucketState) -> None:
    question = f"the {state.side.value}'s bucket {state.bucket} is there"
    if not state.exists:
        part.say(question, False, state.problem, state.cure)
        return
    part.say(question, True, "keeps versions" if state.versioned else "keeps no versions")
    if state.problem:
        kept = f"what is deleted in the {state.side.value}'s bucket {state.bucket} can be had back"
        told = kept if state.side.value == "source" else _DELETES
        part.say(told, None, state.problem, state.cure)


def _deletes(part: Part, status: StorageStatus) -> None:
    if status.recorded_at is None:
        if not any(state.problem for state in status.buckets if state.side.value == "target"):
            part.say(
                _DELETES,
                None,
                "there is no baseline; delete markers alone will tell",
                "Run failback arm, or failback storage baseline, while both sides are equal.",
            )
        return
    age = datetime.now(UTC) - status.recorded_at
    told = f"{age / timedelta(hours=1):.0f} h" if age < _HOURS else f"{age.days} days"
    part.say(
        _DELETES,
        True,
        f"{status.known_objects} objects are known; last recorded {told} ago",
    )
