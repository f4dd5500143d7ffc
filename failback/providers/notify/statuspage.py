"""A public status page of Atlassian Statuspage: one incident for each rollback.

https://developer.statuspage.io/#tag/incidents. The API has no key for repeats; the incident's own
metadata says which rollback it is about and which messages it has taken.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from failback.models.messages import MessageKind
from failback.providers.notify.http import Poster
from failback.providers.notify.note import Note, UndeliveredError
from failback.sections.channels import StatuspageConfig

_STATUS = {
    MessageKind.ROLLBACK_STARTED: "identified",
    MessageKind.TRAFFIC_RESTORED: "monitoring",
    MessageKind.ROLLBACK_SUCCEEDED: "resolved",
    MessageKind.ROLLBACK_FAILED: "identified",
}
_COMPONENTS = {
    MessageKind.ROLLBACK_STARTED: "partial_outage",
    MessageKind.TRAFFIC_RESTORED: "degraded_performance",
    MessageKind.ROLLBACK_SUCCEEDED: "operational",
    MessageKind.ROLLBACK_FAILED: "partial_outage",
}
_RECENT = 100
"""The newest incidents that are looked through, as many as one page of the API has."""


class StatuspageChannel:
    """Implements `Channel`.

    Args:
        config: page, key and components.
        timeout_seconds: for one request; a message takes two.
    """

    def __init__(self, config: StatuspageConfig, *, timeout_seconds: float) -> None:
        self._incidents = f"{config.api_url.rstrip('/')}/pages/{config.page}/incidents"
        self._components = config.components
        self._poster = Poster(
            timeout_seconds, {"authorization": f"OAuth {config.api_key.get_secret_value()}"}
        )

    async def send(self, note: Note) -> str:
        """See `Channel.send`. A test only reads the page: nothing is published."""
        kind = note.message.kind
        if kind is not MessageKind.TEST and kind not in _STATUS:
            raise UndeliveredError(f"{kind.value} is not for a status page", retryable=False)
        incidents = await self._read()
        if kind is MessageKind.TEST:
            return "the page answers; nothing was published"
        found = next((one for one in incidents if _about(one).get("thread") == note.thread), None)
        if found is None:
            await self._poster.send("POST", self._incidents, json=self._body(note, ()))
            return "incident opened" if not kind.closes else "incident published as resolved"
        told = [str(key) for key in _about(found).get("keys", ())]
        if note.message.key in told:
            return "published before"
        if _stage(found) > kind.stage:
            return "the page says more already"
        address = f"{self._incidents}/{found['id']}"
        await self._poster.send("PATCH", address, json=self._body(note, told))
        return f"incident {_STATUS[kind]}"

    async def aclose(self) -> None:
        """See `Channel.aclose`."""
        await self._poster.aclose()

    async def _read(self) -> Sequence[Mapping[str, Any]]:
        answer = await self._poster.send("GET", self._incidents, params={"limit": _RECENT})
        try:
            incidents = answer.json()
        except ValueError as error:
            raise UndeliveredError("the answer is no JSON", retryable=True) from error
        if not isinstance(incidents, list):
            raise UndeliveredError("the answer is no list of incidents", retryable=True)
        return [one for one in incidents if isinstance(one, dict) and "id" in one]

    def _body(self, note: Note, told: Sequence[str]) -> dict[str, Any]:
        """One incident or one update of it; its metadata is written in the same request."""
        message = note.message
        incident: dict[str, Any] = {
            "status": _STATUS[message.kind],
            "body": note.text,
            "deliver_notifications": True,
            "metadata": {
                "failback": {
                    "thread": note.thread,
                    "stage": message.kind.stage,
                    "keys": [*told, message.key],
                }
            },
        }
        if not told:
            incident["name"] = note.subject
        if self._components:
            incident["component_ids"] = list(self._components)
            incident["components"] = dict.fromkeys(self._components, _COMPONENTS[message.kind])
        return {"incident": incident}


def _about(incident: Mapping[str, Any]) -> Mapping[str, Any]:
    """What failback wrote into an incident's metadata; empty for incidents of others."""
    metadata = incident.get("metadata")
    about = metadata.get("failback") if isinstance(metadata, dict) else None
    return about if isinstance(about, dict) else {}


def _stage(incident: Mapping[str, Any]) -> int:
    stage = _about(incident).get("stage", 0)
    return stage if isinstance(stage, int) else 0
