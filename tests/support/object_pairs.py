"""Two sides' buckets with a sync between them, for tests."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from failback.models.common import Side
from failback.models.storage import ObjectHead
from failback.object_sync import ObjectSync
from failback.providers.storage import FakeEndpoint
from failback.sections.storage import BucketConfig, StorageConfig, StorageEndpointConfig
from failback.storage_ports import ObjectEndpoint

PART = 5 * 1024 * 1024
PLAIN = ObjectHead(size=0, etag="", content_type="text/plain", metadata={"owner": "mira"})
SOURCE, TARGET = "files", "live-files"


@dataclass
class Pair:
    """A pair of buckets."""

    source: ObjectEndpoint
    target: ObjectEndpoint
    inventory: Path
    part_bytes: int = PART
    passes: int = 5
    buckets: tuple[str, str] = (SOURCE, TARGET)

    def sync(self) -> ObjectSync:
        """A new process's sync."""
        config = StorageConfig(
            source=StorageEndpointConfig(url="http://source"),
            target=StorageEndpointConfig(url="http://target"),
            buckets=(BucketConfig(target=self.buckets[1], source=self.buckets[0]),),
            parallel=4,
            passes=self.passes,
        )
        return ObjectSync(
            "shop",
            config,
            source=self.source,
            target=self.target,
            inventory=self.inventory,
            part_bytes=self.part_bytes,
        )

    def put(self, side: Side, key: str, body: bytes, head: ObjectHead = PLAIN) -> None:
        """Write as a product does."""
        endpoint, bucket = self._of(side)
        there = endpoint.head(bucket, key)
        endpoint.put(bucket, key, body, head, there.etag if there else None)

    def delete(self, side: Side, key: str) -> None:
        """Delete as a product does."""
        endpoint, bucket = self._of(side)
        there = endpoint.head(bucket, key)
        if there is not None:
            endpoint.delete(bucket, key, there.etag)

    def contents(self, side: Side) -> dict[str, tuple[str, tuple[object, ...]]]:
        """SHA-256 and description of every object."""
        endpoint, bucket = self._of(side)
        entries = [entry for page in endpoint.listed(bucket, "") for entry in page.objects]
        found = {}
        for entry in entries:
            head, body = endpoint.get(bucket, entry.key, entry.etag)
            found[entry.key] = (hashlib.sha256(body).hexdigest(), head.described)
        return found

    def _of(self, side: Side) -> tuple[ObjectEndpoint, str]:
        if side is Side.SOURCE:
            return self.source, self.buckets[0]
        return self.target, self.buckets[1]


@dataclass
class FakePair(Pair):
    """The same in memory."""

    source: FakeEndpoint
    target: FakeEndpoint


def in_memory(
    folder: Path,
    *,
    versioned: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> FakePair:
    """Two empty buckets in memory."""
    source, target = (FakeEndpoint(side, clock=clock) for side in (Side.SOURCE, Side.TARGET))
    source.make(SOURCE, versioned=versioned)
    target.make(TARGET, versioned=versioned)
    return FakePair(source, target, folder / "objects.sqlite3")
