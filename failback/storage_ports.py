"""What the storage sync needs from an endpoint of objects, and what callers need from the sync."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from failback.models.storage import (
    BucketState,
    DeletedKey,
    ObjectHead,
    ObjectPage,
    OpenUpload,
    StorageBaselineReport,
    StorageStatus,
    StorageSyncReport,
    StorageVerifyReport,
)
from failback.ports import Progress


class ObjectEndpoint(Protocol):
    """One side's objects. Blocking; thread-safe; no method holds more than it is asked for.

    A write names what it may replace: `expected` is an ETag, or None where there must be
    nothing.

    All raise UnreachableError, CredentialsError, MissingRightError, BucketMissingError and
    StorageRefusedError; reads and writes of one object raise ObjectChangedError where the object
    is not, or is no longer, the version that was named.
    """

    @property
    def place(self) -> str:
        """Where it is, for people and for the inventory; never a secret."""
        ...

    @property
    def account(self) -> str:
        """With the same place and account, one side can copy from the other without us."""
        ...

    def state(self, bucket: str) -> BucketState:
        """What a bucket is; a missing one is an answer, not an error."""
        ...

    def make(self, bucket: str) -> None:
        """Make a bucket; one that is there already stays as it is."""
        ...

    def honours_conditions(self, bucket: str) -> bool:
        """Whether a write whose condition does not hold is refused; tried with a nameless object.

        Where it is not, writes look first, which leaves a gap that only a later pass closes.
        """
        ...

    def listed(self, bucket: str, prefix: str) -> Iterator[ObjectPage]:
        """All objects whose keys begin so, a page at a time."""
        ...

    def deleted(self, bucket: str, prefix: str) -> Iterator[DeletedKey]:
        """Keys that were deleted for certain; nothing where the bucket keeps no versions."""
        ...

    def inventoried(self, bucket: str, prefix: str) -> Iterator[ObjectPage]:
        """As `listed`, with the version of each object where the bucket keeps versions."""
        ...

    def head(self, bucket: str, key: str) -> ObjectHead | None:
        """What is kept with an object; None where there is none."""
        ...

    def get(self, bucket: str, key: str, etag: str) -> tuple[ObjectHead, bytes]:
        """A small object, whole."""
        ...

    def get_range(self, bucket: str, key: str, etag: str, start: int, length: int) -> bytes:
        """Exactly so many bytes of one version."""
        ...

    def put(
        self, bucket: str, key: str, body: bytes, head: ObjectHead, expected: str | None
    ) -> str:
        """Write an object whole, with everything of `head`; returns its ETag."""
        ...

    def copy(
        self, bucket: str, key: str, origin: tuple[str, str], head: ObjectHead, expected: str | None
    ) -> str:
        """As `put`, with the bytes of bucket and key at this endpoint, if still `head.etag`."""
        ...

    def delete(self, bucket: str, key: str, expected: str) -> bool:
        """Delete an object if it is still this version; False where there was none."""
        ...

    def begin_upload(self, bucket: str, key: str, head: ObjectHead) -> OpenUpload:
        """Begin an upload in parts."""
        ...

    def put_part(self, upload: OpenUpload, number: int, body: bytes) -> str:
        """One part, numbered from 1; returns its ETag."""
        ...

    def copy_part(
        self,
        upload: OpenUpload,
        number: int,
        origin: tuple[str, str, str],
        span: tuple[int, int],
    ) -> str:
        """As `put_part`, from bucket, key and ETag at this endpoint, bytes start and length."""
        ...

    def parts(self, upload: OpenUpload) -> dict[int, tuple[str, int]] | None:
        """ETag and size of the parts that are there; None where the upload is unknown."""
        ...

    def complete_upload(
        self, upload: OpenUpload, etags: Sequence[str], expected: str | None
    ) -> str:
        """Make the parts an object; returns its ETag as listings will name it."""
        ...

    def abandon_upload(self, upload: OpenUpload) -> None:
        """Forget an upload and its parts; one that is unknown counts as forgotten."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class StorageSyncEngine(Protocol):
    """Carries the target's objects to the source. Blocking.

    Every method may be repeated after a crash at any point. All raise what `ObjectEndpoint`
    raises about a whole bucket, and StorageBusyError while another one is at work.
    """

    def status(self) -> StorageStatus:
        """Whether a sync could begin."""
        ...

    def baseline(self, progress: Progress | None = None) -> StorageBaselineReport:
        """Record what both sides have now, so that later deletes are known. Writes no object."""
        ...

    def sync(
        self,
        progress: Progress | None = None,
        *,
        target_wins: bool = False,
        deletes_accepted_by: str = "",
        settle: bool = True,
    ) -> StorageSyncReport:
        """Copy, replace and delete on the source until a pass finds nothing left to do.

        Raises SafetyRuleError where more would be deleted than the configuration allows.

        Args:
            progress: told of long work; may raise to stop it.
            target_wins: overwrite also what somebody else wrote on the source.
            deletes_accepted_by: who looked at a large number of deletes and wants them.
            settle: whether passes follow until one finds nothing to do; else there is one, ahead
                of a sync that settles, and what it carried or met in change is no open end.
        """
        ...

    def verify(
        self,
        progress: Progress | None = None,
        *,
        read_all: bool = False,
        quick: bool = False,
    ) -> StorageVerifyReport:
        """Compare both sides object by object.

        Args:
            progress: told of long work; may raise to stop it.
            read_all: trust no ETag and read every byte.
            quick: do not look again at objects that both listings show to be as they were when a
                sync or a baseline last found them equal (ETag and time of the last write).
        """
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
