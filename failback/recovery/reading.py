"""Whether tables and indexes can be read and agree: amcheck where it may be asked, else by reading.

Changes when damage can be found in another way. Reading finds what a checksum or an unreadable page
gives away, and an index that has other entries than its table has rows; amcheck finds more.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from failback.models.recovery import Condition
from failback.ports import Progress
from failback.recovery.findings import Finding, sound, untold
from failback.recovery.statements import statement
from failback.reverse_sync.connections import Connection

_DAMAGED = (
    psycopg.errors.DataCorrupted,
    psycopg.errors.IndexCorrupted,
    # A file that is shorter than it was, or gone.
    psycopg.errors.UndefinedFile,
    psycopg.errors.IoError,
)
_NAMED = 5
_NO_FUNCTIONS = "amcheck is not installed there, so that every table and b-tree was read instead"
_NO_RIGHT = "this role may not call amcheck, so that every table and b-tree was read instead"


@dataclass(frozen=True)
class Counted:
    """Rows of each table that could be read, and what was found on the way."""

    rows: dict[str, int]
    findings: tuple[Finding, ...]


@dataclass
class Deadline:
    """Until when something may be looked at."""

    seconds: float
    began: float = 0.0

    def __post_init__(self) -> None:
        self.began = time.monotonic()

    @property
    def left_milliseconds(self) -> int:
        """0 where the time is up."""
        return max(0, round(1000 * (self.began + self.seconds - time.monotonic())))


def count_rows(session: Connection, deadline: Deadline, progress: Progress) -> Counted:
    """Read every table through and count its rows.

    Args:
        session: in autocommit mode.
        deadline: what it does not reach is not known.
        progress: told of each table.
    """
    rows: dict[str, int] = {}
    damaged: list[str] = []
    unread: list[str] = []
    for schema, name, _ in session.execute(statement("tables")).fetchall():
        table = f"{schema}.{name}"
        progress(f"Reading {table}.")
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, name))
        try:
            with _reading(session, deadline):
                # An index could answer as well, and say nothing of the table.
                session.execute(
                    "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off;"
                    " SET LOCAL enable_bitmapscan = off"
                )
                rows[table] = int(session.execute(query).fetchall()[0][0])
        except _DAMAGED as error:
            damaged.append(f"{table}: {_words(error)}")
        except (psycopg.errors.QueryCanceled, psycopg.errors.InsufficientPrivilege) as error:
            unread.append(f"{table}: {_words(error)}")
    return Counted(rows, tuple(_verdict("tables can be read", len(rows), damaged, unread)))


def check_structure(session: Connection, deadline: Deadline, progress: Progress) -> list[Finding]:
    """Have amcheck look at every table and b-tree, or read every b-tree against its table."""
    found = session.execute(statement("amcheck_functions")).fetchone()
    if found is not None and found[1]:
        return _amcheck(session, str(found[0]), deadline, progress)
    why = _NO_FUNCTIONS if found is None else _NO_RIGHT
    return [untold("amcheck", why), *_read_btrees(session, deadline, progress)]


def _amcheck(
    session: Connection, schema: str, deadline: Deadline, progress: Progress
) -> list[Finding]:
    search = sql.SQL("SET search_path = pg_catalog, {}").format(sql.Identifier(schema))
    session.execute(search)
    damaged: list[str] = []
    unread: list[str] = []
    checked = 0
    for place, name, oid in session.execute(statement("heaps")).fetchall():
        progress(f"amcheck reads {place}.{name}.")
        said = _asked(session, statement("amcheck_heap"), oid, deadline)
        checked += _sorted_into(said, f"{place}.{name}", damaged, unread)
    for oid, place, name, *_ in session.execute(statement("btrees")).fetchall():
        progress(f"amcheck reads {place}.{name}.")
        said = _asked(session, statement("amcheck_btree"), oid, deadline)
        checked += _sorted_into(said, f"{place}.{name}", damaged, unread)
    session.execute("SET search_path = pg_catalog")
    return _verdict("amcheck", checked, damaged, unread)


def _asked(session: Connection, query: LiteralString, oid: int, deadline: Deadline) -> str:
    """What is wrong, in the server's words; empty for nothing, `?` before what is not known."""
    try:
        with _reading(session, deadline):
            answer = session.execute(query, {"oid": oid}).fetchall()
    except _DAMAGED as error:
        return _words(error)
    except (
        psycopg.errors.QueryCanceled,
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.WrongObjectType,
        psycopg.errors.FeatureNotSupported,
    ) as error:
        return f"?{_words(error)}"
    return "; ".join(str(text) for (text,) in answer if text)


