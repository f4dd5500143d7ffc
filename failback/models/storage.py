"""What is known about stored objects, and what a sync or a comparison of buckets found."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from failback.models.common import Outcome, Payload, Side


class ObjectEntry(Payload):
    """One object as a listing names it."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """Without quotes. MD5 of the bytes only where it was not uploaded in parts."""
    modified: datetime
    version: str = ""
    """Id of the version that is current; empty where the bucket keeps none, or nobody asked."""


class ObjectPage(Payload):
    """Some objects of a listing, in no order that may be relied on."""

    objects: tuple[ObjectEntry, ...]
    at: datetime | None = None
    """The server's own clock when it answered."""


class ObjectHead(Payload):
    """What is kept with an object besides its bytes."""

    size: int
    etag: str
    content_type: str = ""
    cache_control: str = ""
    content_disposition: str = ""
    content_encoding: str = ""
    content_language: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)
    """The product's own, names in lower case: servers disagree about their case."""

    @property
    def described(self) -> tuple[object, ...]:
        """All that has to be the same on both sides, but for the bytes."""
        return (
            self.content_type,
            self.cache_control,
            self.content_disposition,
            self.content_encoding,
            self.content_language,
            tuple(sorted(self.metadata.items())),
        )


class OpenUpload(Payload):
    """An upload in parts that was begun."""

    bucket: str
    key: str
    id: str


class DeletedKey(Payload):
    """A key whose newest version is a delete marker above at least one version with bytes."""

    key: str
    at: datetime


class BucketState(Payload):
    """What one bucket is and allows."""

    side: Side
    bucket: str
    exists: bool
    versioned: bool = False
    """Whether what is overwritten or deleted there can be had back."""
    conditional_writes: bool = False
    """Whether a write with a condition that does not hold is refused there."""
    problem: str = ""
    cure: str = ""


class StorageStatus(Payload):
    """Whether a sync could begin, and what deletes it could tell from objects never copied."""

    estate: str
    outcome: Outcome
    buckets: tuple[BucketState, ...]
    known_objects: int = 0
    """Objects of the inventory: what the last baseline or sync found on the target."""
    recorded_at: datetime | None = None
    """When a baseline or a sync last ended; None where none ever did."""


class ObjectFate(StrEnum):
    """What became of one object in a sync."""

    COPIED = "copied"
    DELETED = "deleted"
    EQUAL = "equal"
    """Looked at, and the same on both sides."""
    GONE = "gone"
    """Deleted on the target while it was to be copied; the next pass sees to it."""
    CHANGED = "changed"
    """Written by somebody while it was worked on; the next pass sees to it."""
    CONFLICT = "conflict"
    """Somebody else wrote it on the source since it was last equal; left as it is."""
    UNEXPLAINED = "unexplained"
    """Only the source has it, and nothing shows that the target ever had; left as it is."""
    FAILED = "failed"
    """The server refused it."""


class ObjectNote(Payload):
    """One object that a person should know of."""

    bucket: str
    """The target's bucket."""
    key: str
    fate: ObjectFate
    explanation: str = ""


class BucketSync(Payload):
    """What a sync did to one pair of buckets, over all passes."""

    source: str
    target: str
    outcome: Outcome
    passes: int = 0
    seen: int = 0
    """Objects that the target had in the last listing."""
    copied: int = 0
    copied_bytes: int = 0
    deleted: int = 0
    looked_at: int = 0
    """Objects whose listing alone did not show that they are equal, and were."""
    unsettled: int = 0
    """Objects that changed under the last pass."""
    conflicts: int = 0
    unexplained: int = 0
    failed: int = 0


class StorageSyncReport(Payload):
    """What a sync of all buckets did. Succeeded: the last pass found nothing left to do.

    Of one that was to be a single pass: nothing was refused and nothing needs a person.
    """

    outcome: Outcome
    buckets: tuple[BucketSync, ...]
    notes: tuple[ObjectNote, ...] = ()
    """Examples, at most a hundred a bucket."""
    deletes_accepted_by: str = ""
    seconds: float = 0.0


class DifferenceKind(StrEnum):
    """How an object differs between the sides."""

    MISSING = "missing"
    """The target has it and the source has not."""
    EXTRA = "extra"
    """The target had it and deleted it; the source still has it."""
    UNEXPLAINED = "unexplained"
    """The source has it, and nothing shows that the target ever had."""
    CHANGED = "changed"
    """Written while it was compared, so that nothing is known."""
    CONTENT = "content"
    METADATA = "metadata"


class ObjectDifference(Payload):
    """One object that is not the same on both sides."""

    bucket: str
    """The target's bucket."""
    key: str
    kind: DifferenceKind
    explanation: str = ""


class BucketComparison(Payload):
    """Two buckets, compared object by object."""

    source: str
    target: str
    outcome: Outcome
    objects: int = 0
    """Objects of the target."""
    bytes: int = 0
    source_digest: str = ""
    """SHA-256 over key, content and metadata of its objects, but for those that are its own."""
    target_digest: str = ""
    missing: int = 0
    extra: int = 0
    unexplained: int = 0
    different: int = 0
    changed: int = 0
    own: int = 0
    """Objects of the source that the baseline found there alone."""
    by_listing: int = 0
    """Of `objects`: those that a quick comparison did not look at again."""


class StorageVerifyReport(Payload):
    """A comparison of all buckets. Inconclusive: nothing differs but what is unexplained."""

    outcome: Outcome
    buckets: tuple[BucketComparison, ...]
    differences: tuple[ObjectDifference, ...] = ()
    """Examples, at most a hundred a bucket."""
    seconds: float = 0.0


class StorageBaseline(Payload):
    """What a baseline recorded about one pair of buckets."""

    source: str
    target: str
    both: int = 0
    """Objects on both sides and equal."""
    target_only: int = 0
    """Recorded as had by the target; a sync copies them."""
    source_own: int = 0
    """Objects that only the source has: taken as its own, never deleted by a sync."""
    different: int = 0
    """On both sides and not equal; a sync copies them to the source."""


class StorageBaselineReport(Payload):
    """What baselines of all buckets recorded."""

    buckets: tuple[StorageBaseline, ...]
    seconds: float = 0.0
