"""Reads the archive's slot: which keys have changed, whoever changed them.

Changes when the slot is read in another way. The reverse sync leaves its own transactions out,
because their rows come from the other side; the archive takes them, because they are rows of the
target as well.
"""

from collections.abc import Callable

from failback.errors import ArchiveError
from failback.reverse_sync import capture
from failback.reverse_sync.capture import Horizon
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.netting import Netting
from failback.reverse_sync.pgoutput import Changes, Decoder, ProtocolError, Relation
from failback.reverse_sync.slot_reading import NETTED_BYTES

KeyColumns = Callable[[Relation], tuple[str, ...] | None]


class _EveryChange(Decoder):
    def _told(self, message: bytes) -> None:
        """Whose transaction it is does not matter."""


class _EveryNettedChange(Netting):
    def _told(self, message: bytes) -> None:
        """Whose transaction it is does not matter."""


def read(
    helper: Connection, slot: str, horizon: Horizon, known: int, key_columns: KeyColumns
) -> Changes:
    """The keys that changed between a position and the horizon, all of them.

    Args:
        helper: a session in autocommit mode on the target.
        slot: its name, which is the publication's as well.
        horizon: the snapshot that rows are read in.
        known: the archive's position.
        key_columns: says which columns of a relation are its key; None lets it go.

    Raises:
        SlotLostError: the slot cannot be read any more.
        SlotBusyError: another session keeps reading it.
        ArchiveError: a table is keyed otherwise than it is published.
    """
    if not horizon.flushed:
        capture.flush(helper)
    sees = horizon.snapshot.sees
    try:
        if horizon.backlog >= NETTED_BYTES:
            netted = _EveryNettedChange(key_columns, sees, known=known)
            changes = _peek(helper, slot, horizon, netted)
            if not netted.order_matters:
                return changes
        return _peek(helper, slot, horizon, _EveryChange(key_columns, sees, known=known))
    except ProtocolError as error:
        raise ArchiveError(
            f"The stream does not fit the catalogue: {error}",
            "A key was changed after arming: run `failback arm` again.",
        ) from error


def _peek(helper: Connection, slot: str, horizon: Horizon, decoder: Decoder) -> Changes:
    return capture.peek(
        helper,
        slot=slot,
        publication=slot,
        upto=horizon.lsn,
        limit=None,
        binary=False,
        decoder=decoder,
    )
