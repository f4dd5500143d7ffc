"""An estate with a change archive: a folder that can fail, and databases that were restored."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from failback.backup_ports import StoredObject
from failback.change_archive import EstateArchive
from failback.change_archive.settings import ArchiveSettings
from failback.change_archive.shelf import ArchiveShelf, Document
from failback.lab.databases import FAILBACK_ROLES
from failback.models.archive import ChainStart, SegmentManifest
from failback.models.backups import BackupManifest
from failback.models.common import Side
from failback.providers.backup.folder import FolderStore
from failback.providers.backup.signing import Trust, sealed, unsealed

from support.pairs import Pair, contents_of


class Killed(BaseException):
    """Stands for a process that is gone: nothing in the code may expect it."""


class FailingStore(FolderStore):
    """A folder at whose n-th operation of a kind something goes wrong, before or after it is done.

    Args:
        folder: where the objects are.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.done: list[str] = []
        """Each operation with the end of its key."""
        self.at: int | None = None
        """The operation that fails, counted from 0; None where none does."""
        self.after = False
        """Whether it fails when it is done already."""
        self.error: BaseException = Killed()

    def _step(self, what: str, work: Callable[[], Any]) -> Any:
        number = len(self.done)
        self.done.append(what)
        if number == self.at and not self.after:
            raise self.error
        found = work()
        if number == self.at:
            raise self.error
        return found

    def put_file(self, key: str, path: Path) -> None:
        self._step(f"put {key.rpartition('.')[2]}", lambda: FolderStore.put_file(self, key, path))

    def put_bytes(self, key: str, data: bytes) -> None:
        self._step(f"put {key.rpartition('.')[2]}", lambda: FolderStore.put_bytes(self, key, data))

    def read(self, key: str) -> Iterator[bytes]:
        found: list[bytes] = self._step("read", lambda: list(FolderStore.read(self, key)))
        yield from found

    def list(self, prefix: str) -> Iterator[StoredObject]:
        found: Iterable[StoredObject] = self._step(
            "list", lambda: tuple(FolderStore.list(self, prefix))
        )
        yield from found


@dataclass(frozen=True)
class Unsigned:
    """Documents with a digest and without a signature."""

    estate: str

    def seal(self, document: ChainStart | SegmentManifest) -> bytes:
        return sealed(document, Trust())

    def unseal(self, data: bytes, kind: type[Document], name: str) -> Document:
        return unsealed(data, kind, name, self.estate, Trust())[0]


@dataclass
class ArchivedEstate:
    """A pair of databases whose target is archived, and backups of both sides."""

    pair: Pair
    folder: Path
    backups: dict[str, BackupManifest] = field(default_factory=dict)
    restored: list[tuple[Side, str]] = field(default_factory=list)
    store: FailingStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = FailingStore(self.folder)

    def archive(self, **changed: Any) -> EstateArchive:
        """The archive as another process would open it."""
        settings = self.pair.settings
        given = ArchiveSettings(
            estate=settings.estate,
            target_dsn=settings.target_dsn,
            include=settings.include,
            exclude=settings.exclude,
            idle_seconds=0.0,
            connect_timeout_seconds=2.0,
        )
        shelf = ArchiveShelf(self.store, settings.estate, "archive", Unsigned(settings.estate))
        return EstateArchive(replace(given, **changed), shelf, self.backups.__getitem__)

    @property
    def slot(self) -> str:
        """Name of the archive's slot and publication."""
        return self.pair.settings.archive_name

    @property
    def objects(self) -> list[str]:
        """Keys of all objects."""
        return [one.key for one in FolderStore(self.folder).list("")]

    def server(self, side: Side) -> Any:
        return self.pair.databases.servers.server(side)

    def backed_up(self, name: str, side: Side = Side.SOURCE, **changed: Any) -> str:
        """A backup of one side as it is now, and a database that was restored from it.

        The database is a copy that the server makes; the manifest says what a backup's would.
        """
        for engine in self.pair.engines:
            engine.close()
        database = self.pair.databases.name
        with psycopg.connect(self.pair.databases.admin_dsn(side), autocommit=True) as session:
            row = session.execute(
                "SELECT pg_current_wal_lsn()::text, pg_current_snapshot()::text,"
                " (SELECT system_identifier::text FROM pg_control_system()), clock_timestamp()"
            ).fetchall()[0]
            applied = ""
            if side is Side.SOURCE:
                found = session.execute("SELECT lsn::text FROM failback.stream").fetchone()
                applied = found[0] if found else ""
        copy = f"{database}_{name}"
        with psycopg.connect(self.server(side).admin_dsn(), autocommit=True) as session:
            session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [database],
            )
            session.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(copy), sql.Identifier(database)
                )
            )
            session.execute(
                sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
                    sql.Identifier(copy), sql.Identifier(FAILBACK_ROLES[side])
                )
            )
        self.restored.append((side, copy))
        self.backups[name] = BackupManifest(
            id=name,
            estate=self.pair.settings.estate,
            side=side,
            database=database,
            taken_at=row[3],
            completed_at=datetime.now(UTC),
            software="failback 0",
            server_version="16",
            server_major=16,
            system_identifier=row[2],
            position=row[0],
            snapshot=row[1],
            applied_upto=applied,
            schema_fingerprint="",
            hash_probe=0,
            tables=(),
            parts=(),
        ).model_copy(update=changed)
        return name

    def dsn(self, name: str) -> str:
        """The database that was restored from a backup, by failback's own role."""
        side, database = self._copy(name)
        return str(
            self.server(side).dsn(FAILBACK_ROLES[side], self.pair.databases.password, database)
        )

    def session(self, name: str) -> psycopg.Connection[Any]:
        """A superuser's session on it."""
        side, database = self._copy(name)
        return psycopg.connect(self.server(side).admin_dsn(database), autocommit=True)

    def contents(self, name: str) -> dict[str, tuple[int, str]]:
        """What it holds, as `Pair.contents` tells it."""
        with self.session(name) as session:
            return contents_of(session)

    def assert_restored(self, name: str) -> None:
        """It holds what the target holds."""
        assert self.contents(name) == self.pair.contents(Side.TARGET)

    def write(self, *statements: str) -> None:
        """Run statements as the product does, each in a transaction of its own."""
        with closing(self.pair.target()) as session:
            for each in statements:
                session.execute(each)
                session.commit()

    def drop(self) -> None:
        """Remove what was restored."""
        for side, database in self.restored:
            with psycopg.connect(self.server(side).admin_dsn(), autocommit=True) as session:
                session.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
                        sql.Identifier(database)
                    )
                )

    def _copy(self, name: str) -> tuple[Side, str]:
        wanted = f"{self.pair.databases.name}_{name}"
        return next(each for each in self.restored if each[1] == wanted)