def _sorted_into(said: str, name: str, damaged: list[str], unread: list[str]) -> int:
    if said.startswith("?"):
        unread.append(f"{name}: {said[1:]}")
        return 0
    if said:
        damaged.append(f"{name}: {said}")
    return 1


def _read_btrees(session: Connection, deadline: Deadline, progress: Progress) -> list[Finding]:
    """Read each b-tree in its own order, and compare its entries with the table's rows."""
    damaged: list[str] = []
    unread: list[str] = []
    read = 0
    for _, place, name, schema, table, keys, condition in session.execute(
        statement("btrees")
    ).fetchall():
        progress(f"Reading {place}.{name}.")
        of = sql.SQL("FROM {} WHERE {}").format(sql.Identifier(schema, table), sql.SQL(condition))
        order = sql.SQL(", ").join(sql.SQL(key) for key in keys)
        # A query with an order is not pulled up, so that the index is read in it.
        through = sql.SQL("SELECT count(*) FROM (SELECT 1 {} ORDER BY {}) AS entries").format(
            of, order
        )
        try:
            with _reading(session, deadline):
                session.execute("SET LOCAL search_path = public, pg_catalog")
                session.execute("SET LOCAL enable_indexonlyscan = off")
                rows = session.execute(sql.SQL("SELECT count(*) {}").format(of)).fetchall()[0][0]
                session.execute("SET LOCAL enable_indexonlyscan = on")
                session.execute(
                    "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off;"
                    " SET LOCAL enable_bitmapscan = off; SET LOCAL enable_incremental_sort = off;"
                    " SET LOCAL max_parallel_workers_per_gather = 0"
                )
                plan = session.execute(sql.SQL("EXPLAIN (FORMAT JSON) {}").format(through))
                if f"'Index Name': {name!r}" not in str(plan.fetchall()[0][0]):
                    unread.append(f"{place}.{name}: another index answers in its place")
                    continue
                entries = session.execute(through).fetchall()[0][0]
        except _DAMAGED as error:
            damaged.append(f"{place}.{name}: {_words(error)}")
        except psycopg.Error as error:
            if session.closed:
                raise
            unread.append(f"{place}.{name}: {_words(error)}")
        else:
            read += 1
            if entries != rows:
                damaged.append(f"{place}.{name} has {entries:,} entries for {rows:,} rows")
    return _verdict("b-trees can be read", read, damaged, unread)


@contextmanager
def _reading(session: Connection, deadline: Deadline) -> Iterator[None]:
    """A read-only transaction that ends with what is left of the time."""
    milliseconds = deadline.left_milliseconds
    if not milliseconds:
        raise psycopg.errors.QueryCanceled("the time for it was up")
    with session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        session.execute(f"SET LOCAL statement_timeout = {milliseconds}")
        yield


def _verdict(name: str, read: int, damaged: list[str], unread: list[str]) -> list[Finding]:
    found = []
    if damaged:
        more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
        detail = "; ".join(damaged[:_NAMED]) + more
        found.append(Finding(name, Condition.CORRUPTED, detail))
    if unread:
        detail = f"{len(unread)} not looked at: {'; '.join(unread[:_NAMED])}"
        found.append(untold(name, detail))
    if not damaged:
        found.append(sound(name, f"{read} of {read + len(unread)} are sound"))
    return found


def _words(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).splitlines()[0][:200]
