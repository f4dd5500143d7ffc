"""What breaks capture, and a pair of databases whose target is there to be broken."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from failback.lab.databases import (
    FAILBACK_ROLES,
    PRODUCT_ROLE,
    DatabasePair,
    PostgresPair,
    create_database,
    drop_database,
    prepare_roles,
)
from failback.lab.postgres import PostgresServer
from failback.models.common import Side

from support.pairs import Pair, open_pair

_PASSWORD = "test-only"


def slot_of(pair: Any) -> str:
    return str(pair.settings.object_name)


def fill(pair: Any, rows: int = 1000) -> None:
    """The same rows on both sides, and one that each side alone would lack later."""
    with pair.target() as target:
        target.execute("INSERT INTO note SELECT i, 'n' FROM generate_series(1, %s::int) i", [rows])


def change_uncaptured(pair: Any) -> None:
    """One row inserted, one updated, one deleted."""
    with pair.target() as target:
        target.execute("INSERT INTO note VALUES (5000, 'not captured')")
        target.execute("UPDATE note SET body = 'not captured' WHERE id = 7")
        target.execute("DELETE FROM note WHERE id = 9")


def write_log(pair: Pair, mebibytes: int) -> None:
    """Make the target's log grow, without a change of an armed table."""
    with pair.admin(Side.TARGET) as admin:
        for _ in range(mebibytes):
            admin.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 1048576))")
        admin.execute("SELECT pg_switch_wal()")
        admin.execute("CHECKPOINT")


@contextmanager
def own_target(postgres_pair: PostgresPair, folder: Path, **settings: str) -> Iterator[Pair]:
    """A pair whose target is a server of its own, to be broken, with settings of its own."""
    small = {"max_wal_size": "64MB", "min_wal_size": "32MB"}
    server = PostgresServer(18, folder / "target", settings={**small, **settings})
    pair = DatabasePair("broken", PostgresPair(postgres_pair.source, server), _PASSWORD)
    try:
        server.start()
        passwords = {FAILBACK_ROLES[Side.TARGET]: _PASSWORD, PRODUCT_ROLE: _PASSWORD}
        prepare_roles(server, Side.TARGET, passwords)
        for side in Side:
            create_database(pair.servers.server(side), side, pair.name)
        with open_pair(pair) as made:
            yield made
    finally:
        with suppress(psycopg.Error):
            drop_database(postgres_pair.source, pair.name)
        server.remove()
