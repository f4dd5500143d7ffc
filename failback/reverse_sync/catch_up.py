"""The catch-up as activities use it: plan, shares, settling; blocking, and thread-safe.

Changes when `failback.catch_up_ports` does. The work is done in the modules beside it. Every
call opens sessions of its own, so that any number of shares are carried side by side, in one
process or in several on several machines.
"""

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from failback.errors import SlotBusyError
from failback.models.catch_up import CatchUpPlan, CatchUpReport, ShareOutcome, ShareReport
from failback.reverse_sync import catch_up_plan, catch_up_record, catch_up_share, position, sharing
from failback.reverse_sync import ways as capture_ways
from failback.reverse_sync.catch_up_plan import Sizes
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.control import Control
from failback.reverse_sync.heading import Heading
from failback.reverse_sync.lane import Lane
from failback.reverse_sync.pgoutput import Changes, lsn_text
from failback.reverse_sync.pulse import Progress, Pulse
from failback.reverse_sync.settings import SyncSettings
from failback.reverse_sync.unwinding import abandon, explained
from failback.reverse_sync.ways import Captured

_TAKE_SECONDS = 30.0
_LOOK_SECONDS = 0.1
"""So often work looks whether a consumer with priority waits for it to end."""


class GivesWay(Exception):  # noqa: N818 - not an error: somebody needs the stream more
    """A consumer with priority waits."""


class CatchUp:
    """Carries a large backlog in shares, each on its own.

    Args:
        settings: what to carry between which databases.
        sizes: when and how a backlog is cut.
    """

    def __init__(self, settings: SyncSettings, sizes: Sizes | None = None) -> None:
        self._settings = settings
        self._sizes = sizes or Sizes()
        self._looking = Control(settings.servers)
        self._heading = Heading(settings, self._looking, self._turned)

    def _turned(self, settings: SyncSettings) -> None:
        self._settings = settings

    def plan_catch_up(self, progress: Progress | None = None) -> CatchUpPlan:
        """Cut the backlog into shares, which are kept on the receiver; idempotent.

        Args:
            progress: told now and then that work goes on; may raise to stop it.

        Raises:
            NotArmedError: nothing is armed.
            SlotLostError: changes may be missing.
        """
        try:
            with self._at_work(progress, "reading what was captured") as (lane, pulse):
                return catch_up_plan.plan(lane, self._sizes, self._settings.parallel, pulse)
        except GivesWay:
            return CatchUpPlan(declined="a consumer with priority waits for the stream")

    def carry_share(self, run: str, share: int, progress: Progress | None = None) -> ShareReport:
        """Carry one share; idempotent, and safe beside other shares and other consumers.

        Args:
            run: the catch-up.
            share: the share's number.
            progress: told now and then how far it is; may raise to stop it.

        Raises:
            NotArmedError: nothing is armed.
            SlotLostError: changes may be missing.
            SlotBusyError: a table stays locked, or an earlier attempt does not end.
        """
        try:
            with self._at_work(progress, f"share {share}") as (lane, pulse):
                return catch_up_share.carry(lane, run, share, pulse)
        except GivesWay:
            return ShareReport(
                outcome=ShareOutcome.VOID, detail="a consumer with priority waits for the stream"
            )

    def settle_catch_up(self, run: str, progress: Progress | None = None) -> CatchUpReport:
        """End a catch-up: move the position beyond it where every share was carried.

        Otherwise, and where another consumer holds the stream, it is left to batches.

        Raises:
            NotArmedError: nothing is armed.
            SlotLostError: changes may be missing.
        """
        started = time.monotonic()
        try:
            with self._at_work(progress, "settling") as (lane, pulse):
                report = _settle(lane, run, pulse)
        except GivesWay:
            return CatchUpReport(
                settled=False, detail="a consumer with priority waits for the stream"
            )
        return report.model_copy(update={"seconds": time.monotonic() - started})

    def close(self) -> None:
        """Give the sessions back."""
        self._looking.close()

    @contextmanager
    def _at_work(self, progress: Progress | None, text: str) -> Iterator[tuple[Lane, Pulse]]:
        """Sessions for one piece of work, ended when the work is stopped or has failed."""
        self._heading.follow()
        lane = Lane(self._settings.servers, self._settings.direction)
        try:
            # Opened here, because another thread goes through them to end what they do.
            observer, _ = lane.observer, (lane.reader, lane.writer, lane.helper)
            with Pulse(_looking(observer, progress), lane.cancel, _LOOK_SECONDS) as pulse:
                pulse.text = text
                try:
                    yield lane, pulse
                except psycopg.Error as error:
                    clear = explained(lane, error)
                    if clear is error:
                        raise
                    raise clear from error
        finally:
            abandon(lane)
            lane.close()


def _looking(observer: Connection, progress: Progress | None) -> Progress:
    def look(text: str) -> None:
        # A session that was lost is found by whoever does the work.
        with contextlib.suppress(psycopg.Error):
            if position.awaited(observer):
                raise GivesWay
        if progress is not None:
            progress(text)

    return look


def _settle(lane: Lane, run: str, pulse: Pulse) -> CatchUpReport:
    """See `CatchUp.settle_catch_up`."""
    direction = lane.direction
    deadline = time.monotonic() + _TAKE_SECONDS
    lane.writer.execute("BEGIN")
    while not position.take(lane.writer):
        # A single batch, such as a canary's, stands aside or takes over; either is soon over.
        lane.writer.execute("ROLLBACK")
        if time.monotonic() >= deadline:
            return CatchUpReport(settled=False, detail="another consumer holds the stream")
        pulse()
        time.sleep(_LOOK_SECONDS)
        lane.writer.execute("BEGIN")
    held = position.read(lane.writer, direction)
    found = catch_up_record.opened(lane.writer, direction, held)
    if found is None or found.run != run:
        return CatchUpReport(settled=False, detail="another consumer has taken the stream over")
    # Of an attempt that is not heard of any more: what it has carried is seen afterwards.
    sharing.end_shares(lane.writer)
    shares = catch_up_record.shares(lane.writer, run)
    sharing.void(lane.writer, patient=True)
    left = sum(not share.carried for share in shares)
    if left:
        lane.writer.execute("COMMIT")
        return CatchUpReport(
            settled=False, detail=f"{left} of {len(shares)} shares were not carried"
        )
    way = capture_ways.of(held.capture)
    horizon = way.open(lane, held)
    captured = Captured(Changes(), found.upto, applied=found.applied, logs=found.logs)
    position.write(
        lane.writer,
        direction,
        found.upto,
        changes=found.changes,
        keys=found.keys,
        applied=found.applied,
    )
    lane.writer.execute("COMMIT")
    lane.reader.execute("COMMIT")
    with contextlib.suppress(SlotBusyError):
        way.acknowledge(lane, held, horizon, captured)
        # The helper is at rest when the sender has let go of what lies before.
        _ = lane.helper
    return CatchUpReport(
        settled=True,
        position=lsn_text(found.upto),
        keys=found.keys,
        rows=sum(share.rows for share in shares),
        bytes=sum(share.bytes for share in shares),
    )
