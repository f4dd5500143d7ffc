"""What is paused, by which rollback and since when: remembered in the audit log.

The log outlives both sides, every worker of the estate reads the same one, and nothing in it can
be lost unnoticed; a table on a side would be gone with that side, and a file of one machine is
not found by a worker on another. What is to be stopped is written down before it is stopped.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pydantic import JsonValue

from failback.models.audit import AuditEntry, EntryKind, NewEntry
from failback.models.responses import AUTOMATION
from failback.ports import AuditLog
from failback.providers.pauses.activity import Remembered

_ALL = 1_000_000


@dataclass(frozen=True)
class Hold:
    """One activity that one rollback holds."""

    activity: str
    rollback_id: str
    since: datetime
    reason: str
    remembered: Remembered = field(default_factory=dict)
    round: int = 0
    """How often the same rollback held it before."""
    kept_by: str = ""
    """Who decided that it stays paused."""
    kept_because: str = ""

    def key(self, action: str) -> str:
        """Names one action of this hold, the same in repeats."""
        return f"{self.rollback_id}/{self.activity}/{self.round}/{action}"


Holds = Mapping[tuple[str, str], Hold]
"""By activity and rollback, the oldest first."""


class PauseMemory:
    """Reads and writes holds.

    Args:
        log: the estate's audit log. Its errors are raised: what cannot be remembered must not be
            paused.
        now: the clock.
    """

    def __init__(
        self, log: AuditLog, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._log = log
        self._now = now

    async def holds(self) -> Holds:
        """Everything that is held now."""
        return (await self._read())[0]

    async def hold(
        self, activity: str, rollback_id: str, reason: str, remembered: Remembered
    ) -> Hold:
        """Write down that an activity is about to be stopped, with what is known of it."""
        holds, rounds = await self._read()
        held = holds.get((activity, rollback_id))
        known = merged(*(one.remembered for one in holds.values() if one.activity == activity))
        everything = merged(known, remembered)
        if held is not None and held.remembered == everything:
            return held
        hold = held or Hold(
            activity,
            rollback_id,
            self._now(),
            reason,
            round=rounds.get((activity, rollback_id), 0),
        )
        hold = replace(hold, remembered=everything)
        body: dict[str, JsonValue] = {"reason": reason, "remembered": dict(everything)}
        await self._write(hold, "paused", AUTOMATION, body, _short(body))
        return hold

    async def keep(self, hold: Hold, who: str, why: str) -> None:
        """Write down that somebody decided to leave it paused."""
        body: dict[str, JsonValue] = {"reason": why}
        await self._write(hold, "kept", who, body, _short({"who": who, **body}))

    async def release(self, hold: Hold, who: str, detail: str) -> None:
        """Write down that a hold has ended."""
        await self._write(hold, "resumed", who, {"reason": detail})

    async def aclose(self) -> None:
        """Give back connections."""
        await self._log.aclose()

    async def _write(
        self,
        hold: Hold,
        state: str,
        who: str,
        body: dict[str, JsonValue],
        distinct: str = "",
    ) -> None:
        await self._log.append(
            NewEntry(
                kind=EntryKind.PAUSE,
                key="/".join(filter(None, (hold.key(state), distinct))),
                at=self._now(),
                who=who,
                subject=hold.rollback_id,
                body={"activity": hold.activity, "state": state, **body},
            )
        )

    async def _read(self) -> tuple[dict[tuple[str, str], Hold], dict[tuple[str, str], int]]:
        """What is held, and how often each was held and let go."""
        holds: dict[tuple[str, str], Hold] = {}
        rounds: dict[tuple[str, str], int] = {}
        for entry in await self._log.read((EntryKind.PAUSE,), limit=_ALL):
            at = (str(entry.body.get("activity")), entry.subject)
            held = holds.get(at)
            match entry.body.get("state"):
                case "paused":
                    holds[at] = _held(entry, held, rounds.get(at, 0))
                case "kept" if held is not None:
                    because = str(entry.body.get("reason", ""))
                    holds[at] = replace(held, kept_by=entry.who, kept_because=because)
                case "resumed" if held is not None:
                    del holds[at]
                    rounds[at] = held.round + 1
        return holds, rounds


def merged(*remembered: Remembered) -> dict[str, JsonValue]:
    """Everything that any of them knows: lists under one name become one, without repeats."""
    found: dict[str, JsonValue] = {}
    for one in remembered:
        for name, value in one.items():
            before = found.get(name)
            if isinstance(before, list) and isinstance(value, list):
                found[name] = [*before, *(item for item in value if item not in before)]
            else:
                found[name] = value
    return found


def _held(entry: AuditEntry, before: Hold | None, number: int) -> Hold:
    told = entry.body.get("remembered")
    remembered = told if isinstance(told, dict) else {}
    if before is not None:
        return replace(before, remembered=merged(before.remembered, remembered))
    return Hold(
        activity=str(entry.body.get("activity")),
        rollback_id=entry.subject,
        since=entry.at,
        reason=str(entry.body.get("reason", "")),
        remembered=remembered,
        round=number,
    )


def _short(body: Mapping[str, JsonValue]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]
