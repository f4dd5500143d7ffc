"""Takes a backup: one snapshot for dump and digests, parts that are read back, a manifest last."""

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from failback.errors import BackupPartChangedError, BackupToolError, FailbackError
from failback.models.backups import BackupManifest, BackupPart, PartKind
from failback.models.common import Side
from failback.ports import Progress
from failback.providers.backup import beside
from failback.providers.backup.beside import Beside
from failback.providers.backup.content import Content, read_content
from failback.providers.backup.programs import Programs
from failback.providers.backup.shelf import ID_TIME, Shelf
from failback.providers.backup.signed import software
from failback.providers.backup.statements import statement
from failback.reverse_sync.connections import Connection, Servers
from failback.reverse_sync.direction import Direction

_LOCK_WAIT_MILLISECONDS = 60_000
_PIECE = 2**20
_EVERY_SECONDS = 1.0
DUMP = "database"
"""Folder of the dump's files in a backup."""
CONFIGURATION = "configuration/failback.yaml"


@dataclass(frozen=True)
class Origin:
    """What a backup is taken of.

    Args:
        side: which side's database.
        dsn: a role that may read everything there.
        connect_timeout_seconds: for it to answer.
        excluded: schemas that are left out.
        configuration: makes the configuration's part.
        programs: with pg_dump.
        parallel: tables and parts at once.
        beside: where further parts come from.
    """

    side: Side
    dsn: str
    connect_timeout_seconds: float
    excluded: tuple[str, ...]
    configuration: Callable[[], bytes]
    programs: Programs
    parallel: int
    beside: Beside = field(default_factory=Beside)

    @property
    def servers(self) -> Servers:
        """Both sides by the same name: only one of them is asked."""
        return Servers(self.dsn, self.dsn, self.connect_timeout_seconds)

    def connect(self) -> Connection:
        """A session outside of a transaction."""
        return self.servers.connect(self.side, autocommit=True)


@dataclass(frozen=True)
class _Snapshot:
    """What was read where the snapshot was taken."""

    exported: str
    server: tuple[Any, ...]
    system_identifier: str
    visible: str
    taken_at: datetime
    applied_upto: str
    applied_except: tuple[str, ...]


def take(shelf: Shelf, origin: Origin, work: Path, tell: Progress) -> BackupManifest:
    """Take a backup.

    Args:
        shelf: where it is put.
        origin: what of.
        work: an empty folder, for the dump until it was carried.
        tell: told what goes on; what it raises ends the backup.

    Raises:
        BackupError: there is no backup; what was already carried is deleted as far as possible.
    """
    backup = f"{datetime.now(UTC).strftime(ID_TIME)}-{secrets.token_hex(3)}"
    configuration = work / CONFIGURATION
    configuration.parent.mkdir()
    configuration.write_bytes(origin.configuration())
    tell(f"Backup {backup}: dumping the {origin.side.value}'s database.")
    with ThreadPoolExecutor(1) as pool:
        with origin.servers.explaining(origin.side), _snapshot(origin) as snapshot:
            _refuse_older(origin.programs, snapshot.server[2])
            # Objects cannot be listed in a snapshot: they are listed while rows are dumped.
            aside = _Aside(pool, origin.beside, work)
            with aside:
                content = _dumped(origin, work / DUMP, snapshot.exported, tell)
        further = aside.awaited(tell)
    files = sorted(path for path in work.rglob("*") if path.is_file())
    tell(f"Backup {backup}: carrying {len(files)} parts to {shelf.store.place}.")
    try:
        parts = _carried(shelf, backup, work, files, origin.parallel, tell=tell)
        manifest = BackupManifest(
            id=backup,
            estate=shelf.estate,
            side=origin.side,
            database=snapshot.server[0],
            taken_at=snapshot.taken_at,
            completed_at=datetime.now(UTC),
            software=software(),
            server_version=snapshot.server[1],
            server_major=snapshot.server[2],
            system_identifier=snapshot.system_identifier,
            position=snapshot.server[3],
            snapshot=snapshot.visible,
            applied_upto=snapshot.applied_upto,
            applied_except=snapshot.applied_except,
            schema_fingerprint=content.schema_fingerprint,
            hash_probe=content.hash_probe,
            roles=tuple(snapshot.server[4]),
            excluded_schemas=origin.excluded,
            tables=content.tables,
            parts=parts,
            buckets=further.buckets,
            configuration_keys=further.keys,
            lacking=further.lacking,
        )
        shelf.write(manifest)
        return shelf.manifest(backup).manifest
    except BaseException:
        # Also when a person interrupts it. What stays has no manifest, and is pruned in time.
        with suppress(FailbackError):
            shelf.discard(backup)
        raise


