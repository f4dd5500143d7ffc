"""Where the product keeps the bytes of stored objects: its own folder, or an S3 endpoint.

Which objects there are is told by the rows of `storage.objects`; see `Storage` for the order.
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from failback.lab.product.problems import ProblemError
from failback.lab.product.s3 import (
    BucketGoneError,
    Content,
    ObjectStoreError,
    S3Access,
    S3Client,
)


@dataclass(frozen=True)
class Place:
    """One version of an object, as its row names it."""

    bucket: str
    name: str
    version: str


class ObjectStore(Protocol):
    """Bytes of objects. What it raises is a `ProblemError`, for the product's client."""

    async def check(self) -> None:
        """Raise where objects could not be written."""
        ...

    def check_bucket(self, bucket: str) -> None:
        """Raise where there is no such bucket."""
        ...

    async def write(self, place: Place, content: Content) -> str:
        """Keep the bytes of a version whose row is not committed yet; returns their ETag."""
        ...

    async def read(self, place: Place) -> Content | None:
        """The bytes of a version; None where they are missing."""
        ...

    async def remove(self, place: Place) -> None:
        """Take the bytes away whose row is gone, but not committed as gone yet."""
        ...

    async def forget(self, place: Place) -> None:
        """Take away what no committed row names any more."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


class FolderStore:
    """Files, `bucket/name/version`: a version is written beside the one that it replaces.

    Args:
        files: the folder.
    """

    def __init__(self, files: Path) -> None:
        self._files = files

    async def check(self) -> None:
        """See `ObjectStore.check`."""
        if not os.access(self._files, os.W_OK):
            raise ProblemError(503, "storage_unavailable", "The files cannot be written.")

    def check_bucket(self, bucket: str) -> None:
        """See `ObjectStore.check_bucket`. Every name is a bucket here."""

    async def write(self, place: Place, content: Content) -> str:
        """See `ObjectStore.write`."""
        await asyncio.to_thread(_write, self._path(place), content.body)
        return ""

    async def read(self, place: Place) -> Content | None:
        """See `ObjectStore.read`. Its row tells the content type."""
        try:
            body = await asyncio.to_thread(self._path(place).read_bytes)
        except FileNotFoundError:
            return None
        return Content(body, "")

    async def remove(self, place: Place) -> None:
        """See `ObjectStore.remove`. Files go once the row is gone for good."""

    async def forget(self, place: Place) -> None:
        """See `ObjectStore.forget`."""
        await asyncio.to_thread(self._path(place).unlink, missing_ok=True)

    async def close(self) -> None:
        """See `ObjectStore.close`."""

    def _path(self, place: Place) -> Path:
        # One level, so that an object may have the name of another one's folder.
        return self._files / place.bucket / place.name.replace("/", "%2F") / place.version


class BucketStore:
    """Objects of an S3 endpoint, each under its own name: a new version replaces the old.

    Args:
        access: the endpoint.
    """

    def __init__(self, access: S3Access) -> None:
        self._buckets = access.buckets
        self._client = S3Client(access)

    async def check(self) -> None:
        """See `ObjectStore.check`."""
        try:
            there = [await self._client.has_bucket(bucket) for bucket in self._buckets]
        except ObjectStoreError as error:
            raise _away(error) from error
        if not all(there):
            raise ProblemError(503, "storage_unavailable", "A bucket is missing.")

    def check_bucket(self, bucket: str) -> None:
        """See `ObjectStore.check_bucket`."""
        if bucket not in self._buckets:
            raise _no_bucket()

    async def write(self, place: Place, content: Content) -> str:
        """See `ObjectStore.write`."""
        try:
            return await self._client.put(place.bucket, place.name, content)
        except BucketGoneError as error:
            raise _no_bucket() from error
        except ObjectStoreError as error:
            raise _away(error) from error

    async def read(self, place: Place) -> Content | None:
        """See `ObjectStore.read`."""
        try:
            return await self._client.get(place.bucket, place.name)
        except ObjectStoreError as error:
            raise _away(error) from error

    async def remove(self, place: Place) -> None:
        """See `ObjectStore.remove`."""
        try:
            await self._client.delete(place.bucket, place.name)
        except ObjectStoreError as error:
            raise _away(error) from error

    async def forget(self, place: Place) -> None:
        """See `ObjectStore.forget`. The name has the newest version already, or none."""

    async def close(self) -> None:
        """See `ObjectStore.close`."""
        await self._client.close()


def _away(error: ObjectStoreError) -> ProblemError:
    return ProblemError(503, "storage_unavailable", f"The objects' endpoint failed: {error}")


def _no_bucket() -> ProblemError:
    return ProblemError(404, "Bucket not found", "Bucket not found")


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it outlasts a crash of the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
