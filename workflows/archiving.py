"""Archiving: keeps the change archive seconds behind the target while the estate is armed."""

import asyncio
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.archive import ArchiveActivities
    from failback.models.archive import (
        ArchivingRequest,
        KeepArchivedReport,
        KeepArchivedRequest,
    )
    from failback.models.messages import Message, MessageKind
from workflows import options
from workflows.telling import tell
from workflows.timeline import explained

_STRETCH_SECONDS = 300.0
"""One activity's share; how far the archive has got stands in the store."""
_AGAIN_SECONDS = 30.0
"""Between two stretches that did not go well."""


@workflow.defn(name="Archiving")
class Archiving:
    """Archives until it is cancelled.

    What stands in its way is never a reason to end: people are told once, and it goes on trying.
    """

    @workflow.init
    def __init__(self, request: ArchivingRequest) -> None:
        self._state = request

    @workflow.run
    async def run(self, request: ArchivingRequest) -> None:
        """Stretch after stretch, with a fresh history every now and then."""
        del request
        while not workflow.info().is_continue_as_new_suggested():
            report = await self._stretch()
            if workflow.cancellation_reason() is not None:
                # A cancel was delivered to an activity that had just ended by itself.
                raise asyncio.CancelledError
            await self._note(report)
            if report.problem:
                await workflow.sleep(_AGAIN_SECONDS)
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(self._state)

    async def _stretch(self) -> KeepArchivedReport:
        try:
            return await workflow.execute_activity_method(
                ArchiveActivities.keep_archived,
                KeepArchivedRequest(
                    estate=self._state.estate,
                    interval_seconds=self._state.interval_seconds,
                    run_seconds=_STRETCH_SECONDS,
                    alert_seconds=self._state.alert_seconds,
                ),
                **options.persistent(),
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return KeepArchivedReport(problem=explained(error)[0])

    async def _note(self, report: KeepArchivedReport) -> None:
        """Remember what a stretch came to, and tell people what they have not been told."""
        now, known = workflow.now(), self._state
        since = known.problem_at if report.problem and known.problem else None
        self._state = known.model_copy(
            update={
                "rounds": known.rounds + report.rounds,
                "problem": report.problem,
                "problem_at": (since or now) if report.problem else None,
                "gap": known.gap if report.problem else report.gap,
                "last_position": report.last_position or known.last_position,
            }
        )
        self._tell()
        if report.problem and since is None:
            await self._say("behind", now, "changes are not archived", report.problem, report.cure)
        elif not report.problem and known.gap is not None and report.gap not in {known.gap, ""}:
            await self._say(
                "gap",
                now,
                "changes are missing from the archive",
                report.gap,
                "Take a backup now (failback backup now): it can be followed.",
            )

    async def _say(self, what: str, at: datetime, subject: str, *text: str) -> None:
        await tell(
            Message(
                kind=MessageKind.ARCHIVE_BEHIND,
                key=f"archive/{what}/{at.isoformat()}",
                estate=self._state.estate,
                subject=subject,
                text=" ".join(each for each in text if each),
                severity="critical",
                occurred_at=at,
                facts={"archived up to": self._state.last_position},
            )
        )

    def _tell(self) -> None:
        """The story so far, in Temporal's own UI."""
        said = f"{self._state.rounds} rounds, archived up to {self._state.last_position}"
        if self._state.problem:
            said = f"{said}; not archived since: {self._state.problem}"
        if self._state.gap:
            said = f"{said}; {self._state.gap}"
        workflow.set_current_details(said)

    @workflow.query
    def progress(self) -> ArchivingRequest:
        """What is known so far, the running stretch not included."""
        return self._state
