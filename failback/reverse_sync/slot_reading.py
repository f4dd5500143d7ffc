"""How much of the slot a batch reads, and in which form: message by message, or netted.

Changes when it pays to read more or less at once. A batch is bounded by the keys that it carries;
the same keys changing again and again make it read further.
"""

import math

from failback.reverse_sync import capture
from failback.reverse_sync.capture import Horizon
from failback.reverse_sync.lane import Armed, Lane
from failback.reverse_sync.netting import PACKED, Netting
from failback.reverse_sync.pgoutput import Changes, Decoder
from failback.reverse_sync.position import StreamPosition

NETTED_BYTES = 8 * 1024 * 1024
"""From so much log on, netting on the server costs less than it saves."""
_PACKED_MESSAGES = 4_000_000
"""The server may hold the short ones of so many messages in memory: 100 MB, and at most 250 MB."""
_NETTING_MEMORY = "128MB"
_BYTES_A_CHANGE = 256
"""Of the log, about; a change of a wide row has more."""
_FEW_TIMES = 8
"""A backlog of so many times the keys that a batch may carry is read in one go."""
_REPEATED = 2
"""From so many changes a key on, a batch reads further."""
_FURTHER = 16
_XIDS = (1 << 32) - 1
_MOST = 64
"""A batch reads at most so many times the keys that it may carry."""
LONG_BYTES = 32 * 1024 * 1024
"""From so much log on, the beginning is read by itself first, to be carried meanwhile."""
BEGINNING_MESSAGES = 50_000
"""As many as can be carried while the rest is read; to read them twice costs little."""


def beginning(
    lane: Lane, held: StreamPosition, armed: Armed, horizon: Horizon, *, binary: bool
) -> Changes:
    """The first changes of a long backlog; none of a short one. See `read` for the arguments."""
    if held.receiver_lsn is not None or horizon.backlog < LONG_BYTES:
        return Changes()
    decoder = Decoder(armed.key_columns, horizon.snapshot.sees, known=held.lsn)
    return _peek(lane, held, horizon, BEGINNING_MESSAGES, decoder, binary=binary)


def read(
    lane: Lane,
    held: StreamPosition,
    armed: Armed,
    horizon: Horizon,
    *,
    limit: int | None,
    binary: bool,
    beginning: Changes | None = None,
) -> tuple[Changes, int | None]:
    """The changes between the receiver's position and the horizon, netted by key.

    Args:
        lane: the sessions.
        held: the receiver's position.
        armed: the armed tables.
        horizon: the batch's snapshot.
        limit: distinct keys after which to stop at the next commit; None reads all.
        binary: whether keys are wanted in binary form.
        beginning: the first changes, if they were read.

    Returns:
        The changes, and the messages after which the reading was to stop; None read all.
    """
    backlog = horizon.backlog
    # Where the receiver takes writes, a change that it knows already must not be told again.
    if held.receiver_lsn is None and backlog >= NETTED_BYTES:
        lane.helper.execute("SELECT set_config('work_mem', %s, false)", [_NETTING_MEMORY])
        messages = limit
        if limit is not None and backlog <= limit * _FEW_TIMES * _BYTES_A_CHANGE:
            messages = limit * _FEW_TIMES
        while True:
            netting = Netting(armed.key_columns, horizon.snapshot.sees, known=held.lsn)
            if _may_be_packed(limit, messages, horizon, beginning):
                netting.form = PACKED
            changes = _peek(lane, held, horizon, messages, netting, binary=binary)
            if netting.order_matters:
                break
            further = _further(changes, limit, messages, horizon)
            if further == messages:
                return changes, messages
            messages = further
    decoder = Decoder(armed.key_columns, horizon.snapshot.sees, known=held.lsn)
    return _peek(lane, held, horizon, limit, decoder, binary=binary), limit


def _may_be_packed(
    limit: int | None, messages: int | None, horizon: Horizon, beginning: Changes | None
) -> bool:
    """Whether there are few enough changes to be told each, and each in fewer bytes.

    Equal ones are not counted then: where a backlog has more changes than a batch may carry keys,
    the same keys are likely to change often.
    """
    if limit is None or messages is None or messages > _PACKED_MESSAGES:
        return False
    if horizon.backlog < LONG_BYTES:
        return True
    return beginning is not None and _expected(beginning, horizon) <= limit


def _expected(beginning: Changes, horizon: Horizon) -> float:
    """About how many messages a backlog has, by those of its first transactions.

    Numbers of transactions tell more than bytes: a page's first change is logged with all of it.
    """
    first, last = beginning.first_xid, beginning.last_xid
    if first is None or last is None:
        return math.inf
    read = ((last - first) & _XIDS) + 1
    return beginning.messages * ((horizon.snapshot.xmax - first) & _XIDS) / read


def _peek(
    lane: Lane,
    held: StreamPosition,
    horizon: Horizon,
    limit: int | None,
    decoder: Decoder,
    *,
    binary: bool,
) -> Changes:
    return capture.peek(
        lane.helper,
        slot=held.slot,
        # Slot and publication carry one name.
        publication=held.slot,
        upto=horizon.lsn,
        limit=limit,
        binary=binary,
        decoder=decoder,
    )


def _further(
    changes: Changes, limit: int | None, messages: int | None, horizon: Horizon
) -> int | None:
    """How far to read instead, where the reading stopped early and found the same keys often.

    A good deal further, because what was read is read again each time.
    """
    if limit is None or messages is None:
        return None
    keys = sum(len(each.values) for each in changes.keys)
    stopped = changes.messages >= messages and changes.end < horizon.lsn
    if not stopped or keys * _REPEATED > min(messages, limit):
        return messages
    return min(limit * _MOST, messages * _FURTHER)
