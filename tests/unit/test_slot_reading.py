"""In which form a long stretch of the log is asked for."""

from datetime import UTC, datetime

import pytest

from failback.reverse_sync.capture import Horizon, Slot
from failback.reverse_sync.pgoutput import Changes, Snapshot
from failback.reverse_sync.slot_reading import LONG_BYTES, _may_be_packed

LIMIT = 500_000


def horizon(backlog: int, xmax: int) -> Horizon:
    slot = Slot(system_identifier=1, exists=True, wal_status="reserved", confirmed=0)
    snapshot = Snapshot(xmin=xmax, xmax=xmax, running=frozenset())
    return Horizon(snapshot, backlog, flushed=True, at=datetime.now(UTC), slot=slot)


@pytest.mark.parametrize(
    ("backlog", "first", "last", "xmax", "packed"),
    [
        (LONG_BYTES - 1, None, None, 9, True),
        # 50 000 messages in 500 transactions: of 2 000 there are 200 000, of 10 000 a million.
        (LONG_BYTES, 1000, 1499, 3000, True),
        (LONG_BYTES, 1000, 1499, 11_000, False),
        # Numbers begin again after 2^32.
        (LONG_BYTES, 2**32 - 100, 399, 2**32 + 1900, True),
        (LONG_BYTES, 2**32 - 100, 399, 2**32 + 9900, False),
        (LONG_BYTES, None, None, 3000, False),
    ],
    ids=["short", "few changes", "many changes", "few, later", "many, later", "not known"],
)
def test_backlog_when_it_has_no_more_changes_than_a_batch_keys_is_told_packed(
    backlog: int, first: int | None, last: int | None, xmax: int, *, packed: bool
) -> None:
    beginning = Changes(messages=50_000, first_xid=first, last_xid=last)
    at = horizon(backlog, xmax)
    assert _may_be_packed(LIMIT, 8 * LIMIT, at, beginning) is packed


def test_backlog_when_a_reading_has_no_bound_or_a_wide_one_is_counted() -> None:
    at = horizon(0, 9)
    assert not _may_be_packed(None, None, at, None)
    assert not _may_be_packed(LIMIT, 64 * LIMIT, at, None)
    assert _may_be_packed(LIMIT, LIMIT, at, None)
