"""What `failback arm` does about stored objects: it records what both sides have, once."""

from contextlib import closing

from failback.cli.session import Session
from failback.errors import FailbackError
from failback.models.common import Payload
from failback.models.storage import StorageBaseline, StorageStatus
from failback.object_sync import ObjectSync
from failback.providers.storage import open_storage


class StorageArmed(Payload):
    """Whether deletes of objects on the target will be known."""

    known: bool
    detail: str
    buckets: tuple[StorageBaseline, ...] = ()
    """What was recorded now; none where all was on record already."""


def arm_storage(session: Session) -> StorageArmed | None:
    """Record the buckets that no baseline or sync has recorded yet; others stay as they are.

    None where the estate names no buckets. What goes wrong is told, because rows are armed all the
    same.
    """
    estate = session.estate
    if estate.storage is None:
        return None
    try:
        with closing(open_storage(estate.estate, estate.storage)) as engine:
            return _armed(session, engine, engine.status(probe=False))
    except FailbackError as error:
        return StorageArmed(known=False, detail=f"{error.cause} {error.cure}".strip())


def _armed(session: Session, engine: ObjectSync, status: StorageStatus) -> StorageArmed:
    if status.recorded_at is not None:
        return StorageArmed(
            known=True,
            detail=f"the inventory of {status.recorded_at:%F %T} UTC is kept,"
            f" {status.known_objects:,} objects known",
        )
    told = None if session.output.as_json else session.output.note
    report = engine.baseline(told, missing_only=True)
    objects = sum(one.both + one.target_only + one.different for one in report.buckets)
    return StorageArmed(
        known=True,
        detail=f"baseline of {len(report.buckets)} buckets recorded, {objects:,} objects",
        buckets=report.buckets,
    )
