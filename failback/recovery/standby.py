"""The server that a recovery restores on, and what it has restored there.

Changes when a restored database has to be found, named or kept in another way. Each bears a
comment that says which rollback made it: only such a one is ever dropped, and only while nothing
uses it.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from failback.errors import (
    ConfigurationError,
    CredentialsError,
    MissingRightError,
    NothingRestoredError,
    StandbyRefusedError,
    UnreachableError,
)
from failback.models.common import Side
from failback.recovery.settings import RecoverySettings
from failback.recovery.statements import statement
from failback.reverse_sync.connections import Connection, Servers, is_lost

_LONGEST_NAME = 63
_KEPT_OF_ID = 36
_MARK = "failback recovery "


@dataclass(frozen=True)
class Restored:
    """A database of the standby that a rollback restored."""

    name: str
    rollback_id: str
    backup: str
    state: str
    """`restoring`, `restored` or `live`."""


class Standby:
    """The standby of an estate.

    Args:
        settings: where it is, and what it stands by.
    """

    def __init__(self, settings: RecoverySettings) -> None:
        self._settings = settings

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self._settings.standby_host}:{self._settings.standby_port}"

    def dsn(self, database: str) -> str:
        """A connection string of one of its databases."""
        return make_conninfo(self._settings.standby_dsn, dbname=database)

    def servers(self, database: str) -> Servers:
        """One of its databases in the place of the source."""
        dsn = self.dsn(database)
        return Servers(dsn, dsn, self._settings.connect_timeout_seconds)

    @contextmanager
    def session(self, database: str = "") -> Iterator[Connection]:
        """A session in autocommit mode, as failback needs it.

        Args:
            database: its name; empty takes that of the connection string.

        Raises:
            UnreachableError: it does not answer, or went away.
            StandbyRefusedError: it refuses the login or lacks a right.
        """
        name = database or self._own
        try:
            with closing(self.servers(name).connect(Side.SOURCE, autocommit=True)) as session:
                yield session
        except (
            UnreachableError,
            CredentialsError,
            MissingRightError,
            ConfigurationError,
        ) as error:
            raise self._said(error.cause, lost=isinstance(error, UnreachableError)) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise self._said(str(error.diag.message_primary), lost=False) from error
        except psycopg.Error as error:
            if not is_lost(error):
                raise
            raise self._said(str(error).splitlines()[0], lost=True) from error

    def databases(self) -> dict[str, str]:
        """The comment of every database by its name."""
        with self.session() as session:
            return dict(session.execute(statement("our_databases")).fetchall())

    def beside(self, rollback_id: str) -> str:
        """The name that a rollback restores into: beside everything that is there."""
        short = re.sub(r"[^a-z0-9]+", "_", rollback_id.lower()).strip("_")[:_KEPT_OF_ID]
        digest = hashlib.sha256(rollback_id.encode()).hexdigest()[:8]
        return f"failback_{short}_{digest}"[:_LONGEST_NAME]

    def restored(self, rollback_id: str) -> Restored | None:
        """What a rollback restored last: beside, or already in the place of what was damaged."""
        marked = [
            found
            for name, comment in self.databases().items()
            if (found := _read(name, comment)) is not None and found.rollback_id == rollback_id
        ]
        beside = self.beside(rollback_id)
        # One that stands beside is newer than the one that took over before it.
        first = [one for one in marked if one.name == beside]
        live = [one for one in marked if one.name == self._settings.database]
        return next(iter(first + live), None)

    def live(self) -> Restored | None:
        """The restored database that took the place of what was damaged."""
        comment = self.databases().get(self._settings.database, "")
        found = _read(self._settings.database, comment)
        return found if found is not None and found.state == "live" else None

    def needed(self, rollback_id: str) -> Restored:
        """As `restored`.

        Raises:
            NothingRestoredError: there is none that was restored to its end.
        """
        found = self.restored(rollback_id)
        if found is None or found.state == "restoring":
            raise NothingRestoredError(
                f"The standby {self.place} has no database that was restored for {rollback_id}.",
                "Restore the database first.",
            )
        return found

    def make_empty(self, rollback_id: str, backup: str) -> str:
        """A new database for a rollback; one that it half restored before is dropped.

        Raises:
            StandbyRefusedError: somebody else's database has that name.
        """
        name = self.beside(rollback_id)
        comment = self.databases().get(name)
        if comment:
            found = _read(name, comment)
            if found is None or found.rollback_id != rollback_id:
                raise StandbyRefusedError(
                    f"The standby {self.place} has a database {name} that failback did not make.",
                    "Rename it; failback drops nothing of anybody else's.",
                )
        identifier = sql.Identifier(name)
        with self.session() as session:
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
            session.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(identifier))
        self.mark(Restored(name, rollback_id, backup, "restoring"))
        return name

    def mark(self, restored: Restored) -> None:
        """Write down what a database is."""
        text = f"{_MARK}{restored.state} {restored.backup} {restored.rollback_id}"
        with self.session() as session:
            session.execute(
                sql.SQL("COMMENT ON DATABASE {} IS {}").format(
                    sql.Identifier(restored.name), sql.Literal(text)
                )
            )

    def rename(self, name: str, to: str) -> None:
        """Rename a database; its sessions end, and new ones are kept out meanwhile."""
        # A database cannot be renamed by a session of its own.
        through = self._own if name not in (self._own, to) else "template1"
        identifier = sql.Identifier(name)
        with self.session(through) as session:
            session.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(identifier))
            try:
                end_sessions(session, name)
                session.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(identifier, sql.Identifier(to))
                )
                identifier = sql.Identifier(to)
            finally:
                session.execute(
                    sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(identifier)
                )

    def let_in(self, name: str) -> None:
        """Let sessions into a database again."""
        with self.session() as session:
            session.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name))
            )

    @property
    def _own(self) -> str:
        parameters = conninfo_to_dict(self._settings.standby_dsn)
        return str(parameters.get("dbname") or parameters.get("user") or "postgres")

    def _said(self, what: str, *, lost: bool) -> UnreachableError | StandbyRefusedError:
        if lost:
            return UnreachableError(
                f"The standby {self.place} does not answer: {what}",
                "Start it, or correct recovery.standby_dsn.",
            )
        return StandbyRefusedError(
            f"The standby {self.place} refuses: {what}",
            "recovery.standby_dsn needs a role that may make databases and roles.",
        )


def end_sessions(session: Connection, database: str) -> int:
    """End everybody's sessions in a database but this one; returns how many."""
    rows = session.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = %s AND pid <> pg_backend_pid()",
        [database],
    )
    return len(rows.fetchall())


def _read(name: str, comment: str) -> Restored | None:
    if not comment.startswith(_MARK):
        return None
    words = comment.removeprefix(_MARK).split(" ", 2)
    if len(words) != 3:  # noqa: PLR2004 - state, backup, rollback
        return None
    return Restored(name, rollback_id=words[2], backup=words[1], state=words[0])
