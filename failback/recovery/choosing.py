"""Which backup a recovery takes: the newest proven one that can still be read."""

from failback.errors import BackupError, NoProvenBackupError
from failback.models.backups import BackupManifest, BackupProof, BackupState, BackupSummary
from failback.models.common import Outcome
from failback.models.recovery import BackupChoice
from failback.models.system import Item
from failback.recovery.vault import BackupVault

_PROVE = "`failback backup prove` proves the newest one, `failback backup prove ID` any other."


def choose(vault: BackupVault) -> BackupChoice:
    """The newest proven backup whose manifest is trusted and whose parts are all there.

    Bytes are checked when they are fetched.
    """
    listed = vault.listed()
    passed_over: list[Item] = []
    for summary in listed.backups:
        if summary.state is not BackupState.PROVEN:
            passed_over.append(_passed(summary.id, _why(summary)))
            continue
        try:
            manifest, proof = vault.checked(summary.id)
        except BackupError as error:
            passed_over.append(_passed(summary.id, error.cause))
            continue
        if proof is None or not proof.proven:
            passed_over.append(_passed(summary.id, "its proof does not count any more"))
            continue
        return _choice(manifest, proof, passed_over)
    there = f"None of {len(listed.backups)} backups in {listed.place} can be taken."
    return BackupChoice(
        passed_over=tuple(passed_over),
        detail=f"{there} {_PROVE}"
        if listed.backups
        else f"{listed.place} has no backup of {listed.estate}.",
    )


def checked(vault: BackupVault, backup: str) -> tuple[BackupManifest, BackupProof]:
    """A backup that somebody chose, if it is proven and can still be read.

    Raises:
        NoProvenBackupError: it is not.
    """
    try:
        manifest, proof = vault.checked(backup)
    except BackupError as error:
        raise NoProvenBackupError(
            error.cause, error.cure or "Assess the damage again: it chooses another backup."
        ) from error
    if proof is None or not proof.proven:
        raise NoProvenBackupError(f"The backup {backup} is not proven.", _PROVE)
    return manifest, proof


def _why(summary: BackupSummary) -> str:
    if summary.problem:
        return summary.problem
    return "it is not proven: nobody has restored it yet"


def _passed(backup: str, why: str) -> Item:
    return Item(name=backup, outcome=Outcome.FAILED, detail=why)


def _choice(manifest: BackupManifest, proof: BackupProof, passed_over: list[Item]) -> BackupChoice:
    return BackupChoice(
        backup=manifest.id,
        taken_at=manifest.taken_at,
        proven_at=proof.at,
        bytes=manifest.bytes,
        rows=manifest.rows,
        passed_over=tuple(passed_over),
        detail=f"restored in {proof.seconds:.0f} s when it was proved",
    )
