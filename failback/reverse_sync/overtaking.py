"""Looks at a slot and at the position together, while batches go on.

Changes when a slot and a position are compared in another way. They lie on two servers and are
read one after the other. A batch that commits in between moves both, the position first: a slot
ahead of a position that was read before it tells nothing until the position was read once more.
"""

from collections.abc import Callable

from failback.reverse_sync import capture
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.position import StreamPosition


def check_slot(
    sender: Connection,
    held: StreamPosition,
    side: str,
    read_again: Callable[[], StreamPosition],
) -> StreamPosition:
    """Compare the sender's slot with what the receiver holds.

    Args:
        sender: any session there.
        held: the position, read before.
        side: the sender's name, for messages.
        read_again: reads the position that is committed now, not that of an older snapshot.

    Returns:
        A position from which on the slot tells every change: `held`, or the later one.

    Raises:
        SlotLostError: changes may be missing.
    """
    slot = capture.read_slot(sender, held.slot)
    if slot.confirmed is not None and slot.confirmed > held.lsn:
        held = read_again()
    capture.check_slot(slot, held, side)
    return held
