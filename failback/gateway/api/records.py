"""The audit log by the API: alerts and events that stand there, and events that come to it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from pydantic import JsonValue

from failback.decision.matrix import CUSTOMER_COMPLAINTS, DATA_CORRUPTION
from failback.decision.memory import EVENT, REPORTED
from failback.gateway.api.bodies import EntryList, EventKept, EventType, ReportEvent
from failback.gateway.api.operations import Call
from failback.gateway.api.rollbacks import body, count
from failback.gateway.intake import Intake
from failback.gateway.parsers.reading import moment
from failback.gateway.refusals import RefusedError
from failback.gateway.signatures import AHEAD
from failback.models.alerts import Alert, AlertSource
from failback.models.audit import EntryKind, NewEntry
from failback.ports import AuditLog

_MOST = 1000
_DEFAULT = 100

METRIC_OF: Mapping[EventType, str] = {
    EventType.CUSTOMER_COMPLAINT: CUSTOMER_COMPLAINTS,
    EventType.DATA_CORRUPTION: DATA_CORRUPTION,
}
"""Under which subject the decision looks for an event."""


class RecordOperations:
    """The operations on the audit log.

    Args:
        audit: the log.
        intake: is told of an event, so that the decision is taken again.
        clock: the time in UTC.
    """

    def __init__(
        self,
        audit: AuditLog,
        intake: Intake,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._audit = audit
        self._intake = intake
        self._clock = clock

    async def alerts(self, call: Call) -> EntryList:
        """Alerts that were recorded."""
        return await self._entries(call, EntryKind.ALERT)

    async def events(self, call: Call) -> EntryList:
        """Events that were reported."""
        return await self._entries(call, EntryKind.EVENT)

    async def _entries(self, call: Call, kind: EntryKind) -> EntryList:
        return EntryList(
            entries=await self._audit.read(
                (kind,),
                since=_time(call, "since"),
                until=_time(call, "until"),
                limit=count(call, _DEFAULT, _MOST),
            )
        )

    async def report(self, call: Call) -> EventKept:
        """Keep one event durably, then have the decision taken again.

        Both are repeated without harm when the sender repeats, as it does where it got no answer.
        """
        event = body(call, ReportEvent)
        now = self._clock()
        at = (event.occurred_at or now).astimezone(UTC)
        if at - now > AHEAD:
            raise RefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "occurred_at is in the future.",
                "Set the clocks of both machines.",
            )
        told: dict[str, JsonValue] = {
            "type": event.type.value,
            "detail": event.detail,
            "reference": event.reference,
        }
        entry = await self._audit.append(
            NewEntry(
                kind=EntryKind.EVENT,
                key=f"{call.holder.name}/{call.headers['Idempotency-Key']}",
                at=at,
                who=call.holder.name,
                subject=METRIC_OF[event.type],
                body=told,
            )
        )
        if entry.body != told:
            raise RefusedError(
                HTTPStatus.CONFLICT,
                "Another event was reported under this Idempotency-Key.",
                "Send each event under a key of its own.",
            )
        await self._intake.hand_over([_as_alert(event, entry.key, entry.at, now)])
        return EventKept(sequence=entry.sequence, hash=entry.hash, at=entry.at)


def _as_alert(event: ReportEvent, key: str, at: datetime, now: datetime) -> Alert:
    """What makes the estate's `AlertResponse` look at the evidence, the event among it.

    An event is a moment: nothing ends it, and by its label it does not count as firing.
    """
    return Alert(
        source=AlertSource.GENERIC,
        fingerprint=METRIC_OF[event.type],
        outbreak=key,
        name=METRIC_OF[event.type],
        starts_at=at,
        received_at=now,
        summary=event.detail,
        labels={REPORTED: EVENT},
    )


def _time(call: Call, name: str) -> datetime | None:
    told = call.query.get(name)
    if told is None:
        return None
    try:
        return moment(told)
    except ValueError as error:
        raise RefusedError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"The parameter {name} is {error}.",
            "Send a time such as 2026-03-01T03:15:00Z.",
        ) from error
