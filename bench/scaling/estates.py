"""Tables of any number and size, and changes of any number of their keys.

Changes when slopes are measured on data of another shape. Each row is about 150 bytes; only the key
is unique, so that a table may be cut.
"""

from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from bench.support.data import Session
from bench.support.servers import Servers, owner, settings_of
from failback.lab.databases import DatabasePair
from failback.models.common import Side
from failback.reverse_sync.settings import SyncSettings

_MAKE = (
    "CREATE TABLE {} (id bigint PRIMARY KEY, version int NOT NULL, owner uuid NOT NULL,"
    " note text NOT NULL, at timestamptz NOT NULL)"
)
_FILL = (
    "INSERT INTO {} SELECT n, 0, md5(n::text)::uuid, repeat('x', (n % 100)::int),"
    " '2026-01-01+00'::timestamptz FROM generate_series(1, {}::bigint) AS n"
)
_UPDATE = "UPDATE {} SET version = version + 1, at = clock_timestamp() WHERE id BETWEEN {} AND {}"
_INSERT = (
    "INSERT INTO {} SELECT n, 0, md5(n::text)::uuid, repeat('x', (n % 100)::int),"
    " clock_timestamp() FROM generate_series({}::bigint, {}) AS n"
)
_DELETE = "DELETE FROM {} WHERE id BETWEEN {} AND {}"


@dataclass
class Tables:
    """Tables on both sides with the same rows.

    Args:
        pair: the databases.
        count: how many tables.
        rows: of each at first.
    """

    pair: DatabasePair
    count: int
    rows: int
    _first: int = 1
    _next: int = 0

    @property
    def settings(self) -> SyncSettings:
        """An engine's settings for them."""
        return settings_of(self.pair)

    def product(self) -> Session:
        """A session of the product on the target, in autocommit mode."""
        return psycopg.connect(self.pair.app_dsn(Side.TARGET), autocommit=True)

    def change(self, keys: int) -> None:
        """Change so many keys, alike in every table: 60 % updates, 25 % inserts, 15 % deletes.

        Keys that no earlier round has changed, as long as there are some.
        """
        each = max(1, keys // self.count)
        updates, inserts = round(each * 0.60), round(each * 0.25)
        deletes = each - updates - inserts
        if self._first + updates + deletes > self.rows:
            raise ValueError("Every row was changed already.")
        with self.product() as product:
            product.execute("SET synchronous_commit = off")
            for number in range(self.count):
                table, first = sql.Identifier(f"part_{number}"), self._first
                for query, start, count in (
                    (_UPDATE, first, updates),
                    (_DELETE, first + updates, deletes),
                    (_INSERT, self._next, inserts),
                ):
                    _portions(product, query, table, start, count)
        self._first += updates + deletes
        self._next += inserts


def _portions(
    product: Session,
    query: LiteralString,
    table: sql.Identifier,
    first: int,
    count: int,
) -> None:
    """Ten thousand keys a transaction."""
    for start in range(first, first + count, 10_000):
        last = min(start + 10_000, first + count) - 1
        product.execute(sql.SQL(query).format(table, sql.Literal(start), sql.Literal(last)))


def tables(servers: Servers, name: str, count: int, rows: int) -> Tables:
    """Make them on both sides, fill and analyse them."""
    pair = servers.databases(name)
    for side in Side:
        with owner(pair, side) as connection:
            for number in range(count):
                table = sql.Identifier(f"part_{number}")
                connection.execute(sql.SQL(_MAKE).format(table))
                connection.execute(sql.SQL(_FILL).format(table, sql.Literal(rows)))
        with psycopg.connect(pair.admin_dsn(side), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
    return Tables(pair, count, rows, _next=rows + 1)
