"""Cuts a large backlog into shares: the captured keys, kept where the shares will be carried to.

Changes when another backlog can be shared out, or has to be left to batches. The position is not
moved: until every share is carried the receiver holds rows that are newer than it says, as after a
batch that was interrupted.
"""

import time
import uuid
from dataclasses import dataclass

from failback.models.catch_up import CatchUpPlan, CatchUpShare
from failback.reverse_sync import catch_up_record, position, sharing, ways
from failback.reverse_sync.apply import Pulse, Work
from failback.reverse_sync.catch_up_record import CatchUpRun
from failback.reverse_sync.lane import Armed, KeyChanged, Lane, UnknownRelation
from failback.reverse_sync.position import StreamPosition
from failback.reverse_sync.refusals import Stale
from failback.reverse_sync.unwinding import abandon
from failback.reverse_sync.ways import Captured
from failback.reverse_sync.works import catalogues_hold, works_of

_ATTEMPTS = 4


@dataclass(frozen=True)
class Sizes:
    """When and how a backlog is cut."""

    share_keys: int = 100_000
    """About so many keys make a share: a second or two of work."""
    fewest_keys: int = 200_000
    """Fewer are carried sooner by a batch."""
    most_changes: int = 20_000_000
    """A backlog with more is caught up with in several goes; its keys take room on both sides."""


class Declined(Exception):  # noqa: N818 - not an error: batches carry the backlog
    """The backlog is not shared out, for the reason in its argument."""


def plan(lane: Lane, sizes: Sizes, at_once: int, pulse: Pulse) -> CatchUpPlan:
    """Cut the backlog, or return the shares that are left of a catch-up that is open.

    Args:
        lane: sessions that nobody else uses.
        sizes: when and how to cut.
        at_once: how many shares are to be carried at the same time.
        pulse: called now and then; raises to stop.

    Raises:
        NotArmedError: nothing is armed.
        SlotLostError: changes may be missing.
    """
    started = time.monotonic()
    attempts = 0
    while True:
        try:
            found = _Planning(lane, sizes, pulse).plan()
        except UnknownRelation as unknown:
            # Each oid is told once, so this ends by itself.
            abandon(lane)
            lane.forget(unknown.args[0])
        except Stale:
            abandon(lane)
            lane.forget()
            attempts += 1
            if attempts == _ATTEMPTS:
                return CatchUpPlan(declined="schemas keep changing")
        except KeyChanged as changed:
            abandon(lane)
            return CatchUpPlan(declined=f"{changed.args[0]} is keyed by other columns by now")
        except Declined as declined:
            abandon(lane)
            return CatchUpPlan(declined=declined.args[0])
        else:
            return found.model_copy(
                update={"at_once": at_once, "seconds": time.monotonic() - started}
            )


class _Planning:
    """One attempt: a snapshot of the sender, a transaction of the receiver."""

    def __init__(self, lane: Lane, sizes: Sizes, pulse: Pulse) -> None:
        self._lane = lane
        self._sizes = sizes
        self._pulse = pulse

    def plan(self) -> CatchUpPlan:
        lane = self._lane
        stream = lane.direction.name
        lane.writer.execute("BEGIN")
        if not position.take(lane.writer):
            raise Declined("another consumer holds the stream")
        held = position.read(lane.writer, lane.direction)
        if held.catch_up:
            # A planner that died after its commit, or a workflow that begins anew.
            opened = catch_up_record.opened(lane.writer, lane.direction, held)
            if opened is not None:
                planned = self._told(opened)
                lane.writer.execute("ROLLBACK")
                return planned
            if not sharing.void(lane.writer, patient=False):
                raise Declined("shares of an earlier catch-up are still at work")
        armed = self._armed(held)
        captured = self._captured(held, armed)
        works = works_of(armed, captured.changes, ())
        run = self._run(held, armed, captured, works)
        self._pulse()
        catch_up_record.begin(lane.writer, stream, run, works, self._sizes.share_keys)
        self._pulse()
        planned = self._told(run)
        lane.writer.execute("COMMIT")
        lane.reader.execute("COMMIT")
        lane.settle(committed=True)
        return planned

    def _armed(self, held: StreamPosition) -> Armed:
        """The armed tables, where each can be carried by its keys."""
        lane = self._lane
        if held.receiver_lsn is not None:
            raise Declined(f"the {lane.direction.receiver.value} takes writes of its own")
        if ways.of(held.capture).everything:
            raise Declined("no changes are captured: both sides are compared")
        doubted = sorted({*held.copy_whole, *held.unproven, *held.stopped})
        if doubted:
            raise Declined(f"{', '.join(doubted)} may differ by more than what is captured")
        names = position.armed_names(lane.writer, lane.direction)
        armed = lane.armed(lambda: names, held.tables)
        if armed.stopped:
            raise Declined(f"{', '.join(sorted(armed.stopped))} cannot be carried over for now")
        return armed

    def _captured(self, held: StreamPosition, armed: Armed) -> Captured:
        """The keys that changed since the position."""
        lane, way = self._lane, ways.of(held.capture)
        horizon = way.open(lane, held)
        captured = way.read(
            lane,
            held,
            armed,
            horizon,
            limit=self._sizes.most_changes,
            binary=armed.binary_keys,
        )
        keys = sum(len(each.values) for each in captured.changes.keys)
        if keys < self._sizes.fewest_keys and not captured.changes.truncated:
            raise Declined(f"{keys} changed keys are few enough for a batch")
        return captured

    def _run(
        self, held: StreamPosition, armed: Armed, captured: Captured, works: list[Work]
    ) -> CatchUpRun:
        if not catalogues_hold(self._lane.reader, self._lane.writer, armed, works):
            raise Stale
        return CatchUpRun(
            run=uuid.uuid4().hex,
            origin=held.lsn,
            origin_applied=held.applied or "",
            upto=max(held.lsn, captured.reached),
            applied=captured.applied,
            logs=captured.logs,
            changes=captured.changes.changes,
            keys=sum(work.count for work in works),
            binary=armed.binary_keys,
            shapes={work.pair.qualified: catch_up_record.shape(armed, work.pair) for work in works},
        )

    def _told(self, run: CatchUpRun) -> CatchUpPlan:
        kept = catch_up_record.shares(self._lane.writer, run.run)
        return CatchUpPlan(
            run=run.run,
            shares=tuple(
                CatchUpShare(number=each.number, label=each.label, keys=each.keys)
                for each in kept
                if not each.carried
            ),
            of_shares=len(kept),
            keys=sum(each.keys for each in kept),
            keys_carried=sum(each.keys for each in kept if each.carried),
            changes=run.changes,
        )
