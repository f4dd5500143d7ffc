"""Effects on stored objects: copied ahead, carried over, compared."""

from temporalio import activity

from activities.failures import maps_errors_sync
from activities.heartbeating import beating_sync, heartbeat
from failback.models.common import Outcome
from failback.models.requests import StorageRequest
from failback.models.storage import StorageSyncReport, StorageVerifyReport
from failback.storage_ports import StorageSyncEngine

_BEAT_SECONDS = 1.0
"""A slow page of a listing, or the join of two large ones, takes longer than a missing beat may."""


class StorageActivities:
    """Carries objects from the target to the source.

    Args:
        storage: the estate's storage sync; None where it keeps no objects.
    """

    def __init__(self, storage: StorageSyncEngine | None) -> None:
        self._storage = storage

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def pre_sync_storage(self, request: StorageRequest) -> StorageSyncReport:
        """One pass while customers still write; what changes under it is left for the next."""
        return self._synced(request, settle=False)

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def sync_storage(self, request: StorageRequest) -> StorageSyncReport:
        """Copy, replace and delete until a pass finds nothing left to do."""
        return self._synced(request, settle=True)

    @activity.defn(no_thread_cancel_exception=True)
    @maps_errors_sync
    def verify_storage(self, _request: StorageRequest) -> StorageVerifyReport:
        """Compare what the listings do not show to be as it was when it was last equal."""
        if self._storage is None:
            return StorageVerifyReport(outcome=Outcome.INCONCLUSIVE, buckets=())
        with beating_sync(_BEAT_SECONDS):
            return self._storage.verify(heartbeat, quick=True)

    def _synced(self, request: StorageRequest, *, settle: bool) -> StorageSyncReport:
        if self._storage is None:
            return StorageSyncReport(outcome=Outcome.INCONCLUSIVE, buckets=())
        with beating_sync(_BEAT_SECONDS):
            return self._storage.sync(
                heartbeat, deletes_accepted_by=request.deletes_accepted_by, settle=settle
            )
