"""Backups that pgBackRest takes and keeps: listed, taken, and proved by a restore aside.

pgBackRest has the bytes, and checks each file against its own checksums; failback keeps the signed
proofs beside. Whoever took a backup, failback or a timer of the operator's, it can be proved.
"""

import re
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from failback.errors import (
    BackupError,
    BackupNotFoundError,
    BackupPartChangedError,
    BackupPartMissingError,
    BackupRestoreError,
    BackupToolError,
    FailbackError,
    ObjectMissingError,
)
from failback.models.backups import (
    BackupList,
    BackupManifest,
    BackupProof,
    BackupState,
    BackupSummary,
    InventoriedObject,
    PruneReport,
)
from failback.models.common import Side
from failback.ports import Progress
from failback.providers.backup.content import Content
from failback.providers.backup.pgbackrest_info import APPLIED, TAKING, Backup, Stanza, read_info
from failback.providers.backup.programs import Programs
from failback.providers.backup.proving import OF_THE_BACKUP, Held, Trial, judge, read_all
from failback.providers.backup.scratch import account_of, restored_server
from failback.providers.backup.shelf import Shelf
from failback.providers.backup.signed import me, software
from failback.providers.backup.signing import sealed, unsealed
from failback.providers.backup.statements import statement
from failback.providers.backup.taking import Origin, applied_to
from failback.reverse_sync.connections import Servers
from failback.sections.backup import PgBackRestConfig

_CHANGED = re.compile(
    r"checksum|format ?error|inflate|zlib|data error|unexpected eof|crypto ?error|lz4|zst|bz2",
    re.IGNORECASE,
)
_MISSING = re.compile(r"missing file|FileMissingError|is not valid", re.IGNORECASE)


