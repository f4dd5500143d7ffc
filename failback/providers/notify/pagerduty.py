"""A channel of PagerDuty, by its Events API v2.

https://developer.pagerduty.com/docs/events-api-v2-overview: a trigger opens an alert under its
`dedup_key`, triggers with the same key join it, and a resolve closes it.
"""

from typing import Any

from failback.models.messages import MessageKind
from failback.providers.notify.http import Poster
from failback.providers.notify.note import Note, UndeliveredError, shortened
from failback.sections.channels import PagerDutyConfig

LONGEST_SUMMARY = 1024
LONGEST_DEDUP_KEY = 255
_LONGEST_DETAIL = 10_000
_SEVERITIES = {"critical": "critical", "warning": "warning", "info": "info"}


class PagerDutyChannel:
    """Implements `Channel`. Everything about one rollback is one alert, closed when it is over.

    Args:
        config: the integration's key.
        timeout_seconds: for one try.
    """

    def __init__(self, config: PagerDutyConfig, *, timeout_seconds: float) -> None:
        self._url = config.url
        self._key = config.routing_key.get_secret_value()
        self._poster = Poster(timeout_seconds)

    async def send(self, note: Note) -> str:
        """See `Channel.send`. A test opens an alert and closes it at once."""
        said = await self._post(event(note, self._key))
        if note.message.kind is MessageKind.TEST:
            said = await self._post({**event(note, self._key), "event_action": "resolve"})
        return said

    async def aclose(self) -> None:
        """See `Channel.aclose`."""
        await self._poster.aclose()

    async def _post(self, body: dict[str, Any]) -> str:
        answer = await self._poster.send("POST", self._url, json=body)
        try:
            said = answer.json()
            taken = said["status"] == "success"
        except (ValueError, KeyError, TypeError) as error:
            raise UndeliveredError("the answer is not PagerDuty's", retryable=True) from error
        if not taken:
            raise UndeliveredError("PagerDuty did not take the event", retryable=False)
        return f"{body['event_action']} accepted"


def event(note: Note, routing_key: str) -> dict[str, Any]:
    """The event as PagerDuty takes it."""
    message = note.message
    action = "resolve" if message.kind.closes else "trigger"
    return {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": dedup_key(note.thread),
        "client": "failback",
        "links": [
            {"href": address, "text": shortened(text, 200)} for text, address in note.links.items()
        ],
        "payload": {
            "summary": shortened(note.subject or message.kind.value, LONGEST_SUMMARY),
            "source": f"failback/{message.estate}",
            "severity": _SEVERITIES.get(message.severity, "info"),
            "timestamp": message.occurred_at.isoformat(),
            "component": message.estate,
            "class": message.kind.value,
            "custom_details": {
                "text": shortened(note.text, _LONGEST_DETAIL),
                **{name: shortened(value, 1000) for name, value in note.facts.items()},
            },
        },
    }


def dedup_key(thread: str) -> str:
    """The alert that an event belongs to; a key that is too long keeps its end, which differs."""
    return thread[-LONGEST_DEDUP_KEY:]
