"""Finds what leads from a backup to now: the chain, the position, and the segments.

Changes when a backup tells in another way what it holds.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from failback.change_archive.chain import Path, Range, covers, path_from
from failback.change_archive.shelf import ArchiveShelf, Contents
from failback.errors import ArchiveChangedError, ArchiveError, ArchiveGapError
from failback.models.archive import ArchivedSequence, ArchivedTable, ChainStart, SegmentManifest
from failback.models.backups import BackupManifest
from failback.models.common import Side
from failback.reverse_sync.pgoutput import Snapshot, lsn_number, lsn_text

_AT_ONCE = 8


@dataclass(frozen=True)
class Way:
    """The way from a backup to the end of the archive."""

    chain: ChainStart
    position: int
    """Of the target's log: everything before it is in the backup."""
    path: Path
    reaches_now: bool
    """Whether this chain is the newest one, so that no gap follows it."""
    snapshot: Snapshot | None = None
    """What a backup of the target itself has seen; None for one of the source."""

    @property
    def keys(self) -> int:
        """Of all its segments; a key that changed in several counts in each."""
        return sum(each.keys for each in self.path.ranges)


@dataclass(frozen=True)
class Step:
    """One segment of the way, with what a replay needs of its manifest."""

    range: Range
    manifest: SegmentManifest
    """Without `covered` and `sequences`, which all but the last one need not keep."""


def position_of(backup: BackupManifest) -> int:
    """Up to where a backup holds the target's changes.

    Raises:
        ArchiveError: it does not say.
    """
    told = backup.position if backup.side is Side.TARGET else backup.applied_upto
    if not told:
        raise ArchiveError(
            f"The backup {backup.id} does not say up to which change of the target it holds: it "
            "was taken while nothing was armed, or by an older failback.",
            "Use a backup that was taken while the estate was armed (`failback backup now`).",
        )
    return lsn_number(told)


def find(backup: BackupManifest, shelf: ArchiveShelf, contents: Mapping[str, Contents]) -> Way:
    """The way from a backup to the end of the archive.

    Raises:
        ArchiveGapError: no chain reaches back to the backup, or something of it is missing.
        ArchiveError: the backup does not say what it holds, or the archive cannot be read.
    """
    position = position_of(backup)
    chains, refused = [], None
    for name in contents:
        try:
            chains.append(shelf.chain(name))
        except ArchiveChangedError as error:
            # Another one may lead on from the backup all the same.
            refused = error
    try:
        chain = _chain(backup, position, chains)
    except ArchiveGapError as error:
        raise refused or error from error
    found = contents[chain.id]
    first = min((each.start for each in found.ranges), default=lsn_number(chain.begins))
    if position < first:
        raise ArchiveGapError(
            f"The archive begins at {lsn_text(first)}, after {lsn_text(position)}, up to which "
            f"the backup {backup.id} holds the target's changes.",
            "Use a newer backup; a backup that is taken now can be followed.",
        )
    path = path_from(position, found.ranges)
    if path.resumes is not None:
        raise ArchiveGapError(
            f"Segments of the archive are missing: nothing covers {lsn_text(path.end)} to "
            f"{lsn_text(path.resumes)}.",
            f"Use a backup that holds the target's changes up to {lsn_text(path.resumes)}, and "
            "look after the store.",
        )
    return Way(
        chain=chain,
        position=position,
        path=path,
        reaches_now=chain.id == max(contents),
        snapshot=Snapshot.parse(backup.snapshot) if backup.side is Side.TARGET else None,
    )


def _chain(backup: BackupManifest, position: int, chains: Sequence[ChainStart]) -> ChainStart:
    """The newest chain that begins before what the backup lacks, of the same history."""
    if backup.side is Side.TARGET and backup.system_identifier:
        chains = [each for each in chains if each.system_identifier == backup.system_identifier]
    if len({(each.system_identifier, each.timeline) for each in chains}) > 1:
        # Positions of two histories cannot be compared: the backup belongs to the one of its time.
        chains = [each for each in chains if each.begun_at <= backup.taken_at]
        newest = chains[-1:]
        history = {(each.system_identifier, each.timeline) for each in newest}
        chains = [each for each in chains if (each.system_identifier, each.timeline) in history]
    fitting = [each for each in chains if lsn_number(each.begins) <= position]
    if not fitting:
        raise ArchiveGapError(
            f"The archive does not reach back to the backup {backup.id}: it has no chain that "
            f"begins before {lsn_text(position)}.",
            "Use a newer backup; one that is taken while changes are archived can be followed.",
        )
    return fitting[-1]


def steps(way: Way, shelf: ArchiveShelf) -> tuple[list[Step], tuple[ArchivedSequence, ...]]:
    """The way's segments with their manifests, each held to the one before it.

    Those are left out of which a backup of the target has seen everything already.

    Raises:
        ArchiveGapError: a manifest is missing.
        ArchiveChangedError: one was changed, or does not follow the one before it.
    """
    found: list[Step] = []
    sequences: tuple[ArchivedSequence, ...] = ()
    before: tuple[Range, str] | None = None
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="archive") as pool:
        read = pool.map(lambda each: shelf.manifest(way.chain.id, each), way.path.ranges)
        for place, (manifest, digest) in zip(way.path.ranges, read, strict=True):
            if before is not None:
                _check_link(before, place, manifest)
            before = place, digest
            sequences = manifest.sequences
            seen = way.snapshot
            snapshot = Snapshot.parse(manifest.snapshot)
            if seen is not None and covers(seen, snapshot) and not covers(snapshot, seen):
                continue
            light = manifest.model_copy(update={"covered": {}, "sequences": ()})
            found.append(Step(place, light))
    return found, sequences


def _check_link(before: tuple[Range, str], place: Range, manifest: SegmentManifest) -> None:
    earlier, digest = before
    if manifest.previous == earlier.name and manifest.previous_sha256 != digest:
        raise ArchiveChangedError(
            f"The segment {place.name} of the archive follows another one than {earlier.name} "
            "is now.",
            "Use a backup that was taken after it, and look after the store.",
        )


def tables_of(steps_: Iterable[Step]) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """What a restored database must have: columns of rows and of keys, by table."""
    found: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    for each in steps_:
        for table in each.manifest.tables:
            rows, keys = found.get(table.table, (frozenset(), frozenset()))
            found[table.table] = rows.union(table.columns), keys.union(_key(table))
    return found


def _key(table: ArchivedTable) -> tuple[str, ...]:
    return () if table.whole else table.key
