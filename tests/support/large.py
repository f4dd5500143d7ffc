"""Makes small batches go the ways of large ones."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from failback.reverse_sync import parallel_apply, slot_reading

BEGINNING = 400
"""Messages that are read and carried before the rest of a batch is known."""


@contextmanager
def taken_for_large(*, packed: bool = True) -> Iterator[None]:
    """Every batch is begun early and netted by the server; its tables are carried side by side.

    Args:
        packed: whether the server tells like changes together, or counts equal ones.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(slot_reading, "NETTED_BYTES", 0)
        patched.setattr(slot_reading, "LONG_BYTES", 0)
        patched.setattr(slot_reading, "BEGINNING_MESSAGES", BEGINNING)
        patched.setattr(slot_reading, "_may_be_packed", lambda *_: packed)
        patched.setattr(parallel_apply, "MANY_KEYS", 1)
        yield
