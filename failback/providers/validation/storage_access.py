"""Whether the source's objects can be listed and read."""

from collections.abc import Sequence

from failback.errors import ObjectChangedError
from failback.models.common import Outcome
from failback.providers.validation.looking import Look, worst
from failback.storage_ports import ObjectEndpoint

_BYTES = 1024
_TRIES = 3


class StorageLook:
    """Blocking; nothing is written.

    Args:
        endpoint: the source's.
        buckets: each with the prefix of the keys that matter.
    """

    def __init__(self, endpoint: ObjectEndpoint, buckets: Sequence[tuple[str, str]]) -> None:
        self._endpoint = endpoint
        self._buckets = buckets

    def look(self) -> Look:
        """List each bucket, and read the beginning of its first object.

        Raises:
            UnreachableError, CredentialsError, MissingRightError, StorageRefusedError.
        """
        return worst([self._bucket(*bucket) for bucket in self._buckets])

    def close(self) -> None:
        """Give back connections."""
        self._endpoint.close()

    def _bucket(self, bucket: str, prefix: str) -> Look:
        state = self._endpoint.state(bucket)
        if not state.exists:
            return Look(Outcome.FAILED, state.problem)
        for _ in range(_TRIES):
            page = next(self._endpoint.listed(bucket, prefix), None)
            if page is None or not page.objects:
                return Look(Outcome.SUCCEEDED, f"{bucket} is empty")
            first = page.objects[0]
            head = self._endpoint.head(bucket, first.key)
            if head is None:
                continue
            try:
                self._endpoint.get_range(bucket, first.key, head.etag, 0, min(_BYTES, head.size))
            except ObjectChangedError:
                continue
            return Look(Outcome.SUCCEEDED, f"{bucket} was listed and read")
        return Look(Outcome.INCONCLUSIVE, f"the first object of {bucket} changes all the time")
