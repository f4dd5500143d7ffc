"""Brings changed keys to a server: one temporary table per table and session, used again.

Changes when keys are handed over in another way.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from psycopg import sql

from failback.reverse_sync.catalogue import Table
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.pgoutput import Keys, fields
from failback.reverse_sync.statements import statement

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_BLOCK_KEYS = 4096
FEW_KEYS = 500
"""Below so many keys of a table, each row is looked up by index without asking the planner."""

_BINARY_KIND = b"b"[0]
_BINARY_NULL, _TEXT_NULL = b"\xff\xff\xff\xff", b"\\N"


class Staging:
    """The temporary key tables of one session.

    Args:
        connection: the session; it may be in a transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ready: set[int] = set()
        self._fresh: set[int] = set()
        self._few: bool | None = None

    def settle(self, *, committed: bool) -> None:
        """A transaction ended: key tables that were made in it are there, or gone with it."""
        if committed:
            self._ready |= self._fresh
        self._fresh.clear()
        self._few = None

    def plan_for(self, *, few: bool) -> None:
        """Plan the transaction's next statements for few keys or for many.

        A key table is new to the planner, which takes it for thousands of keys and reads the
        whole table instead of a few rows. For many keys it is analyzed, and plans by itself.
        """
        if few is not self._few:
            self._connection.execute(
                statement("plan_for_few") if few else statement("plan_for_many")
            )
            self._few = few

    def name(self, table: Table) -> sql.Identifier:
        """The key table of a table, in this session."""
        return sql.Identifier("pg_temp", f"failback_keys_{table.oid}")

    def prepare(self, table: Table, key: tuple[str, ...]) -> None:
        """Make the key table, once; its columns have the types of the table's own.

        It empties itself at every commit.
        """
        if table.oid in self._ready or table.oid in self._fresh:
            return
        self._connection.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA"
            ).format(
                sql.Identifier(f"failback_keys_{table.oid}"),
                sql.SQL(", ").join(map(sql.Identifier, key)),
                table.identifier,
            )
        )
        self._fresh.add(table.oid)

    def fill(
        self, table: Table, key: tuple[str, ...], changed: Iterable[Keys], *, binary: bool
    ) -> int:
        """Copy keys into the key table; returns how many. A key may be there twice."""
        self.prepare(table, key)
        count = 0
        for keys in changed:
            if not keys.values:
                continue
            statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
                self.name(table),
                sql.SQL(", ").join(map(sql.Identifier, keys.names)),
                sql.SQL("binary" if binary else "text"),
            )
            blocks = binary_blocks(keys) if binary else text_blocks(keys)
            with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
                for block in blocks:
                    copy.write(block)
            count += len(keys.values)
        if count >= FEW_KEYS:
            self._connection.execute(sql.SQL("ANALYZE {}").format(self.name(table)))
        return count


def binary_blocks(keys: Keys) -> Iterator[bytes]:
    """Keys in the binary format of COPY: the values' bytes are passed on as they came."""
    lead = len(keys.names).to_bytes(2)
    yield _SIGNATURE
    for block in _blocks(keys):
        if len(keys.names) == 1 and all(value[0] == _BINARY_KIND for value in block):
            # Length and bytes follow the kind, as COPY wants them.
            yield lead + lead.join([value[1:] for value in block])
        else:
            yield b"".join([lead + _binary_row(value, keys) for value in block])
    yield _TRAILER


def _blocks(keys: Keys) -> Iterator[list[bytes]]:
    values = iter(keys.values)
    while block := list(islice(values, _BLOCK_KEYS)):
        yield block


def _binary_row(key: bytes, keys: Keys) -> bytes:
    parts = []
    for is_binary, value in fields(key, whole_row=keys.whole_row):
        if value is None:
            parts.append(_BINARY_NULL)
            continue
        if not is_binary:
            raise ValueError("A key that was announced in binary form came as text.")
        parts.append(len(value).to_bytes(4) + value)
    return b"".join(parts)


def text_blocks(keys: Keys) -> Iterator[bytes]:
    """Keys in the text format of COPY."""
    for block in _blocks(keys):
        yield b"".join([_text_row(value, keys) for value in block])


def _text_row(key: bytes, keys: Keys) -> bytes:
    parts = []
    for is_binary, value in fields(key, whole_row=keys.whole_row):
        if value is None:
            parts.append(_TEXT_NULL)
            continue
        if is_binary:
            raise ValueError("A key that was announced as text came in binary form.")
        parts.append(
            value.replace(b"\\", b"\\\\")
            .replace(b"\t", b"\\t")
            .replace(b"\n", b"\\n")
            .replace(b"\r", b"\\r")
        )
    return b"\t".join(parts) + b"\n"
