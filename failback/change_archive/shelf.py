"""Where an estate's archive stands in a store: chains, and the segments of each.

Changes when objects are laid out in another way. Below `<prefix>/<estate>/<chain>/` lie
`chain.json` and, for each segment, `segments/<range>.gz` with the data and `segments/<range>.json`,
written last and deleted first.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from failback.backup_ports import ObjectStore
from failback.change_archive.chain import Range
from failback.errors import (
    ArchiveChangedError,
    ArchiveGapError,
    BackupError,
    ObjectMissingError,
)
from failback.models.archive import ChainStart, SegmentManifest
from failback.reverse_sync.pgoutput import lsn_number

Document = TypeVar("Document", ChainStart, SegmentManifest)

_CHAIN = "chain.json"
_ID = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{6}")
_ID_TIME = "%Y%m%dT%H%M%S.%fZ"
_MOST_BYTES = 64 * 2**20
_CURE = (
    "Use a backup that was taken after it, and look after the store; `failback arm` begins to "
    "archive anew."
)


class Sealing(Protocol):
    """Writes documents so that a changed byte is noticed, and reads them so."""

    def seal(self, document: ChainStart | SegmentManifest) -> bytes:
        """The document as a file."""
        ...

    def unseal(self, data: bytes, kind: type[Document], name: str) -> Document:
        """What a file says.

        Raises:
            BackupError: it was changed, or is not ours.
        """
        ...


@dataclass
class Contents:
    """What a listing shows of one chain."""

    id: str
    begun: bool = False
    """Whether its `chain.json` is there; one without was never used."""
    ranges: list[Range] = field(default_factory=list)
    """Segments with their manifest."""
    data: set[Range] = field(default_factory=set)
    """Data objects, with or without a manifest."""


class ArchiveShelf:
    """An estate's archive in a store.

    Args:
        store: where it is.
        estate: whose.
        prefix: folders before the estate's own.
        sealing: how documents are written and read.
    """

    def __init__(self, store: ObjectStore, estate: str, prefix: str, sealing: Sealing) -> None:
        self.store = store
        self.estate = estate
        self._home = "/".join(part for part in (prefix.strip("/"), estate) if part)
        self._sealing = sealing

    def contents(self) -> dict[str, Contents]:
        """What there is, by chain, the oldest first."""
        chains: dict[str, Contents] = {}
        for one in self.store.list(f"{self._home}/"):
            chain, _, rest = one.key.removeprefix(f"{self._home}/").partition("/")
            if not _ID.fullmatch(chain):
                continue
            found = chains.setdefault(chain, Contents(chain))
            found.begun = found.begun or rest == _CHAIN
            name, _, suffix = rest.removeprefix("segments/").rpartition(".")
            place = Range.parse(name)
            if place is None:
                continue
            if suffix == "json":
                found.ranges.append(place)
            else:
                found.data.add(place)
        return dict(sorted((name, found) for name, found in chains.items() if found.begun))

    def following(self, chain: str, position: int) -> list[Range]:
        """The segments of a chain that begin exactly at a position."""
        folder = f"{self._home}/{chain}/segments/"
        names = [
            one.key.removeprefix(folder) for one in self.store.list(f"{folder}{position:016X}-")
        ]
        found = [
            Range.parse(name.removesuffix(".json")) for name in names if name.endswith(".json")
        ]
        return [each for each in found if each is not None]

    def new_id(self) -> str:
        """An id for a chain that begins now; ids sort by time."""
        return f"{datetime.now(UTC).strftime(_ID_TIME)}-{secrets.token_hex(3)}"

    def write_chain(self, chain: ChainStart) -> None:
        """Keep a chain's beginning; from then on it exists."""
        self.store.put_bytes(f"{self._home}/{chain.id}/{_CHAIN}", self._sealing.seal(chain))

    def chain(self, chain: str) -> ChainStart:
        """A chain's beginning.

        Raises:
            ArchiveGapError: it is missing.
            ArchiveChangedError: it was changed.
        """
        return self._document(f"{self._home}/{chain}/{_CHAIN}", ChainStart, f"The chain {chain}")[0]

    def write(
        self, manifest: SegmentManifest, place: Range, data: Path | None, alone: Callable[[], None]
    ) -> str:
        """Keep a segment, its manifest last; returns the digest of that.

        Args:
            manifest: the segment's.
            place: its range.
            data: the file with its data; None where nothing has changed.
            alone: called before the manifest is written; raises where another one may be at work.
        """
        if data is not None:
            self.store.put_file(self._key(manifest.chain, place, "gz"), data)
        alone()
        sealed = self._sealing.seal(manifest)
        self.store.put_bytes(self._key(manifest.chain, place, "json"), sealed)
        return hashlib.sha256(sealed).hexdigest()

    def manifest(self, chain: str, place: Range) -> tuple[SegmentManifest, str]:
        """A segment's manifest and its digest.

        Raises:
            ArchiveGapError: it is missing.
            ArchiveChangedError: it was changed, or is that of another segment.
        """
        name = f"The segment {place.name}"
        found, digest = self._document(self._key(chain, place, "json"), SegmentManifest, name)
        if found.chain != chain or name_of(found) != place.name:
            raise ArchiveChangedError(
                f"{name} of the archive has the manifest of {name_of(found)} of {found.chain}.",
                _CURE,
            )
        return found, digest

    def fetch(self, manifest: SegmentManifest, place: Range, path: Path) -> None:
        """Bring a segment's data into a file, and check that no byte of it has changed.

        Raises:
            ArchiveGapError: the data are missing.
            ArchiveChangedError: they are not those that were written.
        """
        digest, size = hashlib.sha256(), 0
        changed = ArchiveChangedError(
            f"The data of the segment {place.name} of the archive have other bytes than were "
            "written.",
            _CURE,
        )
        try:
            with path.open("wb") as file:
                for piece in self.store.read(self._key(manifest.chain, place, "gz")):
                    size += len(piece)
                    if size > manifest.data_bytes:
                        raise changed
                    digest.update(piece)
                    file.write(piece)
        except ObjectMissingError as error:
            raise ArchiveGapError(
                f"The data of the segment {place.name} of the archive are missing.", _CURE
            ) from error
        if digest.hexdigest() != manifest.data_sha256:
            raise changed

    def discard(self, chain: str, places: list[Range]) -> None:
        """Delete segments. Without its manifest none exists, so those go first."""
        self.store.delete(self._key(chain, each, "json") for each in places)
        self.store.delete(self._key(chain, each, "gz") for each in places)

    def discard_chain(self, contents: Contents) -> None:
        """Delete a whole chain."""
        self.store.delete([f"{self._home}/{contents.id}/{_CHAIN}"])
        self.discard(contents.id, sorted({*contents.ranges, *contents.data}))

    def _key(self, chain: str, place: Range, suffix: str) -> str:
        return f"{self._home}/{chain}/segments/{place.name}.{suffix}"

    def _document(self, key: str, kind: type[Document], name: str) -> tuple[Document, str]:
        try:
            pieces, size = [], 0
            for piece in self.store.read(key):
                size += len(piece)
                if size > _MOST_BYTES:
                    raise ArchiveChangedError(f"{name} of the archive is too large.", _CURE)
                pieces.append(piece)
        except ObjectMissingError as error:
            raise ArchiveGapError(f"{name} of the archive is missing.", _CURE) from error
        data = b"".join(pieces)
        try:
            found = self._sealing.unseal(data, kind, name)
        except BackupError as error:
            raise ArchiveChangedError(error.cause, _CURE) from error
        return found, hashlib.sha256(data).hexdigest()


def name_of(manifest: SegmentManifest) -> str:
    """The name that a manifest's segment has."""
    return Range(lsn_number(manifest.begins), lsn_number(manifest.ends), manifest.keys).name
