"""Values in an object of a bucket: members of a JSON document, or the object as a whole."""

import asyncio
import threading
from collections.abc import Sequence

from failback.errors import (
    BucketMissingError,
    ObjectChangedError,
    SettingsChangedError,
    SettingsError,
)
from failback.models.common import Side
from failback.models.storage import ObjectHead
from failback.providers.configuration.documents import changed_keys, read_keys
from failback.providers.configuration.place import Change, Reading
from failback.providers.storage import S3Endpoint
from failback.sections.configuration import KeyConfig, S3ObjectConfig

_LARGEST = 4 * 2**20
_CONNECTIONS = 2


class S3ObjectPlace:
    """Implements `Place`.

    A write names the ETag that it replaces where the server honours that; elsewhere it looks
    first. Content type, cache control and metadata stay.

    Args:
        config: the object, and how to reach its server. Nothing is connected to yet.
    """

    def __init__(self, config: S3ObjectConfig) -> None:
        self._config = config
        self._endpoint: S3Endpoint | None = None
        self._lock = threading.Lock()

    async def read(self, keys: Sequence[KeyConfig]) -> Reading:
        """See `Place.read`."""
        head, text = await asyncio.to_thread(self._got)
        return read_keys(text, keys, head.etag)

    async def write(self, changes: Sequence[Change], seen: str) -> None:
        """See `Place.write`."""
        await asyncio.to_thread(self._written, changes, seen)

    async def aclose(self) -> None:
        """See `Place.aclose`."""
        with self._lock:
            endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            endpoint.close()

    def _got(self) -> tuple[ObjectHead, str]:
        bucket, key = self._config.bucket, self._config.object
        endpoint = self._opened()
        try:
            head = endpoint.head(bucket, key)
            if head is None:
                # A HEAD tells neither from the other.
                missing = "object" if endpoint.state(bucket).exists else "bucket for"
                raise SettingsError(
                    f"There is no {missing} {bucket}/{key} at {endpoint.place}.",
                    "Correct bucket and object, or put it there first.",
                )
            if head.size > _LARGEST:
                raise SettingsError(
                    f"{bucket}/{key} has more than {_LARGEST // 2**20} MiB.",
                    "Name an object of settings.",
                )
            head, body = endpoint.get(bucket, key, head.etag)
        except ObjectChangedError as error:
            raise SettingsChangedError(f"{bucket}/{key} changed while it was read.") from error
        except BucketMissingError as error:
            raise SettingsError(error.cause, "Correct bucket, or make it.") from error
        try:
            return head, body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise SettingsError(f"{bucket}/{key} is no UTF-8 text.", "Save it as UTF-8.") from error

    def _written(self, changes: Sequence[Change], seen: str) -> None:
        head, text = self._got()
        bucket, key = self._config.bucket, self._config.object
        changed = SettingsChangedError(f"{bucket}/{key} changed while it was worked on.")
        if head.etag != seen:
            raise changed
        body = changed_keys(text, changes).encode("utf-8")
        try:
            self._opened().put(bucket, key, body, head, seen)
        except ObjectChangedError as error:
            raise changed from error

    def _opened(self) -> S3Endpoint:
        with self._lock:
            if self._endpoint is None:
                self._endpoint = S3Endpoint(Side.SOURCE, self._config, _CONNECTIONS)
            return self._endpoint
