"""A segment's data as a file: for each table its keys, then its rows, as COPY writes text.

Changes when the data object's form does. Each part is a member of one gzip file (RFC 1952), so that
`zcat` shows all of it, and a reader finds its part by the sizes in the manifest.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from psycopg import sql

from failback.change_archive.tables import key_of
from failback.errors import ArchiveChangedError
from failback.models.archive import ArchivedTable
from failback.reverse_sync.apply import Work, names, select_rows
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.copying import copied_out
from failback.reverse_sync.staging import FEW_KEYS, Staging

_GZIP = 31
"""`zlib`'s number for a gzip header around the largest window."""
_LEVEL = 6
_PIECE = 2**20

Pulse = Callable[[], None]


class SegmentWriter:
    """Writes tables from a snapshot into a file.

    Args:
        reader: in the snapshot's transaction.
        file: empty, open for writing bytes.
        pulse: called while rows flow; raises to stop.
    """

    def __init__(self, reader: Connection, file: IO[bytes], pulse: Pulse) -> None:
        self._reader = reader
        self._staging = Staging(reader)
        self._file = file
        self._pulse = pulse
        self._digest = hashlib.sha256()
        self.bytes = 0
        """That were written."""

    @property
    def sha256(self) -> str:
        """Of what was written."""
        return self._digest.hexdigest()

    def write(self, work: Work) -> ArchivedTable:
        """Write one table's keys, and the rows that they have in the snapshot."""
        pair, keys, key_bytes = work.pair, 0, 0
        key, whole_row = key_of(pair)
        if not work.whole:
            self._staging.plan_for(few=work.count < FEW_KEYS and not pair.keyless)
            self._staging.fill(pair.sent, pair.key, work.keys, binary=False)
            # The stream tells a key once for each partition and each spelling.
            which = sql.SQL("" if whole_row else "DISTINCT ")
            keys, key_bytes = self._member(
                sql.SQL("SELECT {}{} FROM {}").format(
                    which, names(key), self._staging.name(pair.sent)
                )
            )
        rows, row_bytes = self._member(
            select_rows(pair, None if work.whole else self._staging.name(pair.sent))
        )
        return ArchivedTable(
            table=pair.qualified,
            key=key,
            columns=pair.columns,
            whole_row=whole_row,
            whole=work.whole,
            keys=keys,
            rows=rows,
            key_bytes=key_bytes,
            row_bytes=row_bytes,
        )

    def _member(self, query: sql.Composed) -> tuple[int, int]:
        """Lines of what a query returns, and bytes of the member that they became."""
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        lines, start = 0, self.bytes
        giving = sql.SQL("COPY ({}) TO STDOUT").format(query)
        for block in copied_out(self._reader, giving):
            lines += len(block)
            self._put(compressor.compress(b"".join(block)))
            self._pulse()
        self._put(compressor.flush())
        return lines, self.bytes - start

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)
        self.bytes += len(data)


class SegmentReader:
    """Reads a segment's data in the order in which they were written.

    Args:
        path: the data, checked before.
        tables: as the manifest has them.
    """

    def __init__(self, path: Path, tables: Iterable[ArchivedTable]) -> None:
        self._path = path
        self._tables = tuple(tables)

    def parts(self) -> Iterator[tuple[ArchivedTable, Iterator[bytes], Iterator[bytes]]]:
        """Each table with its keys and its rows, as COPY takes them; to be read in order."""
        with self._path.open("rb") as file:
            at = 0
            for table in self._tables:
                keys = _unpacked(file, at, table.key_bytes)
                rows = _unpacked(file, at + table.key_bytes, table.row_bytes)
                yield table, keys, rows
                at += table.key_bytes + table.row_bytes


def _unpacked(file: IO[bytes], start: int, size: int) -> Iterator[bytes]:
    if not size:
        return
    file.seek(start)
    decompressor, left = zlib.decompressobj(_GZIP), size
    try:
        while left:
            piece = file.read(min(left, _PIECE))
            if not piece:
                break
            left -= len(piece)
            while piece:
                # A well-packed member must not become all of the memory.
                yield decompressor.decompress(piece, _PIECE)
                piece = decompressor.unconsumed_tail
        yield decompressor.flush()
    except zlib.error as error:
        raise ArchiveChangedError(f"A segment's data cannot be unpacked: {error}.") from error
    if not decompressor.eof:
        raise ArchiveChangedError("A segment's data end too early.")
