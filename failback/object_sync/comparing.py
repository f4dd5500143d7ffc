"""Whether two objects are equal: by ETag where that shows it, else by reading both."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from failback.errors import ObjectChangedError
from failback.models.storage import ObjectEntry, ObjectHead
from failback.object_sync.pairs import Pair
from failback.storage_ports import ObjectEndpoint

_PLAIN_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Compared:
    """What a comparison of one object found."""

    content: bool
    described: bool
    source_content: str
    """ETag or SHA-256; equal on both sides if the content is."""
    target_content: str
    source_head: ObjectHead
    target_head: ObjectHead

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return self.content and self.described


@dataclass(frozen=True)
class Comparer:
    """Compares objects of both sides. Thread-safe.

    Args:
        source: the source's endpoint.
        target: the target's endpoint.
        piece_bytes: so much of an object is in memory while it is read.
    """

    source: ObjectEndpoint
    target: ObjectEndpoint
    piece_bytes: int

    def compared(
        self, pair: Pair, source: ObjectEntry, target: ObjectEntry, *, read: str = "if_needed"
    ) -> Compared:
        """Compare the two versions that were listed.

        Args:
            pair: the buckets.
            source: the source's version.
            target: the target's version.
            read: `if_needed` reads where ETags of uploads in parts differ, `if_unequal` where any
                differ, `always` trusts none.

        Raises:
            ObjectChangedError: one of them is no longer this version.
        """
        heads = (
            _head_of(self.source, pair.source, source),
            _head_of(self.target, pair.target, target),
        )
        contents = (source.etag, target.etag)
        if source.size == target.size and _has_to_be_read(contents, read):
            contents = (
                self._digest(self.source, pair.source, source),
                self._digest(self.target, pair.target, target),
            )
        return Compared(
            content=source.size == target.size and contents[0] == contents[1],
            described=heads[0].described == heads[1].described,
            source_content=contents[0],
            target_content=contents[1],
            source_head=heads[0],
            target_head=heads[1],
        )

    def _digest(self, endpoint: ObjectEndpoint, bucket: str, entry: ObjectEntry) -> str:
        digest = hashlib.sha256()
        for start, length in pieces(entry.size, self.piece_bytes):
            digest.update(endpoint.get_range(bucket, entry.key, entry.etag, start, length))
        return f"sha256:{digest.hexdigest()}"


def pieces(size: int, length: int) -> Iterator[tuple[int, int]]:
    """Start and length of each piece of so many bytes; none of an empty object."""
    for start in range(0, size, length):
        yield start, min(length, size - start)


def _has_to_be_read(etags: tuple[str, str], read: str) -> bool:
    """MD5s that differ are of different bytes; anything else that differs shows nothing."""
    if read == "always":
        return True
    if etags[0] == etags[1]:
        return False
    return read == "if_unequal" or not all(_PLAIN_MD5.fullmatch(etag) for etag in etags)


def _head_of(endpoint: ObjectEndpoint, bucket: str, entry: ObjectEntry) -> ObjectHead:
    head = endpoint.head(bucket, entry.key)
    if head is None or head.etag != entry.etag:
        raise ObjectChangedError(f"{bucket}/{entry.key} changed while it was compared.")
    return head
