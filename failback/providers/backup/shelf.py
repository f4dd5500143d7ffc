"""Where an estate's backups stand in a store: which there are, what is known of each, and pruning.

Changes when objects are laid out in another way. Below `<estate>/<id>/` lie the parts, the manifest
(`manifest.json`, written last and deleted first) and the newest proof (`proof.json`).
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from failback.backup_ports import ObjectStore, StoredObject
from failback.errors import (
    BackupError,
    BackupManifestError,
    BackupNotFoundError,
    BackupPartChangedError,
    BackupPartMissingError,
    ObjectMissingError,
)
from failback.models.backups import (
    BackupList,
    BackupManifest,
    BackupProof,
    BackupState,
    BackupSummary,
    PruneReport,
)
from failback.providers.backup.signing import MOST_BYTES, Trust, sealed, unsealed

MANIFEST = "manifest.json"
PROOF = "proof.json"
ID_TIME = "%Y%m%dT%H%M%S.%fZ"
"""How an id begins, so that ids sort by time."""
_ID = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{6}")
_UNFINISHED_DAYS = 7
"""A folder without a manifest is younger while a large database may still be on its way."""


@dataclass(frozen=True)
class Found:
    """A manifest that counts."""

    manifest: BackupManifest
    sha256: str
    signed_by: str


class Shelf:
    """An estate's backups in a store.

    Args:
        store: where they are.
        estate: whose.
        trust: whose signatures count.
    """

    def __init__(self, store: ObjectStore, estate: str, trust: Trust) -> None:
        self.store = store
        self.estate = estate
        self.trust = trust

    def key(self, backup: str, name: str) -> str:
        """The key of one object of a backup."""
        return f"{self.estate}/{backup}/{name}"

    def write(self, document: BackupManifest | BackupProof) -> None:
        """Sign and keep a manifest or a proof."""
        name, backup = (
            (MANIFEST, document.id)
            if isinstance(document, BackupManifest)
            else (PROOF, document.backup)
        )
        self.store.put_bytes(self.key(backup, name), sealed(document, self.trust))

    def manifest(self, backup: str) -> Found:
        """The manifest of a backup, once it is known to be ours and unchanged.

        Raises:
            BackupNotFoundError: there is none.
            BackupError: it cannot be used; the subclass says why.
        """
        try:
            data = self._small(self.key(backup, MANIFEST), f"The manifest of {backup}")
        except ObjectMissingError as error:
            raise BackupNotFoundError(
                f"There is no backup {backup} in {self.store.place}.",
                "`failback backup list` lists those that there are.",
            ) from error
        found, signer = unsealed(
            data, BackupManifest, f"The manifest of {backup}", self.estate, self.trust
        )
        if found.id != backup:
            raise BackupManifestError(
                f"The manifest in the folder of {backup} is that of {found.id}.",
                "Somebody moved it: put it back, or take another backup.",
            )
        return Found(found, hashlib.sha256(data).hexdigest(), signer)

    def proof(self, found: Found) -> BackupProof | None:
        """The newest proof of a backup; None where there is none that counts."""
        backup = found.manifest.id
        name = f"The proof of {backup}"
        try:
            data = self._small(self.key(backup, PROOF), name)
            proof, _ = unsealed(data, BackupProof, name, self.estate, self.trust)
        except (ObjectMissingError, BackupError):
            # What cannot be trusted proves nothing; the backup itself may still be sound.
            return None
        if proof.backup != backup or proof.manifest_sha256 != found.sha256:
            return None
        return proof

    def newest(self) -> str:
        """The id of the newest backup that was finished.

        Raises:
            BackupNotFoundError: there is none.
        """
        finished = [name for name, objects in self._folders().items() if MANIFEST in objects]
        if not finished:
            raise BackupNotFoundError(
                f"{self.store.place} has no backup of {self.estate}.",
                "Take one with `failback backup now`.",
            )
        return max(finished)

    def list(self) -> BackupList:
        """See `Backups.list`."""
        folders = self._folders()
        finished = sorted((name for name in folders if MANIFEST in folders[name]), reverse=True)
        return BackupList(
            estate=self.estate,
            place=self.store.place,
            backups=tuple(self._summary(name, folders[name]) for name in finished),
            unfinished=tuple(sorted(folders.keys() - set(finished), reverse=True)),
        )

    def prune(self, keep: int, keep_proven: int, *, dry_run: bool = False) -> PruneReport:
        """See `Backups.prune`."""
        listed = self.list()
        ours = [one for one in listed.backups if one.ours]
        proven = [one.id for one in ours if one.state is BackupState.PROVEN]
        sound = [one.id for one in ours if one.state is not BackupState.BROKEN]
        kept = {*sound[: max(1, keep)], *proven[: max(1, keep_proven)]}
        left = tuple(one.id for one in listed.backups if not one.ours)
        if not proven:
            return PruneReport(
                kept=tuple(one.id for one in ours),
                left=left,
                detail="No backup is proven, so that nothing may go: run failback backup prove.",
                dry_run=dry_run,
            )
        deleted = [one.id for one in ours if one.id not in kept]
        deleted += [name for name in listed.unfinished if _is_abandoned(name)]
        if not dry_run:
            for backup in deleted:
                self.discard(backup)
        return PruneReport(
            kept=tuple(one.id for one in ours if one.id in kept),
            deleted=tuple(deleted),
            left=left,
            dry_run=dry_run,
        )

    def discard(self, backup: str) -> None:
        """Delete a backup."""
        # Without its manifest a backup does not exist: a crash leaves no half of one.
        keys = [one.key for one in self.store.list(self.key(backup, ""))]
        self.store.delete([self.key(backup, MANIFEST), *keys])

    def _summary(self, backup: str, objects: Mapping[str, StoredObject]) -> BackupSummary:
        try:
            found = self.manifest(backup)
        except BackupError as error:
            return BackupSummary(
                id=backup, state=BackupState.BROKEN, problem=error.cause, ours=False
            )
        proof = self.proof(found) if PROOF in objects else None
        state, problem = BackupState.COMPLETE, ""
        if proof is not None:
            state = BackupState.PROVEN if proof.proven else BackupState.BROKEN
            problem = proof.problem
        try:
            parts_are_there(found.manifest, objects.values(), self.key(backup, ""))
        except BackupError as error:
            state, problem = BackupState.BROKEN, error.cause
        is_proven = proof is not None and state is BackupState.PROVEN
        return BackupSummary(
            id=backup,
            state=state,
            problem=problem,
            taken_at=found.manifest.taken_at,
            bytes=found.manifest.bytes,
            tables=len(found.manifest.tables),
            rows=found.manifest.rows,
            applied_upto=found.manifest.applied_upto,
            objects=sum(bucket.objects for bucket in found.manifest.buckets),
            lacking=found.manifest.lacking,
            signed_by=found.signed_by,
            proven_at=proof.at if proof is not None and is_proven else None,
            proven_by=proof.by if proof is not None and is_proven else "",
        )

    def _folders(self) -> dict[str, dict[str, StoredObject]]:
        """The objects of each backup by their names in its folder."""
        folders: dict[str, dict[str, StoredObject]] = defaultdict(dict)
        for one in self.store.list(f"{self.estate}/"):
            backup, _, name = one.key.removeprefix(f"{self.estate}/").partition("/")
            if _ID.fullmatch(backup):
                folders[backup][name] = one
        return folders

    def _small(self, key: str, name: str) -> bytes:
        pieces, size = [], 0
        for piece in self.store.read(key):
            size += len(piece)
            if size > MOST_BYTES:
                raise BackupManifestError(f"{name} is too large to be one.")
            pieces.append(piece)
        return b"".join(pieces)


def parts_are_there(manifest: BackupManifest, objects: Iterable[StoredObject], folder: str) -> None:
    """Compare a manifest with a listing of its folder: names and sizes.

    Raises:
        BackupPartMissingError: a part is not there.
        BackupPartChangedError: a part has another size.
    """
    sizes = {one.key.removeprefix(folder): one.bytes for one in objects}
    for part in manifest.parts:
        if part.name not in sizes:
            raise BackupPartMissingError(
                f"The part {part.name} of {manifest.id} is missing.",
                "Take another backup; this one cannot be restored.",
            )
        if sizes[part.name] != part.bytes:
            raise BackupPartChangedError(
                f"The part {part.name} of {manifest.id} has {sizes[part.name]} bytes;"
                f" {part.bytes} were written.",
                "Take another backup; this one cannot be restored.",
            )


def _is_abandoned(backup: str) -> bool:
    began = datetime.strptime(backup.partition("-")[0], ID_TIME).replace(tzinfo=UTC)
    return datetime.now(UTC) - began > timedelta(days=_UNFINISHED_DAYS)
