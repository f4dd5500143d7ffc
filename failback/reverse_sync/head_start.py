"""What of a long backlog is carried over while the rest of it is still being read.

Changes when other tables may go first. A server reads its log in one process, and until it has
nobody else has anything to do. Rows are taken as the batch's snapshot has them, so that a key which
was carried once is done with, however often it comes again before that snapshot.
"""

from collections.abc import Sequence

from failback.reverse_sync import slot_reading
from failback.reverse_sync.apply import Work
from failback.reverse_sync.lane import Armed
from failback.reverse_sync.parallel_apply import may_be_cut, shares
from failback.reverse_sync.pgoutput import Changes
from failback.reverse_sync.works import works_of

_PART = 1


def works(armed: Armed, beginning: Changes) -> tuple[Work, ...]:
    """What can be carried of the beginning before the rest is known.

    Of a table with another unique value than its key all keys have to be deleted before any is
    inserted; it waits.

    Args:
        armed: the armed tables.
        beginning: the first changes of the backlog; of none of these tables is more to be copied.
    """
    return tuple(
        Work(work.pair, work.keys, part=_PART)
        for work in works_of(armed, beginning, copy_whole=())
        if may_be_cut(work)
    )


def pieces(begun: Sequence[Work], hands: int) -> Sequence[Work]:
    """The works as they are handed out.

    A beginning ends with a transaction. Where that one is large, all hands shall share what is left
    of it when everything is read; else it is not worth reading a table through for every piece.
    """
    large = sum(work.count for work in begun) > 2 * slot_reading.BEGINNING_MESSAGES
    return shares(begun, hands) if large else begun


def leave_out(begun: tuple[Work, ...], changes: Changes) -> None:
    """Take out of the changes what is carried already."""
    carried = {(keys.relation, keys.names): keys.values for work in begun for keys in work.keys}
    for keys in changes.keys:
        done = carried.get((keys.relation, keys.names))
        if done is not None:
            keys.values.leave_out(done)
