"""PagerDuty's webhooks, version 3: one event each.

An incident's fingerprint is its id, and its outbreak began when it was made; one that was
reopened is a new outbreak. Events that do not say whether the incident goes on, such as a note,
are understood and hold no alert.

Source: developer.pagerduty.com/docs, "Webhooks", "Webhook payload" and "Signatures".
"""

from datetime import datetime
from typing import Any

from pydantic import Field

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

_REOPENED = "incident.reopened"
_FIRING = frozenset(
    {
        "incident.triggered",
        "incident.escalated",
        "incident.priority_updated",
        "incident.unacknowledged",
        _REOPENED,
    }
)
_RESOLVED = "incident.resolved"


class _Reference(Sent):
    id: str = ""
    summary: str | None = None


class _Incident(Sent):
    id: str = Field(min_length=1)
    type: str = "incident"
    title: str = ""
    number: int | None = None
    html_url: str | None = None
    created_at: Moment
    urgency: str | None = None
    incident_key: str | None = None
    service: _Reference | None = None
    priority: _Reference | None = None
    escalation_policy: _Reference | None = None


class _Event(Sent):
    id: str = Field(min_length=1)
    event_type: str = Field(min_length=1)
    resource_type: str
    occurred_at: Moment
    data: dict[str, Any] | None = None


class _Body(Sent):
    event: _Event


def read_pagerduty(document: Any, received_at: datetime) -> Reading:
    """The incident of an event, where the event is about whether it goes on.

    Raises:
        WebhookError: it is no webhook of PagerDuty, version 3.
    """
    event = shaped(_Body, document, "PagerDuty").event
    if event.event_type not in _FIRING and event.event_type != _RESOLVED:
        kind = text(event.event_type, NAME_LIMIT)
        return Reading(sent_at=event.occurred_at, note=f"{kind} says nothing about an alert")
    incident = shaped(_Incident, event.data, "PagerDuty")
    return Reading(alerts=(_alert(event, incident, received_at),), sent_at=event.occurred_at)


def _alert(event: _Event, incident: _Incident, received_at: datetime) -> Alert:
    over = event.event_type == _RESOLVED
    priority = incident.priority.summary if incident.priority else None
    references = {
        "service": incident.service.summary if incident.service else None,
        "service_id": incident.service.id if incident.service else None,
        "escalation_policy": (
            incident.escalation_policy.summary if incident.escalation_policy else None
        ),
    }
    return Alert(
        source=AlertSource.PAGERDUTY,
        fingerprint=identity(incident.id),
        name=text(incident.title, NAME_LIMIT) or "unnamed",
        status=AlertStatus.RESOLVED if over else AlertStatus.FIRING,
        severity=text(priority or incident.urgency, NAME_LIMIT).lower(),
        starts_at=(event.occurred_at if event.event_type == _REOPENED else incident.created_at),
        ends_at=event.occurred_at if over else None,
        received_at=received_at,
        summary=text(incident.title),
        labels=labels_of(
            references,
            {
                "urgency": incident.urgency,
                "priority": priority,
                "incident_number": incident.number,
                "incident_key": incident.incident_key,
                "event": event.event_type,
            },
        ),
        url=text(incident.html_url),
    )