class PgBackRestBackups:
    """Implements `Backups` on a stanza of pgBackRest.

    Args:
        config: stanza, configuration file and program.
        shelf: where signed proofs are kept.
        origin: the server that the stanza is of; asked how much of the target's changes it has.
        trial: how backups are proved; its programs are of the server's major version.
        work: where they are restored; None takes the system's temporary folder.
    """

    def __init__(
        self,
        config: PgBackRestConfig,
        shelf: Shelf,
        origin: Origin,
        trial: Trial,
        work: Path | None,
    ) -> None:
        self._config = config
        self._estate = shelf.estate
        self._store = shelf.store
        self._trust = shelf.trust
        self._origin = origin
        self._trial = trial
        self._work = work or Path(tempfile.gettempdir())
        self._programs = Programs(
            config.program.parent if config.program else None,
            "Install pgBackRest, and name the program in backup.pgbackrest.program.",
        )

    def take(self, progress: Progress | None = None) -> BackupManifest:
        """See `Backups.take`. Parts and tables stay empty: pgBackRest knows its files."""
        token = secrets.token_hex(6)
        on_source = self._origin.side is Side.SOURCE
        with (
            self._origin.servers.explaining(self._origin.side),
            closing(self._origin.connect()) as session,
        ):
            database = session.execute(statement("server")).fetchall()[0][0]
            # Read before: the backup holds at least this much.
            applied, lacking = applied_to(session) if on_source else ("", ())
        self._run(
            "backup",
            f"--type={self._config.type}",
            f"--annotation={TAKING}={token}",
            f"--annotation={APPLIED}={applied or 'nothing'}",
            progress=progress,
        )
        stanza = self._info()
        taken = next((one for one in stanza.backup if one.annotation.get(TAKING) == token), None)
        if taken is None:
            raise BackupError(
                "pgBackRest does not list the backup that it has just taken.",
                "Look at `pgbackrest info`; its expiry may keep fewer than one.",
            )
        server = stanza.of(taken)
        return BackupManifest(
            id=taken.label,
            estate=self._estate,
            side=self._origin.side,
            database=database,
            taken_at=taken.taken_at,
            completed_at=datetime.now(UTC),
            software="pgBackRest",
            server_version=server.version,
            server_major=int(server.version.partition(".")[0]),
            system_identifier=str(server.system_id),
            position=taken.lsn.stop if taken.lsn else "",
            snapshot="",
            applied_upto=applied,
            applied_except=lacking,
            schema_fingerprint="",
            hash_probe=0,
            tables=(),
            parts=(),
        )

    def list(self) -> BackupList:
        """See `Backups.list`."""
        stanza = self._info()
        return BackupList(
            estate=self._estate,
            place=f"pgBackRest's stanza {stanza.name}",
            backups=tuple(self._summary(one) for one in reversed(stanza.backup)),
        )

    def prove(self, backup: str = "", progress: Progress | None = None) -> BackupProof:
        """See `Backups.prove`. There is no digest to compare with: every row is read instead."""
        stanza = self._info()
        found = next((one for one in reversed(stanza.backup) if backup in ("", one.label)), None)
        if found is None:
            raise BackupNotFoundError(
                f"pgBackRest's stanza {stanza.name} has no backup {backup or 'yet'}.",
                "`failback backup list` lists those that there are.",
            )
        began = time.monotonic()
        try:
            held = self._tried(found, progress or _nobody)
        except OF_THE_BACKUP as error:
            problem = self._proof(found, time.monotonic() - began, problem=error.cause)
            # The error counts more than its record.
            with suppress(FailbackError):
                self._keep(problem)
            raise
        proof = self._proof(found, time.monotonic() - began, held=held)
        self._keep(proof)
        return proof

    def inventory(self, backup: str, bucket: str) -> Iterator[InventoriedObject]:
        """See `Backups.inventory`: pgBackRest knows of no buckets."""
        raise BackupPartMissingError(
            f"The backup {backup} has no inventory of bucket {bucket}: pgBackRest takes none.",
            "backup.provider `dump` lists buckets.",
        )

    def prune(self, keep: int, keep_proven: int, *, dry_run: bool = False) -> PruneReport:
        """See `Backups.prune`: pgBackRest expires backups by its own retention, and alone."""
        kept = tuple(one.label for one in reversed(self._info().backup))
        return PruneReport(
            kept=kept,
            detail=f"pgBackRest expires by its own retention, not by {keep} and {keep_proven}:"
            " set repo-retention-full, so that a proven one stays.",
            dry_run=dry_run,
        )

    def close(self) -> None:
        """See `Backups.close`."""
        self._store.close()

    def _summary(self, backup: Backup) -> BackupSummary:
        proof = self._kept(backup)
        state, problem = BackupState.COMPLETE, ""
        if proof is not None:
            state = BackupState.PROVEN if proof.proven else BackupState.BROKEN
            problem = proof.problem
        if backup.error:
            state, problem = BackupState.BROKEN, "pages had wrong checksums when it was taken"
        proven = proof if proof is not None and state is BackupState.PROVEN else None
        applied = backup.annotation.get(APPLIED, "")
        return BackupSummary(
            id=backup.label,
            state=state,
            problem=problem,
            taken_at=backup.taken_at,
            bytes=backup.info.size,
            tables=0 if proven is None else proven.tables,
            rows=0 if proven is None else proven.rows,
            applied_upto="" if applied == "nothing" else applied,
            proven_at=None if proven is None else proven.at,
            proven_by="" if proven is None else proven.by,
        )

    def _tried(self, backup: Backup, tell: Progress) -> tuple[Content, Held]:
        tell(f"Restoring {backup.label}, {backup.info.size:,} bytes, aside.")

        def restore(data: Path, account: Mapping[str, Any]) -> None:
            try:
                self._run(
                    "restore",
                    *(f"--set={backup.label}", f"--pg1-path={data}"),
                    *("--type=immediate", "--target-action=promote", "--archive-mode=off"),
                    # Else they would be restored over those of the server.
                    f"--tablespace-map-all={data.parent / 'tablespaces'}",
                    f"--process-max={self._trial.parallel}",
                    progress=tell,
                    cwd=data,
                    **account,
                )
            except BackupToolError as error:
                raise _told(backup, error) from error

        with restored_server(
            self._trial.programs,
            self._work,
            self._trial.user,
            restore,
            self._origin.dsn,
            tell=tell,
        ) as dsn:
            connect = partial(Servers(dsn, dsn).connect, Side.SOURCE, autocommit=True)
            try:
                excluded, parallel = self._origin.excluded, self._trial.parallel
                content = read_all(connect, excluded, parallel, tell)
                return content, judge(connect, self._trial.rules, backup.label, tell)
            except psycopg.Error as error:
                raise BackupRestoreError(
                    f"The restored database cannot be read: {str(error).splitlines()[0]}.",
                    "Look at the server's log, then prove the backup again.",
                ) from error

    def _proof(
        self,
        backup: Backup,
        seconds: float,
        *,
        held: tuple[Content, Held] | None = None,
        problem: str = "",
    ) -> BackupProof:
        proof = BackupProof(
            backup=backup.label,
            estate=self._estate,
            manifest_sha256=backup.digest,
            proven=held is not None,
            problem=problem,
            at=datetime.now(UTC),
            by=me(),
            software=software(),
            bytes=backup.info.size,
            seconds=seconds,
        )
        if held is None:
            return proof
        content, judged = held
        return proof.model_copy(
            update={
                "server_version": judged.server_version,
                "tables": len(content.tables),
                "rows": sum(one.rows for one in content.tables),
                "rules": judged.rules,
                "amcheck": judged.amcheck,
            }
        )

    def _keep(self, proof: BackupProof) -> None:
        self._store.put_bytes(self._key(proof.backup), sealed(proof, self._trust))

    def _kept(self, backup: Backup) -> BackupProof | None:
        """The newest proof of a backup; None where there is none that counts."""
        name = f"The proof of {backup.label}"
        try:
            data = b"".join(self._store.read(self._key(backup.label)))
            proof, _ = unsealed(data, BackupProof, name, self._estate, self._trust)
        except (ObjectMissingError, BackupError):
            return None
        return proof if proof.manifest_sha256 == backup.digest else None

    def _key(self, label: str) -> str:
        return f"{self._estate}/pgbackrest/{self._config.stanza}/{label}.json"

    def _info(self) -> Stanza:
        return read_info(self._run("info", "--output=json"), self._config.stanza)

    def _run(
        self, command: str, *options: str, progress: Progress | None = None, **popen: Any
    ) -> str:
        name = self._config.program.name if self._config.program else "pgbackrest"
        configuration = [] if self._config.config is None else [f"--config={self._config.config}"]
        place = {"cwd": self._work, **account_of(self._trial.user), **popen}
        return self._programs.run(
            name,
            [*configuration, f"--stanza={self._config.stanza}", *options, command],
            progress=progress,
            telling=f"pgbackrest {command} is still at work.",
            **place,
        )


def _told(backup: Backup, error: BackupToolError) -> BackupError:
    """Whether the backup is at fault, or what restores it."""
    cure = "Use another backup, and look after pgBackRest's repository."
    if _CHANGED.search(error.cause):
        return BackupPartChangedError(f"{backup.label} cannot be restored: {error.cause}", cure)
    if _MISSING.search(error.cause):
        return BackupPartMissingError(f"{backup.label} cannot be restored: {error.cause}", cure)
    return BackupRestoreError(
        f"{backup.label} could not be restored: {error.cause}",
        "The user of backup.scratch_user must be able to read pgBackRest's repository.",
    )


def _nobody(_: str) -> None:
    """Told where nobody listens."""
