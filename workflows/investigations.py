"""Investigations: what a person looks into, while migration activities are paused."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.response import ResponseActivities
    from failback.models.decision import DecisionKind
    from failback.models.responses import (
        CloseInvestigation,
        Decided,
        Investigation,
        MigrationPauseRequest,
        ResponseState,
    )
from workflows import options
from workflows.recording import record
from workflows.response_records import Records
from workflows.telling import tell

Aside = Callable[[Coroutine[Any, Any, None]], None]

_PAUSE_SECONDS = 60.0


class Investigations:
    """At most one is open at a time. A hook that does not answer delays no decision.

    Args:
        estate: whose migration is paused.
        state: holds the investigation that is open.
        records: makes what is written and told.
        aside: begins what nobody waits for.
    """

    def __init__(self, estate: str, state: ResponseState, records: Records, aside: Aside) -> None:
        self._estate = estate
        self._state = state
        self._records = records
        self._aside = aside
        # Pausing and letting go on both wait for a hook, and must come in their order.
        self._hook = asyncio.Lock()

    def open(self, decided: Decided) -> None:
        """Pause migration activities, and leave it open until a person closes it."""
        opened = self._records.opened(decided, workflow.uuid4().hex[:4])
        self._state.investigation = opened
        self._aside(tell(self._records.investigation_opened(opened, self._state)))
        self._aside(self._paused(opened))

    def objection(self, closing: CloseInvestigation) -> str:
        """Why a person may not close what is open; empty where they may."""
        people = self._state.policy.people if self._state.policy is not None else {}
        if self._state.investigation is None:
            return "No investigation is open."
        if not closing.who:
            return "Closing an investigation needs a name in `who`."
        if people and closing.who not in people:
            return (
                f"Nobody known is called {closing.who!r}. Known: {', '.join(sorted(people))}. "
                "Add the person to approvals.people, or close it as one of them."
            )
        return ""

    async def close(self, closing: CloseInvestigation) -> Investigation | None:
        """Close what is open; None where somebody else was faster."""
        async with self._hook:
            investigation = self._state.investigation
            if investigation is None:
                return None
            resumed = ""
            if closing.resume and self._pauses:
                resumed = await self._told(investigation, resume=True)
            closed = investigation.model_copy(
                update={
                    "closed_at": workflow.now(),
                    "closed_by": closing.who,
                    "comment": closing.comment[:1000],
                    "resumed": resumed,
                }
            )
            self._aside(record([self._records.investigation(closed)]))
            self._state.acknowledged = DecisionKind.PAUSE_AND_INVESTIGATE
            self._state.investigation = None
            return closed

    @property
    def _pauses(self) -> bool:
        return self._state.policy is not None and self._state.policy.pauses

    async def _paused(self, opened: Investigation) -> None:
        async with self._hook:
            if self._pauses:
                paused = await self._told(opened, resume=False)
                opened = opened.model_copy(update={"paused": paused})
                self._state.investigation = opened
        await record([self._records.investigation(opened)])

    async def _told(self, investigation: Investigation, *, resume: bool) -> str:
        """What came of asking for a pause, or for its end."""
        try:
            report = await workflow.execute_activity_method(
                ResponseActivities.pause_migration,
                MigrationPauseRequest(
                    estate=self._estate,
                    investigation_id=investigation.investigation_id,
                    reason=investigation.reason,
                    resume=resume,
                ),
                **options.effect(_PAUSE_SECONDS),
            )
        except ActivityError as error:
            return f"failed: {error.cause or error}"
        return report.detail if report.done else f"failed: {report.detail}"
