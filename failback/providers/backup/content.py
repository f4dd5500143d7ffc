"""What a database holds, as a manifest says it: rows and digests of tables, and its schema.

Changes when a manifest has to tell more of a database. The same code looks at the database that is
backed up, inside the snapshot of its dump, and at the one that a backup was restored into.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from psycopg import sql

from failback.models.backups import BackedUpTable
from failback.providers.backup.statements import statement
from failback.reverse_sync.catalogue import read_named
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.digests import Digest, Range, compared, digested
from failback.reverse_sync.row_image import Form
from failback.reverse_sync.statements import statement as compared_by

_PROBE_SEED = 0

Connect = Callable[[], Connection]


@dataclass(frozen=True)
class Content:
    """What a database holds."""

    tables: tuple[BackedUpTable, ...]
    schema_fingerprint: str
    hash_probe: int


def read_content(
    connect: Connect,
    excluded: Sequence[str],
    parallel: int,
    *,
    snapshot: str = "",
    halt: threading.Event | None = None,
) -> Content:
    """Read every table of a database.

    Args:
        connect: opens a session outside of a transaction.
        excluded: schemas that are left out.
        parallel: sessions that read at once.
        snapshot: an exported one, so that all sessions see the same; else each sees what is.
        halt: set when nobody wants the answer any more; it then ends after the tables at hand.
    """
    parameters = {"excluded": list(excluded)}
    with closing(connect()) as session:
        _begin(session, snapshot)
        names = [row[0] for row in session.execute(statement("tables"), parameters)]
        fingerprint = schema_fingerprint(session, excluded)
        probe = hash_probe(session)
    shares = [names[start::parallel] for start in range(min(parallel, len(names)))]
    with ThreadPoolExecutor(max(1, len(shares))) as pool:
        read = list(pool.map(lambda share: _digests(connect, share, snapshot, halt), shares))
    return Content(
        tables=tuple(sorted((one for part in read for one in part), key=lambda one: one.table)),
        schema_fingerprint=fingerprint,
        hash_probe=probe,
    )


def schema_fingerprint(session: Connection, excluded: Sequence[str]) -> str:
    """A digest of everything of a schema that a restore must bring back."""
    lines = session.execute(statement("schema"), {"excluded": list(excluded)})
    return hashlib.sha256("\n".join(row[0] for row in lines).encode()).hexdigest()


def hash_probe(session: Connection) -> int:
    """What this server hashes fixed values of every type to."""
    query = sql.SQL(compared_by("digest_probe")).format(seed=sql.Literal(_PROBE_SEED))
    return int(session.execute(query).fetchall()[0][0])


def _begin(session: Connection, snapshot: str) -> None:
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    if snapshot:
        session.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))


def _digests(
    connect: Connect, names: Sequence[str], snapshot: str, halt: threading.Event | None
) -> list[BackedUpTable]:
    with closing(connect()) as session:
        _begin(session, snapshot)
        found = []
        for name, table in read_named(session, names).items():
            if halt is not None and halt.is_set():
                break
            comparison, _ = compared(table, table, Form.BINARY)
            rows = session.execute(comparison.chunk(Range(), 1)).fetchall()
            # A table without a row has no group to sum.
            digest = sum(digested(rows).values(), Digest())
            found.append(BackedUpTable(table=name, rows=digest.rows, digest=str(digest)))
        return found
