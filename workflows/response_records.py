"""What `AlertResponse` writes down and tells: entries of the audit log, and messages to people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from failback.models.alerts import Alert
    from failback.models.audit import EntryKind, NewEntry
    from failback.models.decision import Assessment
    from failback.models.messages import Message, MessageKind
    from failback.models.responses import (
        AUTOMATION,
        Decided,
        Investigation,
        ResponseState,
        Situation,
    )

_TEXT = 500
_LABELS = 50


class Records:
    """Makes entries and messages of one estate.

    Args:
        estate: whose alerts are answered.
    """

    def __init__(self, estate: str) -> None:
        self._estate = estate

    # Entries.

    def alerts(self, alerts: Sequence[Alert]) -> list[NewEntry]:
        """One entry for each alert and status; a repeat has the same key and stands once."""
        return [
            NewEntry(
                kind=EntryKind.ALERT,
                key=f"{self._estate}/{alert.key}/{alert.status.value}",
                at=alert.received_at,
                who=alert.source.value,
                subject=alert.key,
                body=_alert_body(alert),
            )
            for alert in alerts
        ]

    def decision(self, situation: Situation, decided: Decided, state: ResponseState) -> NewEntry:
        """One decision with every rule's numbers, and what was done about it."""
        handling = state.handling
        return NewEntry(
            kind=EntryKind.DECISION,
            key=f"{self._estate}/{decided.at.isoformat()}",
            at=decided.at,
            who=AUTOMATION,
            subject=handling.rollback_id if handling is not None else "",
            body={
                "decision": decided.decision.value,
                "level": decided.level,
                "action": decided.action.kind.value,
                "why": decided.action.why,
                "mode": situation.policy.mode.value,
                "basis": decided.basis,
                "conclusive": decided.conclusive,
                "explanation": decided.explanation,
                "digest": decided.digest,
                "alerts_firing": len(state.standing),
                "readings": _readings(situation.assessment),
            },
        )

    def attribution(self, rollback_id: str, how: str, keys: Sequence[str]) -> NewEntry:
        """Which alerts led to a rollback or joined it."""
        return NewEntry(
            kind=EntryKind.ROLLBACK,
            key=f"{rollback_id}/alerts/{keys[0]}",
            at=workflow.now(),
            who=AUTOMATION,
            subject=rollback_id,
            body={"event": f"alerts_{how}", "count": len(keys), "alerts": list(keys)},
        )

    def investigation(self, investigation: Investigation) -> NewEntry:
        """An investigation's opening or its end."""
        event = "closed" if investigation.closed_at else "opened"
        return NewEntry(
            kind=EntryKind.INVESTIGATION,
            key=f"{investigation.investigation_id}/{event}",
            at=investigation.closed_at or investigation.opened_at,
            who=investigation.closed_by or AUTOMATION,
            subject=investigation.investigation_id,
            body={
                "event": event,
                "reason": investigation.reason,
                "rules": list(investigation.rules),
                "paused": investigation.paused,
                "resumed": investigation.resumed,
                "comment": investigation.comment,
            },
        )

    def opened(self, decided: Decided, suffix: str) -> Investigation:
        """A new investigation of what was decided."""
        return Investigation(
            investigation_id=f"inv-{decided.at:%Y%m%dT%H%M%S}-{suffix}",
            opened_at=decided.at,
            reason=decided.explanation,
            rules=decided.rules,
        )

    # Messages.

    def initiated(self, rollback_id: str, decided: Decided, state: ResponseState) -> Message:
        """A rollback acts without a person having been asked."""
        return self._message(
            MessageKind.AUTOMATIC_ROLLBACK_INITIATED,
            f"{rollback_id}/automatic",
            decided,
            state,
            subject=f"{self._estate}: automatic rollback initiated",
            text=f"{decided.explanation} {decided.action.why.capitalize()}.",
            severity="critical",
            rollback_id=rollback_id,
        )

    def recommendation(self, decided: Decided, state: ResponseState) -> Message:
        """What failback would do, for people to do."""
        return self._message(
            MessageKind.RECOMMENDATION,
            f"{self._estate}/recommendation/{decided.at.isoformat()}",
            decided,
            state,
            subject=f"{self._estate}: {decided.decision.value} is recommended",
            text=f"{decided.explanation} Nothing was started: {decided.action.why}.",
            severity="warning",
        )

    def investigation_opened(self, investigation: Investigation, state: ResponseState) -> Message:
        """Somebody is to look into it."""
        decided = state.decided
        return Message(
            kind=MessageKind.INVESTIGATION_OPENED,
            key=f"{investigation.investigation_id}/opened",
            estate=self._estate,
            subject=f"{self._estate}: something is to be looked into",
            text=(
                f"{investigation.reason} Close it with `failback investigation close --as NAME`."
            ),
            severity="warning",
            alert=_newest_name(state),
            occurred_at=investigation.opened_at,
            facts=_facts(decided, state) if decided is not None else {},
        )

    def _message(
        self,
        kind: MessageKind,
        key: str,
        decided: Decided,
        state: ResponseState,
        **changes: Any,
    ) -> Message:
        return Message(
            kind=kind,
            key=key,
            estate=self._estate,
            alert=_newest_name(state),
            occurred_at=decided.at,
            facts=_facts(decided, state),
            **changes,
        )

    def undecided(self, before: Decided | None, at: datetime) -> Decided | None:
        """The last decision, marked as one that says nothing about now."""
        return before and before.model_copy(update={"conclusive": False, "at": at})


def _facts(decided: Decided, state: ResponseState) -> dict[str, str]:
    return {
        "decision": decided.decision.value,
        "rules": ", ".join(decided.rules) or "none",
        "basis": decided.basis,
        "alerts": str(len(state.standing)),
    }


def _newest_name(state: ResponseState) -> str:
    newest = next(reversed(state.standing.values()), None)
    return newest.name if newest is not None else ""


def _alert_body(alert: Alert) -> dict[str, Any]:
    return {
        "name": alert.name[:_TEXT],
        "status": alert.status.value,
        "severity": alert.severity[:_TEXT],
        "fingerprint": alert.fingerprint[:_TEXT],
        "starts_at": alert.starts_at.isoformat(),
        "ends_at": alert.ends_at.isoformat() if alert.ends_at else None,
        "summary": alert.summary[:_TEXT],
        "labels": {
            name[:_TEXT]: value[:_TEXT] for name, value in list(alert.labels.items())[:_LABELS]
        },
        "value": _finite(alert.value),
        "url": alert.url[:_TEXT],
    }


def _readings(assessment: Assessment) -> list[Any]:
    return [
        {
            "rule": reading.rule.name,
            "verdict": reading.verdict.value,
            "value": _finite(reading.value),
            "threshold": reading.rule.threshold,
            "since": reading.since.isoformat() if reading.since else None,
            "explanation": reading.explanation[:_TEXT],
        }
        for reading in assessment.readings
    ]


def _finite(value: float | None) -> float | str | None:
    """JSON has no word for what is no number."""
    if value is None or abs(value) < float("inf"):
        return value
    return str(value)
