"""Writes post-mortems from what is on record about a rollback."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError
from temporalio import activity

from activities.evidence import Gather
from activities.failures import maps_errors
from failback.errors import FailbackError
from failback.models.audit import AuditEntry, EntryKind
from failback.models.common import Payload
from failback.models.decision import AssessmentEvidence, GatherEvidenceRequest
from failback.models.messages import Delivery
from failback.models.post_mortem import (
    AlertFact,
    DecisionFact,
    PostMortemFacts,
    WritePostMortemRequest,
    WrittenPostMortem,
)
from failback.models.responses import AUTOMATION
from failback.models.rollback import RollbackResult
from failback.ports import AuditLog
from failback.post_mortem_ports import PostMortemStore

F = TypeVar("F", bound=Payload)

_LOG = logging.getLogger(__name__)
_MOST_ALERTS = 50
_BEFORE = timedelta(hours=1)
"""Alerts and decisions that led to a rollback are looked for so long before it."""
_AFTER = timedelta(minutes=1)
"""The evidence goes on for so long after the rollback's end, to show what it changed."""
_GATHER_SECONDS = 20.0


class PostMortemWriter:
    """Brings together what is known about one rollback, and has it written.

    Args:
        store: where documents are kept.
        audit: holds alerts, decisions and deliveries; None where there is none.
        gather: reads metrics; None where there is no metric store.
    """

    def __init__(
        self, store: PostMortemStore, audit: AuditLog | None, gather: Gather | None
    ) -> None:
        self._store = store
        self._audit = audit
        self._gather = gather

    async def write(self, request: WritePostMortemRequest) -> WrittenPostMortem:
        """Write a document, or write it anew; what people wrote in it stays.

        Raises:
            PostMortemError: the store cannot keep it.
        """
        return await asyncio.to_thread(self._store.keep, await self._found(request))

    async def _found(self, request: WritePostMortemRequest) -> PostMortemFacts:
        result = request.result
        unknown: list[str] = []
        entries = await self._entries(result, unknown)
        alerts = _alerts(entries, result.rollback_id)
        evidence = await self._evidence(result, unknown)
        return PostMortemFacts(
            result=result,
            alerts=tuple(alerts[:_MOST_ALERTS]),
            alerts_total=len(alerts),
            decisions=tuple(_decisions(entries, result)),
            evidence=evidence,
            deliveries=tuple(_deliveries(entries, result.rollback_id)),
            unknown=tuple(unknown),
            written_at=datetime.now(UTC),
            due_at=result.ended_at + timedelta(seconds=self._store.due_seconds),
            completion=request.completion,
        )

    async def _entries(self, result: RollbackResult, unknown: list[str]) -> list[AuditEntry]:
        """What the audit log has of the time of a rollback, and about it."""
        if self._audit is None:
            unknown.append("alerts, decisions and messages: there is no audit log")
            return []
        kinds = (EntryKind.ALERT, EntryKind.DECISION, EntryKind.ROLLBACK)
        try:
            around = await self._audit.read(
                kinds,
                since=result.started_at - _BEFORE,
                until=result.ended_at + _AFTER,
                limit=5_000,
            )
            told = await self._audit.read(
                (EntryKind.NOTIFICATION,), subject=result.rollback_id, limit=1_000
            )
        except FailbackError as error:
            unknown.append(f"alerts, decisions and messages: {error.cause}")
            return []
        return [*around, *told]

    async def _evidence(
        self, result: RollbackResult, unknown: list[str]
    ) -> AssessmentEvidence | None:
        """The metrics until shortly after a rollback, as the store still has them."""
        if self._gather is None:
            unknown.append("metrics: no metric store is configured")
            return None
        at = min(result.ended_at + _AFTER, datetime.now(UTC))
        try:
            async with asyncio.timeout(_GATHER_SECONDS):
                return await self._gather(GatherEvidenceRequest(at=at))
        except TimeoutError:
            unknown.append(f"metrics: no answer within {_GATHER_SECONDS:g} s")
        except FailbackError as error:
            unknown.append(f"metrics: {error.cause}")
        return None


class PostMortemActivities:
    """The writer as an activity.

    Args:
        writer: brings the facts together.
    """

    def __init__(self, writer: PostMortemWriter) -> None:
        self._writer = writer

    @activity.defn
    @maps_errors
    async def write_post_mortem(self, request: WritePostMortemRequest) -> WrittenPostMortem:
        """Write one rollback's document; see `PostMortemWriter.write`."""
        return await self._writer.write(request)


def _alerts(entries: Sequence[AuditEntry], rollback_id: str) -> list[AlertFact]:
    """The alerts that a rollback was started for, or that joined it; oldest first."""
    keys: set[str] = set()
    for entry in entries:
        if entry.kind is EntryKind.ROLLBACK and entry.subject == rollback_id:
            found = entry.body.get("alerts")
            if isinstance(found, list):
                keys.update(str(key) for key in found)
    facts = [
        _read(AlertFact, entry, received_at=entry.at, source=entry.who)
        for entry in entries
        if entry.kind is EntryKind.ALERT and entry.subject in keys
    ]
    return sorted((one for one in facts if one), key=lambda one: one.received_at)


def _decisions(entries: Sequence[AuditEntry], result: RollbackResult) -> list[DecisionFact]:
    """The decisions about one rollback, and the last one before it began, which led to it."""
    named, before = [], []
    for entry in entries:
        if entry.kind is not EntryKind.DECISION:
            continue
        if entry.subject == result.rollback_id:
            named.append(entry)
        elif not entry.subject and entry.at <= result.started_at:
            before.append(entry)
    chosen = named or (before[-1:] if result.requested_by == AUTOMATION else [])
    facts = [_read(DecisionFact, entry, at=entry.at) for entry in chosen]
    return [one for one in facts if one]


def _deliveries(entries: Sequence[AuditEntry], rollback_id: str) -> list[Delivery]:
    """Every message about one rollback, in the order of what happened."""
    found = []
    for entry in entries:
        if entry.kind is not EntryKind.NOTIFICATION or entry.subject != rollback_id:
            continue
        body = entry.body.get("delivery")
        if isinstance(body, dict):
            with contextlib.suppress(ValidationError):
                found.append(Delivery.model_validate(body))
    return sorted(found, key=lambda one: (one.occurred_at, one.channel))


def _read(model: type[F], entry: AuditEntry, **more: object) -> F | None:
    """A fact from an entry's body; None where the entry is of another form."""
    try:
        return model.model_validate({**entry.body, **more})
    except ValidationError as error:
        _LOG.warning("entry %s is not what it should be: %s", entry.sequence, error.error_count())
        return None
