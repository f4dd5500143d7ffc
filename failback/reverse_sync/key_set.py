"""Distinct keys in memory, and beyond a bound in a file: a transaction may be of any size.

Changes when another place is wanted for what does not fit.
"""

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from typing import IO

HELD_KEYS = 200_000
"""So many keys of one relation stay in memory; with their bytes that is about 25 MB."""

_LENGTH_BYTES = 4
_BLOCK_BYTES = 1024 * 1024


class KeySet:
    """A set of keys whose older part may be on disk.

    A key that comes again after it was written out is there twice: whoever reads them looks rows
    up by them, and finds a row once however often it is asked for.

    Args:
        values: the first keys.
    """

    def __init__(self, values: Iterable[bytes] = ()) -> None:
        self.held: set[bytes] = set(values)
        """The keys in memory; always the same object, so that its `add` can be kept at hand."""
        self._file: IO[bytes] | None = None
        self._written = 0
        self._left_out: frozenset[bytes] = frozenset()

    def __len__(self) -> int:
        """How many keys there are at most."""
        return self._written + len(self.held)

    def __iter__(self) -> Iterator[bytes]:
        """Every key, those on disk first. Not to be nested."""
        if self._file is not None:
            yield from (key for key in self._read(self._file) if key not in self._left_out)
        yield from self.held

    def __contains__(self, key: object) -> bool:
        return any(key == each for each in self)

    def add(self, key: bytes) -> None:
        """Take a key in."""
        self.held.add(key)

    def update(self, keys: Iterable[bytes]) -> None:
        """Take keys in."""
        self.held.update(keys)

    def leave_out(self, keys: Iterable[bytes]) -> None:
        """Forget keys, once all have been taken in."""
        self._left_out = self._left_out.union(keys)
        self.held -= self._left_out

    def bound(self, most: int = HELD_KEYS) -> None:
        """Write the keys in memory out where there are more than `most`."""
        if len(self.held) <= most:
            return
        if self._file is None:
            # Nameless, so that it is gone with the process, whatever ends that.
            self._file = tempfile.TemporaryFile(prefix="failback-keys-")  # noqa: SIM115
            weakref.finalize(self, self._file.close)
        self._file.seek(0, 2)
        self._file.write(packed(self.held))
        self._written += len(self.held)
        self.held.clear()

    @staticmethod
    def _read(file: IO[bytes]) -> Iterator[bytes]:
        file.seek(0)
        rest = b""
        while block := file.read(_BLOCK_BYTES):
            data = rest + block
            at = 0
            while at + _LENGTH_BYTES <= len(data):
                start = at + _LENGTH_BYTES
                end = start + int.from_bytes(data[at:start])
                if end > len(data):
                    break
                yield data[start:end]
                at = end
            rest = data[at:]


def packed(keys: Iterable[bytes]) -> bytes:
    """Keys one after the other, each with its length before it."""
    return b"".join([len(key).to_bytes(_LENGTH_BYTES) + key for key in keys])


def unpacked(data: bytes) -> Iterator[bytes]:
    """The keys that `packed` wrote."""
    at = 0
    while at < len(data):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start])
        yield data[start:at]
