"""Which way of capture arming would choose, and why; changes when that is told in another way.

A way that cannot be used is no fault where another one can: each side is said how its changes
would be found, and what to run for a better way.
"""

import contextlib
from dataclasses import replace

import psycopg

from failback.cli.readiness.findings import Finding, Part
from failback.config import Estate
from failback.errors import FailbackError
from failback.models.common import Side
from failback.reverse_sync import choosing, preflight, turning, ways
from failback.reverse_sync.choosing import Choice
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.settings import SyncSettings

CAPTURED = "changes can be captured"


def examine_capture(estate: Estate) -> list[Finding]:
    """Choose as `failback arm` would. Blocking; nothing is changed."""
    part = Part("capture")
    settings = SyncSettings.of(estate)
    with contextlib.ExitStack() as opened:
        sessions: dict[Side, Connection] = {}
        for side in Side:
            try:
                session = settings.servers.connect(side, autocommit=True)
            except FailbackError:
                # The side's own part says why.
                part.skip(CAPTURED, f"the {side.value} was not reached")
                return part.findings
            sessions[side] = opened.enter_context(contextlib.closing(session))
        try:
            direction = turning.in_force(sessions)
            _, choice = preflight.chosen(replace(settings, direction=direction), sessions)
        except FailbackError as error:
            part.refuse(CAPTURED, error)
        except psycopg.Error as error:
            part.say(CAPTURED, None, f"A server answered: {error}".strip())
        else:
            _tell(part, direction.sender, choice)
    return part.findings


def _tell(part: Part, sending: Side, choice: Choice) -> None:
    captured = choice.sender != ways.DIFF
    cures = "; ".join(choice.cures)
    part.say(
        f"changes of the {sending.value} can be captured",
        True if captured else None,
        f"{choice.sender}: {choice.why}" + (f". For a slot: {cures}" if captured and cures else ""),
        cures,
    )
    found = choice.receiver != choosing.NONE
    warnings = [text for text in choice.warnings if sending.other.value in text]
    part.say(
        f"the {sending.other.value}'s own changes can be told from those carried over",
        True if found else None,
        ": ".join([choice.receiver, *warnings]),
        "; ".join(choice.receiver_cures),
    )
