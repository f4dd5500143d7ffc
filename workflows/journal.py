"""What a rollback writes into the audit log: decisions, its start and its end. Nobody waits."""

import asyncio
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from failback.decision.matrix import DATA_CORRUPTION
    from failback.models.audit import EntryKind, NewEntry
    from failback.models.recovery import GateAnswer
    from failback.models.rollback import RecordedDecision, RollbackRequest, RollbackResult
    from failback.models.sync import VerifyReport
from workflows.recording import record

AUDIT = "audit"
"""Patch: rollbacks that 0.1.0 began write nothing into the audit log."""


class Journal:
    """Entries about one rollback.

    Args:
        request: of the rollback; a child's story is told by its parent, a rehearsal has none.
    """

    def __init__(self, request: RollbackRequest) -> None:
        self._request = request
        self._starting: list[asyncio.Task[None]] = []
        self._count = 0

    def started(self) -> None:
        """It acts from now on."""
        request = self._request
        self._write(
            EntryKind.ROLLBACK,
            "started",
            request.requested_by,
            event="started",
            level=request.level.value,
            reason=request.reason,
            evidence=request.evidence,
        )

    def decided(self, entry: RecordedDecision) -> None:
        """Somebody decided something about it, whether or not it counts."""
        self._count += 1
        self._write(
            EntryKind.APPROVAL,
            f"decision/{self._count}",
            entry.who,
            verb=entry.verb,
            role=entry.role,
            comment=entry.comment,
            counted=entry.counted,
            why_not=entry.why_not,
            plan_hash=entry.plan_hash,
            via=entry.via,
        )

    def gate_answered(self, answer: GateAnswer, objection: str) -> None:
        """An operator's answer at a gate, whether or not it counts; a child's is told as well."""
        if self._request.dry_run:
            return
        self._append(
            EntryKind.APPROVAL,
            f"gate/{answer.gate}/{workflow.now().isoformat()}",
            answer.who,
            verb=answer.verb.value,
            gate=answer.gate,
            role=answer.role,
            reason=answer.reason[:1000],
            counted=not objection,
            why_not=objection,
        )

    def replanned(self, request: RollbackRequest, plan_hash: str, voided: int) -> None:
        """What is to be approved has changed."""
        self._request = request
        self._count += 1
        self._write(
            EntryKind.APPROVAL,
            f"decision/{self._count}",
            request.requested_by,
            verb="replan",
            reason=request.reason,
            plan_hash=plan_hash,
            voided=voided,
        )

    def expired(self, note: str, outcome: str) -> None:
        """Too few people approved in time."""
        self._write(EntryKind.APPROVAL, "expired", "", verb="expire", why=note, outcome=outcome)

    def ended(self, result: RollbackResult | None, phase: str, error: str | None) -> None:
        """It does nothing more."""
        facts: dict[str, Any] = {"event": "ended", "phase": phase, "error": error}
        if result is not None:
            facts |= {
                "success": result.success,
                "execution_seconds": result.execution_seconds,
                "lost_rows": result.data_loss.lost_rows,
                "tail": result.data_loss.tail,
                "synced_records": result.synced_records,
                "availability": result.service_availability,
                "escalated": result.escalated,
                "emergency_action": result.emergency_action,
            }
        self._write(EntryKind.ROLLBACK, "ended", self._request.requested_by, **facts)

    def corrupted(self, report: VerifyReport) -> None:
        """An exact comparison found rows that differ: an event that the decision counts."""
        self._write(
            EntryKind.EVENT,
            "corruption",
            "failback",
            subject=DATA_CORRUPTION,
            rollback_id=self._request.rollback_id,
            missing=report.missing,
            extra=report.extra,
            different=report.different,
            tables=[table.table for table in report.tables if not table.equal],
        )

    async def settled(self) -> None:
        """Wait until everything has its own workflow: they outlive this one."""
        if self._starting:
            await asyncio.gather(*self._starting, return_exceptions=True)

    def _write(self, kind: EntryKind, name: str, who: str, subject: str = "", **facts: Any) -> None:
        request = self._request
        if request.is_child or request.dry_run or not workflow.patched(AUDIT):
            return
        self._append(kind, name, who, subject, **facts)

    def _append(
        self, kind: EntryKind, name: str, who: str, subject: str = "", **facts: Any
    ) -> None:
        rollback_id = self._request.rollback_id
        entry = NewEntry(
            kind=kind,
            key=f"{rollback_id}/{name}",
            at=workflow.now(),
            who=who,
            subject=subject or rollback_id,
            body=facts,
        )
        self._starting.append(asyncio.create_task(record([entry])))
