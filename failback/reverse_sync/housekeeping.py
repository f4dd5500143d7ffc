"""What is done now and then between batches, so that later ones stay short and disks free.

Changes when something else has to be tidied up regularly.
"""

import contextlib
import time

from failback.errors import FailbackError, NotArmedError, SlotBusyError
from failback.reverse_sync import fence, position, wal_limit, watch
from failback.reverse_sync.capture import advance
from failback.reverse_sync.control import Control
from failback.reverse_sync.lane import Lane
from failback.reverse_sync.rereading import shorten
from failback.reverse_sync.settings import SyncSettings

_ADVANCE_SECONDS = 10.0
_LIMIT_SECONDS = 5.0
_SHORTEN_SECONDS = 5.0


class Housekeeping:
    """Remembers when each was done last.

    Args:
        control: sessions for what is done without the lane.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._advance_at = self._shorten_at = self._limit_at = 0.0

    def after_batch(self, lane: Lane, settings: SyncSettings) -> None:
        """With the lane in hand: what keeps later batches short."""
        now = time.monotonic()
        if now >= self._shorten_at:
            self._shorten_at = now + _SHORTEN_SECONDS
            shorten(lane.helper, settings.object_name)
            lane.look()
        if now >= self._advance_at:
            # The receiver may forget its own log, as long as nobody but us writes there.
            self._advance_at = now + _ADVANCE_SECONDS
            with contextlib.suppress(NotArmedError, SlotBusyError):
                held = position.read(lane.writer, lane.direction)
                if held.receiver_lsn is None and not watch.is_kept(lane.writer, held):
                    advance(lane.writer, held.receiver_slot, held.receiver_now)

    def keep_limit(self, settings: SyncSettings) -> None:
        """Give the slot up where the estate wants the sender's disk to go first.

        Also after a batch that failed: a receiver that is away is what makes the log grow. Never
        while the sender is fenced: then the tail is all there is, and grows no more.
        """
        now = time.monotonic()
        if settings.on_wal_limit != wal_limit.DROP_SLOT or now < self._limit_at:
            return
        self._limit_at = now + _LIMIT_SECONDS
        with (
            contextlib.suppress(FailbackError),
            self._control.session(settings.direction.sender) as sender,
        ):
            if fence.is_up(sender) is False:
                wal_limit.enforce(sender, settings.object_name, settings.max_retained_wal_mb)
