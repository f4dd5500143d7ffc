"""Makes small batches go the ways of large ones."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from failback.reverse_sync import parallel_apply, slot_reading


@contextmanager
def taken_for_large() -> Iterator[None]:
    """Every batch is netted by the server, and its tables are carried side by side."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(slot_reading, "NETTED_BYTES", 0)
        patched.setattr(parallel_apply, "MANY_KEYS", 1)
        yield
