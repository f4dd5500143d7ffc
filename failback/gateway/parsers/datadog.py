"""Datadog's webhook with the payload that docs/gateway.md asks for.

Datadog has no form of its own: whoever sets the webhook up writes a JSON template of variables.
A variable that does not apply arrives empty, or as its own name.

Source: docs.datadoghq.com/integrations/webhooks, the list of variables.
"""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from failback.gateway.parsers.reading import (
    NAME_LIMIT,
    Moment,
    Reading,
    Sent,
    identity,
    labels_of,
    shaped,
    text,
)
from failback.models.alerts import Alert, AlertSource, AlertStatus

_FIRING = frozenset(
    {
        "triggered",
        "re-triggered",
        "warn",
        "re-warn",
        "no data",
        "re-no data",
        "renotify",
    }
)
_NO_DATA = frozenset({"no data", "re-no data"})
_OVER = "recovered"
"""Also at the end of `Warn Recovered` and `No Data Recovered`."""


def _filled(value: Any) -> str:
    """A variable's value; empty where Datadog had none."""
    told = "" if value is None else str(value).strip()
    return "" if told.startswith("$") or told.lower() in ("null", "none", "n/a") else told


Variable = Annotated[str, BeforeValidator(_filled)]


class _Body(Sent):
    alert_id: Variable = Field(min_length=1)
    alert_transition: Variable
    alert_cycle_key: Variable = ""
    alert_scope: Variable = ""
    alert_title: Variable = ""
    alert_metric: Variable = ""
    alert_priority: Variable = ""
    alert_type: Variable = ""
    alert_status: Variable = ""
    alert_query: Variable = ""
    event_title: Variable = ""
    hostname: Variable = ""
    tags: Variable = ""
    org_id: Variable = ""
    link: Variable = ""
    date: Moment


def read_datadog(document: Any, received_at: datetime) -> Reading:
    """The alert of one monitor and scope.

    Raises:
        WebhookError: it is not what the template makes.
    """
    body = shaped(_Body, document, "Datadog")
    transition = body.alert_transition.lower()
    over = transition.endswith(_OVER)
    if not over and transition not in _FIRING:
        kind = text(body.alert_transition, NAME_LIMIT) or "an empty transition"
        return Reading(sent_at=body.date, note=f"{kind} says nothing about an alert")
    alert = Alert(
        source=AlertSource.DATADOG,
        fingerprint=identity(body.org_id, body.alert_id, body.alert_scope),
        outbreak=identity(body.alert_cycle_key) if body.alert_cycle_key else "",
        name=text(body.alert_title or body.event_title, NAME_LIMIT) or "unnamed",
        status=AlertStatus.RESOLVED if over else AlertStatus.FIRING,
        severity=_severity(transition, body),
        starts_at=body.date,
        ends_at=body.date if over else None,
        received_at=received_at,
        summary=text(body.alert_status or body.event_title),
        labels=labels_of(
            {
                "monitor": body.alert_id,
                "transition": body.alert_transition,
                "metric": body.alert_metric,
                "scope": body.alert_scope,
                "host": body.hostname,
                "priority": body.alert_priority,
                "query": body.alert_query,
            },
            _tags(body.tags),
        ),
        url=text(body.link),
    )
    return Reading(alerts=(alert,), sent_at=body.date)


def _severity(transition: str, body: _Body) -> str:
    """The monitor's priority, else how grave the transition is."""
    if transition in _NO_DATA:
        return "no_data"
    if body.alert_priority:
        return text(body.alert_priority, NAME_LIMIT).lower()
    if transition.endswith("warn"):
        return "warning"
    return text(body.alert_type, NAME_LIMIT).lower()


def _tags(told: str) -> dict[str, str]:
    """`name:value` tags; one without a value is none."""
    pairs = (tag.partition(":") for tag in told.split(","))
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip() and value}
