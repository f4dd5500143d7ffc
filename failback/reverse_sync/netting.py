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

_LEAD = struct.Struct("!6xqi")
_HEAD_START = _LEAD.size  # number of fields; length and value of the count; length of the head
_LENGTH = struct.Struct("!i")
_NULL = -1
_COUNT_BYTES = TUPLE_START - TUPLE_KIND_END

PACKED = "peek_packed"
"""Another `form` of a `Netting`."""


class Netting(Decoder):
    """Takes rows of how often a message came, and the message; see `Decoder` for its arguments.

    With `PACKED` a row may be of many messages that begin alike and are of one length: how
    they begin, and what follows in each of them.

    Keys of transactions that the receiver knows already, or that the snapshot does not see, are
    among the result: carrying a row over that has not changed is no mistake.
    """

    form = "peek_netted"
    """Equal messages are counted; with `PACKED` like ones are told together."""
    order_matters = False
    """Whether the stream holds what only its order explains; the result is worth nothing then."""

    def consume(self, blocks: Iterable[Sequence[bytes]]) -> Changes:
        """Read rows to their end; those that are no change of a row come first."""
        changes = self.changes
        for rows in blocks:
            if self.order_matters:
                continue
            for row in rows:
                times, length = _LEAD.unpack_from(row)
                head_end = _HEAD_START + length
                head = row[_HEAD_START:head_end]
                changes.messages += times
                (size,) = _LENGTH.unpack_from(row, head_end)
                if size != _NULL:
                    self._packed(head, row[head_end + _LENGTH.size :], times)
                elif head[0] in ROWS:
                    self._take(head, times)
                else:
                    self._turn(head[0], head)
            for keys in changes.keys:
                keys.values.bound()
        return changes

    def _take(self, message: bytes, times: int) -> None:
        """One change of a row, which came so often."""
        add = self._adders.get(message[:TUPLE_KIND_END])
        if add is not None:
            add(message[TUPLE_START:])
        else:
            taker = self._takers.get(message[1:5], unknown)
            if taker is None:
                return
            taker(message)
        self.changes.changes += times

    def _packed(self, head: bytes, rest: bytes, times: int) -> None:
        """So many changes of rows, told by how all of them begin and how each goes on."""
        width = len(rest) // times
        if head[1:5] not in self._takers:
            unknown(head)
        taker = self._takers[head[1:5]]
        if taker is None:
            return
        if head in self._adders:
            taker.keys.values.update(
                [rest[at + _COUNT_BYTES : at + width] for at in range(0, len(rest), width)]
            )
        else:
            for at in range(0, len(rest), width):
                taker(head + rest[at : at + width])
        self.changes.changes += times

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
