"""Proves that changes arrive: a row is written, updated and deleted, and each is seen.

Changes when the proof does.
"""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg

from failback.errors import FailbackError
from failback.models.common import Outcome
from failback.models.sync import CanaryReport
from failback.reverse_sync.connections import Connection
from failback.reverse_sync.statements import statement

_DEADLINE_SECONDS = 15.0
_PAUSE_SECONDS = 0.02
_ID = 1

_STEPS = (
    (
        "insert",
        statement("canary_insert"),
        "written",
    ),
    (
        "update",
        statement("canary_update"),
        "updated",
    ),
    ("delete", "DELETE FROM failback.canary WHERE id = %(id)s", None),
)


def fly(sender: Connection, receiver: Connection, carry: Callable[[], object]) -> CanaryReport:
    """Write, update and delete the canary on the sender, and see each on the receiver.

    Args:
        sender: a session in autocommit mode.
        receiver: a session in autocommit mode.
        carry: runs a batch; another consumer may be at work as well.

    Returns:
        Succeeded when all three were seen; failed when one was not in time; inconclusive when
        the sender refuses the canary, because it is fenced.
    """
    began = time.monotonic()
    flight = f"{datetime.now(UTC):%Y%m%dT%H%M%S} {uuid.uuid4()}"
    for name, query, state in _STEPS:
        token = f"{flight} {state}" if state else None
        try:
            sender.execute(query, {"id": _ID, "token": token})
        except psycopg.errors.ReadOnlySqlTransaction:
            return _report(Outcome.INCONCLUSIVE, began, f"{name}: the fence refuses it")
        problem = _seen(receiver, token, carry)
        if problem is not None:
            return _report(Outcome.FAILED, began, f"{name}: {problem}")
    return _report(Outcome.SUCCEEDED, began, "insert, update and delete arrived")


def _seen(receiver: Connection, token: str | None, carry: Callable[[], object]) -> str | None:
    """Wait until the receiver's canary carries the token; why not, when it does not."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    problem = f"not seen within {_DEADLINE_SECONDS:.0f} s"
    while True:
        try:
            carry()
        except FailbackError as error:
            if not error.retryable:
                return str(error)
            problem = str(error)
        row = receiver.execute("SELECT token FROM failback.canary WHERE id = %s", [_ID]).fetchone()
        if (row[0] if row else None) == token:
            return None
        if time.monotonic() >= deadline:
            return problem
        time.sleep(_PAUSE_SECONDS)


def _report(outcome: Outcome, began: float, detail: str) -> CanaryReport:
    return CanaryReport(
        outcome=outcome, milliseconds=(time.monotonic() - began) * 1000, detail=detail
    )
