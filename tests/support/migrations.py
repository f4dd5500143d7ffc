"""Migrations that the reverse sync's contract is kept on: in memory, and on two Postgres."""

from typing import Any, Protocol

import psycopg

from failback.lab.databases import PRODUCT_ROLE
from failback.models.common import Outcome, Side
from failback.ports import ReverseSyncEngine
from failback.providers.reverse_sync import FakeReverseSync
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.settings import SyncSettings

ENTRIES = "CREATE TABLE entries (key text PRIMARY KEY, value text NOT NULL)"
UPSERT = (
    "INSERT INTO entries VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value"
)


class Subject(Protocol):
    """A migration with one table of keys and values on each side, not armed."""

    engine: ReverseSyncEngine

    def write(self, side: Side, key: str, value: str | None) -> bool:
        """A product's write; whether it was acknowledged."""

    def rows(self, side: Side) -> dict[str, str]: ...

    def lose_slot(self) -> None: ...

    def spoil(self, key: str, value: str | None) -> None:
        """Change the source behind every fence and capture."""


class InMemory:
    def __init__(self) -> None:
        self.engine = FakeReverseSync(armed=False)

    def write(self, side: Side, key: str, value: str | None) -> bool:
        return self.engine.write(side, key, value)

    def rows(self, side: Side) -> dict[str, str]:
        return self.engine.database(side).rows

    def lose_slot(self) -> None:
        self.engine.lose_slot()

    def spoil(self, key: str, value: str | None) -> None:
        self.engine.corrupt(Side.SOURCE, key, value)


class OnPostgres:
    def __init__(self, databases: Any) -> None:
        self._databases = databases
        for side in Side:
            with psycopg.connect(databases.dsn(side), autocommit=True) as connection:
                if side is Side.TARGET:
                    connection.execute("SET ROLE app_owner")
                connection.execute(ENTRIES)
                connection.execute(f"GRANT ALL ON entries TO {PRODUCT_ROLE}".encode())
        self.settings = SyncSettings(
            estate="contract",
            source_dsn=databases.source_dsn,
            target_dsn=databases.target_dsn,
            # Differences that these tests make stay.
            recheck_seconds=0.5,
        )
        self.engine: ReverseSyncEngine = ReverseSync(self.settings)

    def write(self, side: Side, key: str, value: str | None) -> bool:
        with psycopg.connect(self._databases.app_dsn(side), autocommit=True) as connection:
            try:
                if value is None:
                    connection.execute("DELETE FROM entries WHERE key = %s", [key])
                else:
                    connection.execute(UPSERT, [key, value])
            except psycopg.errors.ReadOnlySqlTransaction:
                return False
        return True

    def rows(self, side: Side) -> dict[str, str]:
        with psycopg.connect(self._databases.app_dsn(side)) as connection:
            return dict(connection.execute("SELECT key, value FROM entries").fetchall())

    def spoil(self, key: str, value: str | None) -> None:
        with psycopg.connect(self._databases.source_admin_dsn, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            if value is None:
                connection.execute("DELETE FROM entries WHERE key = %s", [key])
            else:
                connection.execute(UPSERT, [key, value])

    def lose_slot(self) -> None:
        slot = self.settings.object_name
        with psycopg.connect(self._databases.target_admin_dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])


def drained(engine: ReverseSyncEngine) -> None:
    report = engine.drain(20.0)
    assert report.outcome is Outcome.SUCCEEDED, report


def rolled_back(subject: Subject) -> None:
    """The order of a level 2: fence, drain, lift the source's fence."""
    assert subject.engine.raise_fence(Side.TARGET, 1.0).outcome is Outcome.SUCCEEDED
    drained(subject.engine)
    assert subject.engine.lift_fence(Side.SOURCE).outcome is Outcome.SUCCEEDED
