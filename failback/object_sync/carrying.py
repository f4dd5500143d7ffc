"""Carries one object, in bounded memory, or says why it was not carried.

Every write names the version that it replaces, so that an attempt that was given up and still
runs somewhere cannot replace what a later one wrote.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from failback.errors import ObjectChangedError, StorageRefusedError
from failback.models.storage import ObjectEntry, ObjectFate, ObjectHead, OpenUpload
from failback.object_sync.comparing import Comparer, pieces
from failback.object_sync.inventory import Uploads
from failback.object_sync.judging import Action, Finding, Known
from failback.object_sync.pairs import Pair
from failback.storage_ports import ObjectEndpoint

_MOST_PARTS = 9_000
"""S3 takes 10 000."""


@dataclass(frozen=True)
class Carried:
    """What became of one finding."""

    found: Finding
    fate: ObjectFate
    known: Known | None = None
    """What both sides have now, if they are equal."""
    bytes: int = 0
    explanation: str = ""


class _StoppedError(Exception):
    """Somebody stopped the sync; the upload stays, so that the next one goes on with it."""


class Carrier:
    """Carries objects of one pair of buckets. Thread-safe.

    Args:
        pair: the buckets.
        source: the source's endpoint, which is written.
        target: the target's endpoint, which is read.
        uploads: remembers uploads in parts.
        part_bytes: larger objects go in parts.
        parts: runs the parts of all objects; its size bounds memory.
        stop: once it is set, no further part is begun.
    """

    def __init__(
        self,
        pair: Pair,
        *,
        source: ObjectEndpoint,
        target: ObjectEndpoint,
        uploads: Uploads,
        part_bytes: int,
        parts: ThreadPoolExecutor,
        stop: threading.Event,
    ) -> None:
        self._pair = pair
        self._source = source
        self._target = target
        self._uploads = uploads
        self._part_bytes = part_bytes
        self._parts = parts
        self._stop = stop
        self._comparer = Comparer(source, target, part_bytes)
        self._near = (source.place, source.account) == (target.place, target.account)

    def carry(self, found: Finding, action: Action) -> Carried:
        """Do what was decided about one key.

        An object that changes, or goes, meanwhile is an outcome; so is one that the server
        refuses. Errors of a server that is away are raised.
        """
        steps: dict[Action, Callable[[Finding], Carried]] = {
            Action.COPY: self._copied,
            Action.COMPARE: self._made_equal,
            Action.COMPARE_ONLY: self._compared_only,
            Action.DELETE: self._deleted,
        }
        try:
            return steps[action](found)
        except ObjectChangedError as error:
            gone = self._target.head(self._pair.target, found.key) is None
            fate = ObjectFate.GONE if gone and found.target else ObjectFate.CHANGED
            return Carried(found, fate, explanation=error.cause)
        except StorageRefusedError as error:
            return Carried(found, ObjectFate.FAILED, explanation=error.cause)

    def _compared_only(self, found: Finding) -> Carried:
        return self._equal(found) or Carried(
            found,
            ObjectFate.CONFLICT,
            explanation="The source's object was written since it was last equal.",
        )

    def _made_equal(self, found: Finding) -> Carried:
        return self._equal(found) or self._copied(found)

    def _equal(self, found: Finding) -> Carried | None:
        source, target = _there(found.source), _there(found.target)
        if source.size != target.size:
            return None
        if not self._comparer.compared(self._pair, source, target).equal:
            return None
        return Carried(found, ObjectFate.EQUAL, Known(target.etag, source.etag))

    def _deleted(self, found: Finding) -> Carried:
        """The target is asked once more: it may have the key again."""
        source = _there(found.source)
        if self._target.head(self._pair.target, found.key) is not None:
            return Carried(found, ObjectFate.CHANGED, explanation="The target has it again.")
        self._source.delete(self._pair.source, found.key, source.etag)
        return Carried(found, ObjectFate.DELETED)

    def _copied(self, found: Finding) -> Carried:
        target = _there(found.target)
        expected = found.source.etag if found.source else None
        if target.size > self._part_bytes:
            written = self._in_parts(target, expected)
        elif self._near:
            origin = (self._pair.target, target.key)
            written = self._source.copy(
                self._pair.source, target.key, origin, self._head(target), expected
            )
        else:
            head, body = self._target.get(self._pair.target, target.key, target.etag)
            written = self._source.put(self._pair.source, target.key, body, head, expected)
        return Carried(found, ObjectFate.COPIED, Known(target.etag, written), bytes=target.size)

    def _head(self, target: ObjectEntry) -> ObjectHead:
        head = self._target.head(self._pair.target, target.key)
        if head is None or head.etag != target.etag:
            raise ObjectChangedError(f"{self._pair.target}/{target.key} changed before its copy.")
        return head

    def _in_parts(self, target: ObjectEntry, expected: str | None) -> str:
        """Upload in parts, going on where an earlier process was stopped."""
        key = target.key
        head = self._head(target)
        length = max(self._part_bytes, -(-target.size // _MOST_PARTS))
        upload, there = self._upload(target, head, length)

        def part(number: int, start: int, size: int) -> str:
            etag, known_size = there.get(number, ("", -1))
            if known_size == size:
                return etag
            if self._stop.is_set():
                raise _StoppedError
            if self._near:
                origin = (self._pair.target, key, target.etag)
                return self._source.copy_part(upload, number, origin, (start, size))
            body = self._target.get_range(self._pair.target, key, target.etag, start, size)
            return self._source.put_part(upload, number, body)

        futures = [
            self._parts.submit(part, number, start, size)
            for number, (start, size) in enumerate(pieces(target.size, length), 1)
        ]
        try:
            etags = [future.result() for future in futures]
            written = self._source.complete_upload(upload, etags, expected)
        except (ObjectChangedError, StorageRefusedError):
            for future in futures:
                future.cancel()
            self._source.abandon_upload(upload)
            self._uploads.forget(self._pair.name, key)
            raise
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        self._uploads.forget(self._pair.name, key)
        return written

    def _upload(
        self, target: ObjectEntry, head: ObjectHead, length: int
    ) -> tuple[OpenUpload, dict[int, tuple[str, int]]]:
        """An upload of exactly this version, with the parts that are there already."""
        bucket, key, name = self._pair.source, target.key, self._pair.name
        version = f"{target.etag} {target.modified.isoformat()}"
        begun = self._uploads.begun(name, key)
        if begun is not None:
            upload = OpenUpload(bucket=bucket, key=key, id=begun[2])
            parts = self._source.parts(upload)
            if parts is not None and begun[:2] == (version, length):
                return upload, parts
            self._source.abandon_upload(upload)
        upload = self._source.begin_upload(bucket, key, head)
        self._uploads.keep(name, key, (version, length, upload.id))
        return upload, {}


def _there(entry: ObjectEntry | None) -> ObjectEntry:
    """An object that the action implies."""
    if entry is None:
        raise AssertionError("an action was decided for an object that is not there")
    return entry
