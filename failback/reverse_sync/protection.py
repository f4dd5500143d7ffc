"""Arms, turns round and disarms: what the engine does now and then, on sessions of its own.

Changes when one of these is made of other steps.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from failback.models.common import Outcome, Side
from failback.models.sync import (
    ArmReport,
    CanaryReport,
    DisarmReport,
    FenceReport,
    ReprotectReport,
)
from failback.reverse_sync import arming, position, preflight, safety, turning
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.control import Control
from failback.reverse_sync.direction import Direction
from failback.reverse_sync.pgoutput import lsn_text
from failback.reverse_sync.settings import SyncSettings
from failback.reverse_sync.statements import statement


def arm(
    settings: SyncSettings,
    capture: str | None,
    raise_fence: Callable[[Side], FenceReport],
    canary: Callable[[], CanaryReport],
) -> ArmReport:
    """Arm in the direction of the settings, which is in force; see `ReverseSync.arm`."""
    direction = settings.direction
    with alone(settings) as sessions:
        sender, receiver = sessions[direction.sender], sessions[direction.receiver]
        _complete(sessions.values())
        plan = preflight.examine(settings, sender, receiver, capture)
        installed = arming.install(settings, plan, sender, receiver)
        turning.finish(settings, sessions)
    fenced = raise_fence(direction.receiver)
    flown = canary()
    warnings = list(installed.warnings)
    if fenced.outcome is not Outcome.SUCCEEDED:
        warnings.append(f"the fence of the {direction.receiver.value}: {fenced.detail}")
    return ArmReport(
        outcome=_worst(
            fenced.outcome,
            flown.outcome,
            Outcome.FAILED if plan.problems else Outcome.SUCCEEDED,
        ),
        capture=plan.choice.sender,
        why=plan.choice.why,
        tables=installed.tables,
        slot=installed.slot,
        position=lsn_text(installed.lsn),
        canary=flown,
        problems=plan.problems,
        warnings=tuple(warnings),
    )


def turn(settings: SyncSettings, accepted: str = "") -> None:
    """Turn the stream of these settings round; see `turning`."""
    new = replace(settings, direction=Direction(settings.direction.receiver))
    with alone(settings) as sessions:
        held = turning.may_turn(settings, sessions, accepted)
        sides = sessions[new.direction.sender], sessions[new.direction.receiver]
        # Whatever arming would refuse is refused before anything is changed.
        preflight.examine(new, *sides)
        arming.prepare(new, sides)
        turning.begin(settings, sessions, held, accepted)
        arming.install(new, preflight.examine(new, *sides), *sides)
        turning.finish(new, sessions)


def turn_planned(settings: SyncSettings, accepted: str) -> ReprotectReport:
    """What reprotecting would do; nothing is changed."""
    new = replace(settings, direction=Direction(Side.SOURCE))
    with alone(settings) as sessions:
        if settings.direction != new.direction:
            turning.may_turn(settings, sessions, accepted)
        plan = preflight.examine(new, sessions[Side.SOURCE], sessions[Side.TARGET])
    return ReprotectReport(
        outcome=Outcome.SUCCEEDED,
        planned=True,
        capture=plan.choice.sender,
        why=plan.choice.why,
        tables=tuple(pair.qualified for pair in plan.pairs),
        uncaptured=tuple(sorted(plan.uncaptured)),
        problems=plan.problems,
        warnings=plan.choice.warnings,
    )


def disarm(
    settings: SyncSettings, control: Control, accepted: str, only: Side | None
) -> DisarmReport:
    """Remove everything from both sides, or from the one that is left."""
    if only is None:
        safety.may_disarm(settings, control, accepted)
        with alone(settings) as sessions:
            return DisarmReport(removed=arming.remove(settings, sessions))
    safety.may_leave_out(settings, control, only.other, accepted)
    servers = settings.servers
    with (
        contextlib.closing(servers.connect(only, autocommit=True)) as session,
        servers.explaining(only),
    ):
        position.take_arming(session)
        return DisarmReport(removed=arming.remove(settings, {only: session}))


@contextmanager
def alone(settings: SyncSettings) -> Iterator[dict[Side, Connection]]:
    """Sessions of their own on both sides; nobody else arms, turns or disarms meanwhile."""
    servers = settings.servers
    with (
        contextlib.closing(servers.connect(Side.SOURCE, autocommit=True)) as source,
        contextlib.closing(servers.connect(Side.TARGET, autocommit=True)) as target,
    ):
        sessions = {Side.SOURCE: source, Side.TARGET: target}
        for session in sessions.values():
            position.take_arming(session)
        with servers.explaining(settings.direction.sender):
            yield sessions


def _complete(sessions: Iterable[Connection]) -> None:
    """Add what an earlier version did not keep yet, where one has armed: it is read next."""
    for session in sessions:
        row = session.execute("SELECT to_regclass('failback.stream') IS NOT NULL").fetchone()
        if row is not None and row[0]:
            session.execute(statement("schema"))


def _worst(*outcomes: Outcome) -> Outcome:
    """Failed before inconclusive before succeeded."""
    for outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return outcome
    return Outcome.SUCCEEDED