class _Aside:
    """The further parts at work; a failure inside of the block ends them."""

    def __init__(self, pool: ThreadPoolExecutor, source: Beside, work: Path) -> None:
        self._halt = threading.Event()
        self._running = pool.submit(source.write, work, self._go_on)

    def __enter__(self) -> None:
        """The dump begins."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._halt.set()

    def awaited(self, tell: Progress) -> beside.Found:
        """Wait for them; what `tell` raises ends them."""
        with self:
            while True:
                try:
                    return self._running.result(timeout=_EVERY_SECONDS)
                except TimeoutError:
                    if self._running.done():
                        raise
                    tell("Listing objects.")

    def _go_on(self, _: str) -> None:
        if self._halt.is_set():
            raise CancelledError


@contextmanager
def _snapshot(origin: Origin) -> Iterator[_Snapshot]:
    """Hold a snapshot for as long as others read in it."""
    with closing(origin.connect()) as session:
        try:
            row = session.execute(statement("system")).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            row = None
        # Read before the snapshot: what committed later than this is in the log from here on.
        server = session.execute(statement("server")).fetchall()[0]
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        exported, visible, at = session.execute(statement("snapshot")).fetchall()[0]
        applied = applied_to(session) if origin.side is Side.SOURCE else ("", ())
        yield _Snapshot(exported, server, "" if row is None else str(row[0]), visible, at, *applied)


def applied_to(session: Connection) -> tuple[str, tuple[str, ...]]:
    """How much of the target's changes this snapshot holds, and the tables that lack some.

    Batches commit their position together with their rows, so that both are of one moment. The
    dump itself may leave the schema out that holds it.
    """
    if session.execute("SELECT to_regclass('failback.stream')").fetchall()[0][0] is None:
        return "", ()
    row = session.execute(statement("applied"), {"stream": Direction().name}).fetchone()
    return ("", ()) if row is None else (row[0], tuple(row[1]))


def _refuse_older(programs: Programs, server: int) -> None:
    major = programs.major("pg_dump")
    if major < server:
        raise BackupToolError(
            f"pg_dump is of version {major}, the server of version {server}.",
            f"Name a folder with the programs of PostgreSQL {server} in backup.pg_bin.",
        )


def _dumped(origin: Origin, folder: Path, snapshot: str, tell: Progress) -> Content:
    """Dump and digest the same rows side by side; the first failure ends both."""
    halt = threading.Event()

    def going_on(text: str) -> None:
        if digests.done():
            digests.result()
        tell(text)

    with ThreadPoolExecutor(1) as pool:
        digests: Future[Content] = pool.submit(
            partial(
                read_content,
                origin.connect,
                origin.excluded,
                origin.parallel,
                snapshot=snapshot,
                halt=halt,
            )
        )
        try:
            origin.programs.run(
                "pg_dump",
                [
                    *("--format=directory", f"--jobs={origin.parallel}", f"--file={folder}"),
                    *(f"--snapshot={snapshot}", f"--lock-wait-timeout={_LOCK_WAIT_MILLISECONDS}"),
                    *(f"--exclude-schema={_quoted(name)}" for name in origin.excluded),
                ],
                dsn=origin.dsn,
                progress=going_on,
                telling="pg_dump is still at work.",
            )
            return digests.result()
        except BackupToolError as error:
            raise BackupToolError(
                error.cause,
                error.cure or "Give backup.dsn a role that may read every table.",
            ) from error
        finally:
            halt.set()


def _quoted(name: str) -> str:
    """A name as a pattern of pg_dump's that fits nothing else."""
    return '"{}"'.format(name.replace('"', '""'))


def _carried(
    shelf: Shelf, backup: str, work: Path, files: list[Path], parallel: int, *, tell: Progress
) -> tuple[BackupPart, ...]:
    with ThreadPoolExecutor(parallel) as pool:
        carried = [pool.submit(_part, shelf, backup, work, path) for path in files]
        try:
            parts = []
            for one in carried:
                parts.append(one.result())
                tell("Carrying parts.")
            return tuple(parts)
        finally:
            for one in carried:
                one.cancel()


def _part(shelf: Shelf, backup: str, work: Path, path: Path) -> BackupPart:
    """Carry one file, read it back, and compare."""
    name = path.relative_to(work).as_posix()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    key = shelf.key(backup, name)
    shelf.store.put_file(key, path)
    kept = hashlib.sha256()
    for piece in shelf.store.read(key):
        kept.update(piece)
    if kept.digest() != digest.digest():
        raise BackupPartChangedError(
            f"The part {name} came back from {shelf.store.place} with other bytes.",
            "Try again; if it happens again, do not trust that store.",
        )
    kind = PartKind.CONFIGURATION if name == CONFIGURATION else beside.kind_of(name)
    return BackupPart(
        name=name,
        kind=kind or PartKind.DATABASE,
        bytes=path.stat().st_size,
        sha256=digest.hexdigest(),
    )
