"""An estate of two real databases, and a plain comparison of both sides."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import sql

from failback.lab.databases import DatabasePair
from failback.models.common import Side
from failback.reverse_sync.engine import ReverseSync
from failback.reverse_sync.settings import SyncSettings


@dataclass
class Pair:
    """Two databases and the engines that a test made between them."""

    databases: DatabasePair
    settings: SyncSettings
    engines: list[ReverseSync] = field(default_factory=list)

    def engine(self, **changed: Any) -> ReverseSync:
        """A new engine, as another process would have it."""
        engine = ReverseSync(replace(self.settings, **changed))
        self.engines.append(engine)
        return engine

    def run(self, side: Side, *statements: str) -> None:
        """Run statements as failback's own role, which owns what it makes."""
        with psycopg.connect(self.databases.dsn(side), autocommit=True) as connection:
            if side is Side.TARGET:
                connection.execute("SET ROLE app_owner")
            for statement in statements:
                connection.execute(statement)

    def both(self, *statements: str) -> None:
        """Run statements on both sides."""
        for side in Side:
            self.run(side, *statements)

    def product(self) -> psycopg.Connection[Any]:
        """A session of the role that the product writes as, on the target."""
        return psycopg.connect(self.databases.target_app_dsn)

    def admin(self, side: Side) -> psycopg.Connection[Any]:
        """A superuser's session in autocommit mode."""
        return psycopg.connect(self.databases.admin_dsn(side), autocommit=True)

    def target(self) -> psycopg.Connection[Any]:
        """A session of the product on the target."""
        return psycopg.connect(self.databases.admin_dsn(Side.TARGET))

    def rows(self, side: Side, query: str) -> list[tuple[Any, ...]]:
        """What a query returns there."""
        with self.admin(side) as connection:
            return connection.execute(query).fetchall()

    def tables(self, side: Side) -> list[tuple[str, str]]:
        with self.admin(side) as connection:
            return tables_of(connection)

    def contents(self, side: Side) -> dict[str, tuple[int, str]]:
        """Rows and a digest of the ordered text of each table, column by column by name."""
        with self.admin(side) as connection:
            return contents_of(connection)

    def assert_equal(self) -> None:
        """Both sides hold the same rows in every table."""
        assert self.contents(Side.SOURCE) == self.contents(Side.TARGET)


def tables_of(connection: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    """The tables of the product, as schema and name."""
    # Partitions may be cut differently on the two sides: their rows are those of the root.
    return connection.execute(
        "SELECT n.nspname, c.relname FROM pg_class AS c"
        " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND n.nspname NOT LIKE 'pg\\_%'"
        " AND n.nspname NOT IN ('information_schema', 'failback', 'failback_archive', 'auth')",
    ).fetchall()


def contents_of(connection: psycopg.Connection[Any]) -> dict[str, tuple[int, str]]:
    """Rows and a digest of the ordered text of each table, column by column by name."""
    found = {}
    connection.execute("SET TimeZone = 'UTC'; SET extra_float_digits = 1")
    for schema, name in tables_of(connection):
        columns = [
            row[0]
            for row in connection.execute(
                "SELECT column_name FROM information_schema.columns"
                " WHERE table_schema = %s AND table_name = %s ORDER BY column_name",
                [schema, name],
            )
        ]
        lines = []
        query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.Identifier(schema, name),
        )
        with connection.cursor().copy(query) as copy:
            lines = sorted(bytes(line) for line in copy)
        digest = hashlib.sha256(b"".join(lines)).hexdigest()
        found[f"{schema}.{name}"] = (len(lines), digest)
    return found


@contextmanager
def open_pair(databases: DatabasePair) -> Iterator[Pair]:
    """Settings for all tables of `public` of two databases; engines are closed at the end."""
    made = Pair(
        databases,
        SyncSettings(
            estate=databases.name.replace("_", "-"),
            source_dsn=databases.source_dsn,
            target_dsn=databases.target_dsn,
            # Differences that tests make stay: nothing is on its way.
            recheck_seconds=0.5,
        ),
    )
    try:
        yield made
    finally:
        for engine in made.engines:
            engine.close()
