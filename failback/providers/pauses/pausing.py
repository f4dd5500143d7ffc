"""Pauses activities of a migration, and forgets none of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

from failback.errors import FailbackError, PauseError
from failback.models.common import Outcome
from failback.models.responses import AUTOMATION
from failback.models.system import Item, ItemsReport
from failback.providers.pauses.activity import Activity, Seen, Told
from failback.providers.pauses.memory import Hold, PauseMemory, merged

_Work = Callable[[], Awaitable[Seen]]


class EstatePauses:
    """Implements `MigrationActivityPause`, and the decisions of people about what is paused.

    An activity that several rollbacks hold goes on when the last of them lets it go.

    Args:
        activities: by name.
        memory: what is paused. It is read anew by every call, so that several workers and a
            command at the same time see the same.
    """

    def __init__(self, activities: Mapping[str, Activity], memory: PauseMemory) -> None:
        self._activities = activities
        self._memory = memory
        # Two calls within one worker must not write down the same round of one hold twice.
        self._lock = asyncio.Lock()

    async def pause(self, rollback_id: str, reason: str) -> ItemsReport:
        """See `MigrationActivityPause.pause`. What is held already is stopped once more."""
        async with self._lock:
            # Where the memory does not answer nothing is paused, and that is an error of all.
            await self._memory.holds()
            items = await asyncio.gather(
                *(
                    _timed(name, partial(self._stopped, name, rollback_id, reason))
                    for name in self._activities
                )
            )
        return ItemsReport(items=tuple(items))

    async def resume(self, rollback_id: str, names: Sequence[str] = ()) -> ItemsReport:
        """See `MigrationActivityPause.resume`."""
        return await self.resume_as(AUTOMATION, rollback_id, names)

    async def resume_as(
        self, who: str, rollback_id: str = "", names: Sequence[str] = ()
    ) -> ItemsReport:
        """Let activities go on at somebody's wish.

        Args:
            who: whose wish it is, for the record.
            rollback_id: whose pauses; empty: those of every rollback.
            names: of activities; none: all of them.
        """
        async with self._lock:
            holds = await self._chosen(rollback_id, names)
            # One after another: whether an activity goes on depends on who else holds it.
            items = [
                await _timed(hold.activity, partial(self._started, hold, who)) for hold in holds
            ]
        return _report([*items, *_unknown(names, holds)])

    async def keep(
        self, who: str, why: str, rollback_id: str = "", names: Sequence[str] = ()
    ) -> ItemsReport:
        """Leave activities paused by decision; arguments as of `resume_as`."""
        async with self._lock:
            holds = await self._chosen(rollback_id, names)
            for hold in holds:
                await self._memory.keep(hold, who, why)
        items = [
            Item(
                name=hold.activity,
                outcome=Outcome.SUCCEEDED,
                detail=f"stays paused: {why}",
                changed=True,
            )
            for hold in holds
        ]
        return _report([*items, *_unknown(names, holds)])

    async def settle(self, who: str, rollback_id: str, names: Sequence[str]) -> ItemsReport:
        """Record that a person resumed activities by hand; nothing is called."""
        async with self._lock:
            holds = await self._chosen(rollback_id, names)
            for hold in holds:
                await self._memory.release(hold, who, f"resumed by hand by {who}")
        items = [
            Item(name=hold.activity, outcome=Outcome.SUCCEEDED, detail="no longer on record")
            for hold in holds
        ]
        return _report([*items, *_unknown(names, holds)])

    async def paused(self) -> ItemsReport:
        """See `MigrationActivityPause.paused`.

        Failed is one that runs although it is paused, inconclusive one that says nothing.
        """
        holds = list((await self._memory.holds()).values())
        items = await asyncio.gather(
            *(_timed(hold.activity, partial(self._looked_at, hold)) for hold in holds)
        )
        return _report(items)

    async def ready(self) -> ItemsReport:
        """Whether each activity could be paused, as far as a look at it tells. Stops nothing."""

        async def looked(activity: Activity) -> Seen:
            found = merged(await activity.look())
            jobs = found.get("jobs")
            told = f"{len(jobs)} jobs are active" if isinstance(jobs, list) else ""
            return Seen(Outcome.SUCCEEDED, told, changed=False)

        items = await asyncio.gather(
            *(
                _timed(name, partial(looked, activity))
                for name, activity in self._activities.items()
            )
        )
        return ItemsReport(items=tuple(items), note="" if items else "nothing is configured")

    async def undecided(self) -> tuple[Hold, ...]:
        """What is paused, and nobody has decided to leave so."""
        return tuple(hold for hold in (await self._memory.holds()).values() if not hold.kept_by)

    async def aclose(self) -> None:
        """See `MigrationActivityPause.aclose`."""
        await asyncio.gather(
            *(activity.aclose() for activity in self._activities.values()),
            self._memory.aclose(),
            return_exceptions=True,
        )

    async def _stopped(self, name: str, rollback_id: str, reason: str) -> Seen:
        activity = self._activities[name]
        found = await activity.look()
        hold = await self._memory.hold(name, rollback_id, reason, found)
        told = Told(rollback_id, reason, hold.key("pause"))
        return await activity.stop(told, hold.remembered)

    async def _started(self, hold: Hold, who: str) -> Seen:
        others = [
            other.rollback_id
            for other in (await self._memory.holds()).values()
            if other.activity == hold.activity and other.rollback_id != hold.rollback_id
        ]
        if others:
            await self._memory.release(hold, who, f"{', '.join(others)} holds it too")
            return Seen(Outcome.SUCCEEDED, f"stays paused for {', '.join(others)}", changed=False)
        activity = self._activities.get(hold.activity)
        if activity is None:
            raise PauseError(
                f"{hold.activity} is paused and not configured any more.",
                "Put it back into pauses.activities, or resume it by hand and say so with"
                " `failback pauses resume --done-by NAME`.",
            )
        told = Told(hold.rollback_id, hold.reason, hold.key("resume"))
        seen = await activity.start(told, hold.remembered)
        if seen.outcome is Outcome.SUCCEEDED:
            await self._memory.release(hold, who, seen.detail)
        return seen

    async def _looked_at(self, hold: Hold) -> Seen:
        said = f"paused by {hold.rollback_id} since {hold.since:%F %T} UTC"
        if hold.reason:
            said += f": {hold.reason}"
        if hold.kept_by:
            said += f"; {hold.kept_by} leaves it so: {hold.kept_because}"
        activity = self._activities.get(hold.activity)
        if activity is None:
            return Seen(Outcome.INCONCLUSIVE, f"{said}; not configured any more", changed=False)
        try:
            runs = await activity.running(hold.remembered)
        except FailbackError as error:
            return Seen(Outcome.INCONCLUSIVE, f"{said}; {error}", changed=False)
        if runs is None:
            return Seen(Outcome.SUCCEEDED, said, changed=False)
        return Seen(runs.outcome, f"{said}; {runs.detail}", changed=False)

    async def _chosen(self, rollback_id: str, names: Sequence[str]) -> list[Hold]:
        return [
            hold
            for hold in (await self._memory.holds()).values()
            if (not rollback_id or hold.rollback_id == rollback_id)
            and (not names or hold.activity in names)
        ]


def _unknown(names: Sequence[str], holds: Sequence[Hold]) -> Iterable[Item]:
    found = {hold.activity for hold in holds}
    for name in names:
        if name not in found:
            yield Item(name=name, outcome=Outcome.FAILED, detail="is not paused")


def _report(items: Sequence[Item]) -> ItemsReport:
    return ItemsReport(items=tuple(items), note="" if items else "nothing is paused")


async def _timed(name: str, work: _Work) -> Item:
    """What is wrong with one activity is its item; it never stops the others."""
    began = time.perf_counter()
    try:
        seen = await work()
    except FailbackError as error:
        seen = Seen(Outcome.FAILED, str(error), changed=False)
    return Item(
        name=name,
        outcome=seen.outcome,
        detail=seen.detail,
        changed=seen.changed,
        milliseconds=(time.perf_counter() - began) * 1000,
    )
