"""One post-mortem: written when its rollback has ended, and asked for until a person is done."""

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.post_mortem import PostMortemActivities
    from failback.models.audit import EntryKind, NewEntry
    from failback.models.messages import Message, MessageKind
    from failback.models.post_mortem import (
        Completion,
        PostMortemRequest,
        PostMortemStatus,
        WritePostMortemRequest,
        WrittenPostMortem,
    )
    from failback.models.rollback import Decision, RollbackResult
    from failback.temporal import ids
from workflows import options
from workflows.recording import record
from workflows.telling import tell

_SETTLED_SECONDS = 600.0
"""By then messages have arrived or are late, so that the document is written once more."""
_LONGEST = timedelta(days=90)
"""Somebody who has not answered for so long will not."""
_WRITE_SECONDS = 7 * 86_400.0


@workflow.defn(name="PostMortem")
class PostMortem:
    """Writes the document, reminds people of it, and measures when they were done."""

    @workflow.init
    def __init__(self, request: PostMortemRequest) -> None:
        self._result = request.result
        self._written: WrittenPostMortem | None = None
        self._completion: Completion | None = None
        self._reminded = 0

    @workflow.run
    async def run(self, request: PostMortemRequest) -> PostMortemStatus:
        """See the post-mortem of one rollback through."""
        await self._write()
        if not await self._completed_by(self._after(_SETTLED_SECONDS)):
            await self._write()
            await self._remind_until_completed()
        if self._completion is not None:
            await self._write()
            await self._close(self._completion)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.status()

    @workflow.signal
    def complete(self, decision: Decision) -> None:
        """A person is done with the document; the first one counts."""
        if decision.who:
            self._complete(decision)

    @workflow.update
    def mark_complete(self, decision: Decision) -> PostMortemStatus:
        """The same, with an answer."""
        self._complete(decision)
        return self.status()

    @mark_complete.validator
    def _may_complete(self, decision: Decision) -> None:
        if not decision.who:
            raise ApplicationError(
                "A post-mortem is completed by somebody with a name.", type="PostMortemError"
            )
        if self._completion is not None:
            raise ApplicationError(
                f"{self._completion.who} completed it at {self._completion.at:%F %T} UTC.",
                type="PostMortemError",
            )

    @workflow.query
    def status(self) -> PostMortemStatus:
        """Where it stands."""
        written, done = self._written, self._completion
        due = written.due_at if written else None
        in_time = done.at <= due if due is not None and done is not None else None
        return PostMortemStatus(
            rollback_id=self._result.rollback_id,
            estate=self._result.estate,
            ended_at=self._result.ended_at,
            due_at=due,
            markdown=written.markdown if written else "",
            html=written.html if written else "",
            findings=written.findings if written else 0,
            reminded=self._reminded,
            completion=done,
            in_time=in_time,
        )

    def _complete(self, decision: Decision) -> None:
        if self._completion is None:
            self._completion = Completion(
                who=decision.who,
                role=decision.role,
                comment=decision.comment[:1000],
                at=workflow.now(),
            )

    async def _write(self) -> None:
        """Write the document with what is known by now; people go on without it if need be."""
        try:
            self._written = await workflow.execute_activity_method(
                PostMortemActivities.write_post_mortem,
                WritePostMortemRequest(result=self._result, completion=self._completion),
                **options.courier(_WRITE_SECONDS if self._written is None else 3600.0),
            )
        except ActivityError:
            workflow.logger.exception("the post-mortem could not be written")
        workflow.set_current_details(
            f"**Post-mortem of {self._result.rollback_id}**: "
            f"{'complete' if self._completion else 'open'}, "
            f"{self._written.markdown if self._written else 'not written'}"
        )

    async def _remind_until_completed(self) -> None:
        """Remind at the configured times, then again and again, until somebody is done."""
        written = self._written
        times = list(written.remind_after_seconds) if written else [86_400.0]
        every = written.remind_every_seconds if written else 86_400.0
        after = times[0] if times else every
        while timedelta(seconds=after) < _LONGEST:
            if await self._completed_by(self._after(after)):
                return
            self._reminded += 1
            await tell(self._reminder())
            later = [one for one in times if one > after]
            after = later[0] if later else after + every

    async def _completed_by(self, moment: datetime) -> bool:
        """Wait for a person, at most until a moment."""
        left = moment - workflow.now()
        if left > timedelta(0):
            try:
                await workflow.wait_condition(
                    lambda: self._completion is not None,
                    timeout=left,
                    timeout_summary="post-mortem still open",
                )
            except TimeoutError:
                return False
        return self._completion is not None

    async def _close(self, done: Completion) -> None:
        """Keep on record who completed it and whether in time, and tell people."""
        status = self.status()
        took = (done.at - self._result.ended_at).total_seconds()
        await record(
            [
                NewEntry(
                    kind=EntryKind.POST_MORTEM,
                    key=f"{self._result.rollback_id}/completed",
                    at=done.at,
                    who=done.who,
                    subject=self._result.rollback_id,
                    body={
                        "role": done.role,
                        "comment": done.comment,
                        "took_seconds": took,
                        "in_time": status.in_time,
                        "reminded": self._reminded,
                    },
                )
            ]
        )
        if self._reminded:
            await tell(
                self._message(
                    MessageKind.POST_MORTEM_COMPLETED,
                    "completed",
                    f"the post-mortem of {self._result.rollback_id} is complete",
                    f"Completed by {done.who}, {took / 3600:.1f} hours after the rollback's end.",
                )
            )

    def _reminder(self) -> Message:
        due = self._written.due_at if self._written else self._after(86_400.0)
        left = (due - workflow.now()).total_seconds() / 3600
        when = f"due in {left:.0f} hours" if left > 0 else f"overdue by {-left:.0f} hours"
        command = f"failback post-mortem complete {self._result.rollback_id} --as NAME"
        return self._message(
            MessageKind.POST_MORTEM_DUE,
            f"reminder-{self._reminded}",
            f"the post-mortem of {self._result.rollback_id} is {when}",
            "Its facts are written; the causes and the actions are for people to find.",
            severity="info" if left > 0 else "warning",
            document=self._written.markdown if self._written else "not written",
            complete=command,
        )

    def _message(
        self,
        kind: MessageKind,
        name: str,
        subject: str,
        text: str,
        severity: str = "info",
        **facts: str,
    ) -> Message:
        return Message(
            kind=kind,
            key=f"{self._result.rollback_id}/post-mortem/{name}",
            estate=self._result.estate,
            subject=f"{self._result.estate}: {subject}",
            text=text,
            severity=severity,
            rollback_id=self._result.rollback_id,
            occurred_at=workflow.now(),
            facts=facts,
        )

    def _after(self, seconds: float) -> datetime:
        return self._result.ended_at + timedelta(seconds=seconds)


async def start_post_mortem(result: RollbackResult) -> None:
    """Start the post-mortem of a rollback that has ended; returns once it exists."""
    try:
        await workflow.start_child_workflow(
            PostMortem.run,
            PostMortemRequest(result=result),
            id=ids.post_mortem_workflow(result.rollback_id),
            parent_close_policy=ParentClosePolicy.ABANDON,
            cancellation_type=ChildWorkflowCancellationType.ABANDON,
            task_timeout=workflow.info().task_timeout,
            memo={"estate": result.estate, "rollback_id": result.rollback_id},
        )
    except WorkflowAlreadyStartedError:
        workflow.logger.info("its post-mortem exists already")
