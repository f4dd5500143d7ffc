"""Reads a long stretch of the stream netted by the server: a key that changed often is told once.

Changes when the server is asked in another way. What the stream says about order is lost by it,
so that this is for a receiver that takes no writes of its own; where order matters all the same,
it says so, and the stream is read message by message.
"""

import struct
from collections.abc import Iterable, Sequence

from failback.reverse_sync.pgoutput import (
    BEGIN,
    COMMIT,
    ROWS,
    TUPLE_KIND_END,
    TUPLE_START,
    Changes,
    Decoder,
    Relation,
    is_marker,
    moment,
    unknown,
)

_TIMES = struct.Struct("!6xq")
_MESSAGE_START = 18  # number of fields; length and value of the count; length of the message
_TUPLE_KIND_END = _MESSAGE_START + TUPLE_KIND_END
_TUPLE_START = _MESSAGE_START + TUPLE_START


class Netting(Decoder):
    """Takes rows of how often a message came, and the message; see `Decoder` for its arguments.

    Keys of transactions that the receiver knows already, or that the snapshot does not see, are
    among the result: carrying a row over that has not changed is no mistake.
    """

    order_matters = False
    """Whether the stream holds what only its order explains; the result is worth nothing then."""

    def consume(self, blocks: Iterable[Sequence[bytes]]) -> Changes:
        """Read rows to their end; those that are no change of a row come first."""
        changes, takers, adders = self.changes, self._takers, self._adders
        for rows in blocks:
            if self.order_matters:
                continue
            for row in rows:
                (times,) = _TIMES.unpack_from(row)
                changes.messages += times
                add = adders.get(row[_MESSAGE_START:_TUPLE_KIND_END])
                if add is not None:
                    add(row[_TUPLE_START:])
                    changes.changes += times
                    continue
                message = row[_MESSAGE_START:]
                if message[0] not in ROWS:
                    self._turn(message[0], message)
                    continue
                taker = takers.get(message[1:5], unknown)
                if taker is not None:
                    taker(message)
                    changes.changes += times
            for keys in changes.keys:
                keys.values.bound()
        return changes

    def _begin(self, message: bytes) -> None:
        changes = self.changes
        start, committed_at, xid = BEGIN.unpack_from(message, 1)
        if not self._sees(xid):
            changes.barrier = start if changes.barrier is None else min(changes.barrier, start)
        if start >= self._known:
            changes.transactions += 1
            at = moment(committed_at)
            changes.oldest = at if changes.oldest is None else min(changes.oldest, at)

    def _commit(self, message: bytes) -> None:
        _, end, _ = COMMIT.unpack_from(message, 1)
        self.changes.end = max(self.changes.end, end)

    def _described_anew(self, _relation: Relation) -> None:
        self.order_matters = True

    def _told(self, message: bytes) -> None:
        # A transaction of failback's own is to be left out, and whose a change is nobody says.
        self.order_matters = self.order_matters or is_marker(message)

    def _truncated(self, oid: int) -> None:
        self.changes.truncated[oid] = self._relations.get(oid)
        self.changes.changes += 1
