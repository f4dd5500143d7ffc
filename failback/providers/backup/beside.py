"""What a backup holds besides database and configuration: inventories of buckets, and keys.

Changes when something else belongs to the state that a recovery has to know. Nothing of it may keep
the database from being backed up: what could not be had is named in the manifest, with why.
"""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from failback.errors import BackupContentError, FailbackError
from failback.models.backups import BackedUpBucket, BackupManifest, InventoriedObject, PartKind
from failback.models.system import ItemsReport
from failback.ports import Progress
from failback.storage_ports import ObjectEndpoint
from failback.system_ports import ConfigurationSwitch

KEYS = "configuration/keys.json"
_INVENTORIES = "storage"
_TOLD_EVERY = 10_000


@dataclass(frozen=True)
class Bucket:
    """A bucket that is inventoried; a prefix limits it to the keys that begin so."""

    name: str
    prefix: str = ""


@dataclass(frozen=True)
class Found:
    """What was written, and what could not be had."""

    buckets: tuple[BackedUpBucket, ...] = ()
    keys: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True)
class Beside:
    """Where the further parts of one side come from.

    Args:
        endpoint: opens the side's objects; None where the estate keeps none.
        buckets: those that are inventoried.
        switch: opens the values that differ between the sides; None where there are none.
    """

    endpoint: Callable[[], ObjectEndpoint] | None = None
    buckets: Sequence[Bucket] = ()
    switch: Callable[[], ConfigurationSwitch | None] = field(default=lambda: None)

    def write(self, work: Path, tell: Progress) -> Found:
        """Write every further part that can be had.

        Args:
            work: the backup's folder.
            tell: told what goes on; what it raises ends the work.
        """
        lacking: list[str] = []
        buckets = tuple(self._inventories(work, tell, lacking))
        tell("Reading which values of the configuration are set.")
        return Found(buckets, self._keys(work, lacking), tuple(lacking))

    def _inventories(
        self, work: Path, tell: Progress, lacking: list[str]
    ) -> Iterator[BackedUpBucket]:
        if self.endpoint is None:
            return
        endpoint = self.endpoint()
        try:
            for number, bucket in enumerate(self.buckets, 1):
                # A bucket's name may hold what a file's name may not.
                part = f"{_INVENTORIES}/{number:04}.jsonl.gz"
                try:
                    yield _inventory(endpoint, bucket, part, work, tell)
                except FailbackError as error:
                    (work / part).unlink(missing_ok=True)
                    lacking.append(f"The inventory of bucket {bucket.name}: {error.cause}")
        finally:
            endpoint.close()

    def _keys(self, work: Path, lacking: list[str]) -> tuple[str, ...]:
        try:
            report = asyncio.run(_asked(self.switch))
        except FailbackError as error:
            lacking.append(f"The configuration's keys: {error.cause}")
            return ()
        if report is None:
            return ()
        # What is said of a value is its digest at most, shortened.
        told = [
            {"name": item.name, "outcome": item.outcome.value, "detail": item.detail}
            for item in report.items
        ]
        path = work / KEYS
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"keys": told}, indent=1) + "\n", encoding="utf-8")
        return tuple(item.name for item in report.items)


def kind_of(name: str) -> PartKind | None:
    """What a part of this name is, where it is one of these."""
    if name == KEYS:
        return PartKind.CONFIGURATION_KEYS
    return PartKind.STORAGE_INVENTORY if name.startswith(f"{_INVENTORIES}/") else None


def check(folder: Path, manifest: BackupManifest) -> int:
    """Compare the further parts of a backup with its manifest; returns how many objects there are.

    Args:
        folder: with the parts, whose bytes are known to be those that were written.
        manifest: of the backup.

    Raises:
        BackupContentError: a part cannot be read, or says something else than the manifest.
    """
    for bucket in manifest.buckets:
        objects = size = 0
        for one in read_inventory(folder / bucket.part):
            objects += 1
            size += one.size
        if (objects, size) != (bucket.objects, bucket.bytes):
            raise BackupContentError(
                f"The inventory of bucket {bucket.bucket} in {manifest.id} has {objects:,} objects"
                f" of {size:,} bytes; {bucket.objects:,} of {bucket.bytes:,} were listed.",
                "Use another backup, and take a new one.",
            )
    if manifest.configuration_keys and _names(folder / KEYS) != manifest.configuration_keys:
        raise BackupContentError(
            f"The keys of the configuration in {manifest.id} are not those of its manifest.",
            "Use another backup, and take a new one.",
        )
    return sum(bucket.objects for bucket in manifest.buckets)


def read_inventory(path: Path) -> Iterator[InventoriedObject]:
    """The lines of an inventory, one after another.

    Raises:
        BackupContentError: it is no inventory.
    """
    try:
        with gzip.open(path, "rb") as lines:
            for line in lines:
                yield InventoriedObject.model_validate_json(line)
    except (OSError, EOFError, zlib.error, ValidationError) as error:
        raise BackupContentError(
            f"The storage inventory {path.name} cannot be read: {str(error).splitlines()[0]}.",
            "Use another backup, and take a new one.",
        ) from error


def _inventory(
    endpoint: ObjectEndpoint, bucket: Bucket, part: str, work: Path, tell: Progress
) -> BackedUpBucket:
    tell(f"Listing bucket {bucket.name}.")
    state = endpoint.state(bucket.name)
    path = work / part
    path.parent.mkdir(exist_ok=True)
    objects = size = 0
    with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as lines:
        for page in endpoint.inventoried(bucket.name, bucket.prefix):
            for one in page.objects:
                line = InventoriedObject(
                    key=one.key,
                    size=one.size,
                    etag=one.etag,
                    modified=one.modified,
                    version=one.version,
                )
                lines.write(line.model_dump_json().encode() + b"\n")
                objects += 1
                size += one.size
                if objects % _TOLD_EVERY == 0:
                    tell(f"Listed {objects:,} objects of bucket {bucket.name}.")
    return BackedUpBucket(
        bucket=bucket.name,
        prefix=bucket.prefix,
        part=part,
        versioned=state.versioned,
        objects=objects,
        bytes=size,
    )


async def _asked(opened: Callable[[], ConfigurationSwitch | None]) -> ItemsReport | None:
    switch = opened()
    if switch is None:
        return None
    try:
        return await switch.status()
    finally:
        await switch.aclose()


def _names(path: Path) -> tuple[str, ...]:
    try:
        return tuple(str(one["name"]) for one in json.loads(path.read_bytes())["keys"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupContentError(
            f"{path.name} does not hold the configuration's keys: {error}.",
            "Use another backup, and take a new one.",
        ) from error
