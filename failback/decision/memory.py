"""Which alerts are new, which fire, and which were forgotten because there were too many. Pure."""

from collections.abc import Sequence
from datetime import datetime

from failback.models.alerts import Alert, AlertStatus
from failback.models.responses import ResponseState, Seen

MOST_SEEN = 5_000
"""Alerts that are remembered. A forgotten one that comes again is recorded once all the same,
because the audit log knows its key."""
MOST_STANDING = 1_000
"""Alerts that are kept while they fire, the newest; a decision never depends on more."""
MOST_UNATTRIBUTED = 1_000
REMEMBERED_SECONDS = 86_400
"""After so long without a repeat an alert is forgotten, whether or not it was resolved."""

REPORTED = "reported"
EVENT = "event"
"""Label and value of what only says that something was reported: it makes failback look at once,
and there is nothing about it that could go on."""

_TEXT = 200
_LABELS = 10


def receive(state: ResponseState, alerts: Sequence[Alert], at: datetime) -> tuple[Alert, ...]:
    """Take alerts in.

    An alert is known by its key: repeats change nothing but when it was last told of. What is
    resolved stays resolved, because the word that it fires may come late.

    Args:
        state: is changed.
        alerts: as a gateway handed them over.
        at: now.

    Returns:
        Those that were not known in this status, to be recorded.
    """
    now = int(at.timestamp())
    fresh = []
    for alert in alerts:
        key = alert.key
        before = state.seen.pop(key, None)
        resolved = alert.status is AlertStatus.RESOLVED
        known = before is not None and (before.resolved or not resolved)
        state.seen[key] = Seen(
            at=now, resolved=resolved or (before is not None and before.resolved)
        )
        if known:
            state.repeats += 1
            continue
        state.received += 1
        fresh.append(alert)
        if resolved:
            _end(state, alert)
        elif alert.labels.get(REPORTED) != EVENT:
            state.standing[key] = _slim(state, alert)
        if not resolved:
            state.unattributed.append(key)
    _forget(state, now)
    return tuple(fresh)


def _end(state: ResponseState, alert: Alert) -> None:
    """Take away what the resolved alert ends.

    Some senders do not say which outbreak is over, only when: that ends every earlier one of the
    same fingerprint.
    """
    state.standing.pop(alert.key, None)
    over = alert.ends_at or alert.starts_at
    for key, other in list(state.standing.items()):
        same = (other.source, other.fingerprint) == (alert.source, alert.fingerprint)
        if same and other.starts_at <= over:
            del state.standing[key]


def _slim(state: ResponseState, alert: Alert) -> Alert:
    """What decisions and people need of an alert while it fires; the rest is in its record."""
    label = state.policy.label if state.policy is not None else None
    labels = {
        name: value[:_TEXT]
        for name, value in list(alert.labels.items())
        if label is None or name == label
    }
    return alert.model_copy(
        update={
            "labels": dict(list(labels.items())[:_LABELS]),
            "name": alert.name[:_TEXT],
            "summary": alert.summary[:_TEXT],
            "fingerprint": alert.fingerprint,
            "url": "",
        }
    )


def _forget(state: ResponseState, now: int) -> None:
    """Keep what is carried over a continue-as-new far below what a payload may hold."""
    for key in list(state.seen):
        enough = len(state.seen) <= MOST_SEEN
        if enough and state.seen[key].at > now - REMEMBERED_SECONDS:
            break
        del state.seen[key]
    for key in list(state.standing):
        if len(state.standing) > MOST_STANDING or key not in state.seen:
            del state.standing[key]
    del state.unattributed[:-MOST_UNATTRIBUTED]
