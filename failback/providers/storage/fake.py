"""An endpoint in memory, for tests and for trying things out. It keeps versions and conditions."""

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from failback.errors import ObjectChangedError
from failback.models.common import Side
from failback.models.storage import (
    BucketState,
    DeletedKey,
    ObjectEntry,
    ObjectHead,
    ObjectPage,
    OpenUpload,
)
from failback.providers.storage.s3_errors import no_bucket

_PAGE = 3
"""So small that every listing of a test has pages."""


@dataclass
class _Version:
    """One version of an object; None as body is a delete marker."""

    head: ObjectHead
    body: bytes | None
    at: datetime


@dataclass
class _Upload:
    head: ObjectHead
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class _Bucket:
    versioned: bool
    objects: dict[str, list[_Version]] = field(default_factory=dict)


class FakeEndpoint:
    """Implements `ObjectEndpoint` in memory.

    Args:
        side: which side's it is.
        place: what messages call it.
        clock: the server's clock.
    """

    def __init__(
        self,
        side: Side,
        place: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._side = side
        self._place = place or f"fake {side.value}"
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._uploads: dict[OpenUpload, _Upload] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self.before: Callable[[str, str], None] = lambda _call, _key: None
        """Called before each call about one object: for tests that meddle."""
        self.conditions = True

    @property
    def place(self) -> str:
        """See `ObjectEndpoint.place`."""
        return self._place

    @property
    def account(self) -> str:
        """See `ObjectEndpoint.account`. Each fake has its own."""
        return str(id(self))

    def make(self, bucket: str, *, versioned: bool | None = None) -> None:
        """See `ObjectEndpoint.make`; where it is said, it keeps versions from now on or not."""
        made = self._buckets.setdefault(bucket, _Bucket(bool(versioned)))
        if versioned is not None:
            made.versioned = versioned

    def state(self, bucket: str) -> BucketState:
        """See `ObjectEndpoint.state`."""
        found = self._buckets.get(bucket)
        if found is None:
            lost = no_bucket(self._place, bucket)
            return BucketState(
                side=self._side, bucket=bucket, exists=False, problem=lost.cause, cure=lost.cure
            )
        return BucketState(side=self._side, bucket=bucket, exists=True, versioned=found.versioned)

    def honours_conditions(self, bucket: str) -> bool:
        """See `ObjectEndpoint.honours_conditions`."""
        self._bucket(bucket)
        return self.conditions

    def listed(self, bucket: str, prefix: str) -> Iterator[ObjectPage]:
        """See `ObjectEndpoint.listed`. The order is none on purpose."""
        with self._lock:
            entries = [
                ObjectEntry(
                    key=key,
                    size=versions[-1].head.size,
                    etag=versions[-1].head.etag,
                    modified=versions[-1].at,
                )
                for key, versions in self._bucket(bucket).objects.items()
                if key.startswith(prefix) and versions[-1].body is not None
            ]
        for first in range(0, max(1, len(entries)), _PAGE):
            yield ObjectPage(objects=tuple(entries[first : first + _PAGE]), at=self._clock())

    def deleted(self, bucket: str, prefix: str) -> Iterator[DeletedKey]:
        """See `ObjectEndpoint.deleted`."""
        with self._lock:
            found = [
                DeletedKey(key=key, at=versions[-1].at)
                for key, versions in self._bucket(bucket).objects.items()
                if key.startswith(prefix)
                and versions[-1].body is None
                and any(version.body is not None for version in versions)
            ]
        yield from found

    def inventoried(self, bucket: str, prefix: str) -> Iterator[ObjectPage]:
        """See `ObjectEndpoint.inventoried`. Versions are numbers, by key."""
        held = self._bucket(bucket)
        for page in self.listed(bucket, prefix):
            objects = page.objects
            if held.versioned:
                objects = tuple(
                    one.model_copy(update={"version": str(len(held.objects[one.key]))})
                    for one in objects
                )
            yield page.model_copy(update={"objects": objects})

    def head(self, bucket: str, key: str) -> ObjectHead | None:
        """See `ObjectEndpoint.head`."""
        self.before("head", key)
        found = self._newest(bucket, key)
        return found.head if found else None

    def get(self, bucket: str, key: str, etag: str) -> tuple[ObjectHead, bytes]:
        """See `ObjectEndpoint.get`."""
        self.before("get", key)
        found = self._newest(bucket, key)
        if found is None or found.body is None or found.head.etag != etag:
            raise ObjectChangedError(f"{bucket}/{key} changed while it was worked on.")
        return found.head, found.body

    def get_range(self, bucket: str, key: str, etag: str, start: int, length: int) -> bytes:
        """See `ObjectEndpoint.get_range`."""
        body = self.get(bucket, key, etag)[1][start : start + length]
        if len(body) != length:
            raise ObjectChangedError(f"{bucket}/{key} is shorter than it was.")
        return body

    def put(
        self, bucket: str, key: str, body: bytes, head: ObjectHead, expected: str | None
    ) -> str:
        """See `ObjectEndpoint.put`."""
        self.before("put", key)
        return self._write(
            bucket, key, body, head.model_copy(update={"etag": _md5(body)}), expected
        )

    def copy(
        self, bucket: str, key: str, origin: tuple[str, str], head: ObjectHead, expected: str | None
    ) -> str:
        """See `ObjectEndpoint.copy`."""
        _, body = self.get(*origin, head.etag)
        return self.put(bucket, key, body, head, expected)

    def delete(self, bucket: str, key: str, expected: str) -> bool:
        """See `ObjectEndpoint.delete`."""
        self.before("delete", key)
        with self._lock:
            found = self._newest(bucket, key)
            if found is None:
                return False
            if found.head.etag != expected:
                raise ObjectChangedError(f"{bucket}/{key} was replaced.")
            self.remove(bucket, key)
        return True

    def remove(self, bucket: str, key: str) -> None:
        """Delete as a product does, whether there is such an object or not."""
        with self._lock:
            held = self._bucket(bucket)
            if held.versioned:
                marker = _Version(ObjectHead(size=0, etag=""), None, self._clock())
                held.objects.setdefault(key, []).append(marker)
            else:
                held.objects.pop(key, None)

    def begin_upload(self, bucket: str, key: str, head: ObjectHead) -> OpenUpload:
        """See `ObjectEndpoint.begin_upload`."""
        self.before("begin_upload", key)
        self._bucket(bucket)
        upload = OpenUpload(bucket=bucket, key=key, id=str(next(self._numbers)))
        self._uploads[upload] = _Upload(head)
        return upload

    def put_part(self, upload: OpenUpload, number: int, body: bytes) -> str:
        """See `ObjectEndpoint.put_part`."""
        self.before("put_part", upload.key)
        self._upload(upload).parts[number] = body
        return _md5(body)

    def copy_part(
        self,
        upload: OpenUpload,
        number: int,
        origin: tuple[str, str, str],
        span: tuple[int, int],
    ) -> str:
        """See `ObjectEndpoint.copy_part`."""
        return self.put_part(upload, number, self.get_range(*origin, *span))

    def parts(self, upload: OpenUpload) -> dict[int, tuple[str, int]] | None:
        """See `ObjectEndpoint.parts`."""
        found = self._uploads.get(upload)
        if found is None:
            return None
        return {number: (_md5(body), len(body)) for number, body in found.parts.items()}

    def complete_upload(
        self, upload: OpenUpload, etags: Sequence[str], expected: str | None
    ) -> str:
        """See `ObjectEndpoint.complete_upload`. ETags of uploads are no MD5 here either."""
        self.before("complete_upload", upload.key)
        found = self._upload(upload)
        bodies = [found.parts[number] for number in range(1, len(etags) + 1)]
        if [_md5(body) for body in bodies] != list(etags):
            raise ObjectChangedError(f"{upload.key}: a part is another one.")
        etag = f"{_md5(''.join(etags).encode())}-{len(etags)}"
        head = found.head.model_copy(update={"etag": etag})
        written = self._write(upload.bucket, upload.key, b"".join(bodies), head, expected)
        del self._uploads[upload]
        return written

    def abandon_upload(self, upload: OpenUpload) -> None:
        """See `ObjectEndpoint.abandon_upload`."""
        self._uploads.pop(upload, None)

    def uploads(self) -> int:
        """How many uploads are open."""
        return len(self._uploads)

    def close(self) -> None:
        """See `ObjectEndpoint.close`."""

    def _write(
        self, bucket: str, key: str, body: bytes, head: ObjectHead, expected: str | None
    ) -> str:
        """Write with the ETag of `head`."""
        with self._lock:
            found = self._newest(bucket, key)
            if (found.head.etag if found else None) != expected:
                raise ObjectChangedError(f"{bucket}/{key} is not what it was to replace.")
            written = head.model_copy(update={"size": len(body)})
            version = _Version(written, body, self._clock())
            held = self._bucket(bucket)
            if held.versioned:
                held.objects.setdefault(key, []).append(version)
            else:
                held.objects[key] = [version]
        return written.etag

    def _newest(self, bucket: str, key: str) -> _Version | None:
        with self._lock:
            versions = self._bucket(bucket).objects.get(key)
            return versions[-1] if versions and versions[-1].body is not None else None

    def _bucket(self, bucket: str) -> _Bucket:
        if bucket not in self._buckets:
            raise no_bucket(self._place, bucket)
        return self._buckets[bucket]

    def _upload(self, upload: OpenUpload) -> _Upload:
        if upload not in self._uploads:
            raise ObjectChangedError(f"Upload {upload.id} is gone.")
        return self._uploads[upload]


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
