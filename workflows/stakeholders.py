"""What a rollback tells people, and when: never a reason for it to wait."""

import asyncio
import contextlib
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.notifications import NotificationActivities
    from failback.models.common import Outcome
    from failback.models.messages import (
        DeliverRequest,
        Delivery,
        DeliveryReport,
        Message,
        MessageKind,
    )
    from failback.models.recovery import RecoveryGate
    from failback.models.requests import NotifyRequest
    from failback.models.rollback import RollbackRequest, RollbackResult
    from failback.models.traffic import CheckResult
from workflows import options
from workflows.post_mortem import start_post_mortem
from workflows.telling import Notified, notification
from workflows.timeline import Step, explained

MESSAGES = "messages"
"""Patch: rollbacks that 0.1.0 began tell lines of text to the channels of their plan."""

_HASH_SHOWN = 12
"""Characters of a plan's hash that people read and type."""

_LISTENING_SECONDS = 1.0
"""For so long the notify step waits to hear what was delivered; then delivery goes on alone."""


class Stakeholders:
    """Tells of one rollback. What is told is started, not waited for.

    Args:
        request: of the rollback; a child tells only that traffic has moved, its parent the rest.
    """

    def __init__(self, request: RollbackRequest) -> None:
        self._request = request
        self._starting: list[asyncio.Task[object]] = []

    @property
    def _whole(self) -> bool:
        """Whether this is the rollback that people know, and not its child or a rehearsal."""
        request = self._request
        return not (request.is_child or request.dry_run) and workflow.patched(MESSAGES)

    def replanned(self, request: RollbackRequest) -> None:
        """What is told from now on is about another plan or another reason."""
        self._request = request

    def started(self) -> None:
        """The rollback acts from now on."""
        if not self._whole:
            return
        request = self._request
        self._say(
            MessageKind.ROLLBACK_STARTED,
            "started",
            f"level {request.level.value} rollback has started",
            "The service goes back to the source.",
            severity="warning",
            follow=f"failback rollback watch {request.rollback_id}",
        )

    def approval_needed(self, expires_at: datetime, plan_hash: str = "") -> None:
        """People have to decide.

        Args:
            expires_at: until when.
            plan_hash: of what is to be approved; another plan is asked about anew.
        """
        if not self._whole:
            return
        request, policy = self._request, self._request.plan.approval
        plan = plan_hash[:_HASH_SHOWN]
        command = f"failback rollback approve {request.rollback_id} --as NAME --role ROLE"
        self._say(
            MessageKind.APPROVAL_NEEDED,
            "/".join(part for part in ("approval", plan) if part),
            f"level {request.level.value} rollback waits for approval",
            "Nothing has moved yet. It begins when enough people have approved it.",
            severity="critical",
            plan_hash=plan_hash,
            approvals=f"{policy.quorum} of {', '.join(policy.roles) or 'anybody known'}",
            until=f"{expires_at:%F %T} UTC",
            plan=plan,
            approve=command,
            reject=command.replace("approve", "reject"),
        )

    def gate_waits(self, gate: RecoveryGate) -> None:
        """A recovery waits for an operator's answer, whoever began it."""
        request = self._request
        if request.dry_run:
            return
        command = f"failback recovery go-on {gate.gate} --as NAME --role ROLE"
        self._say(
            MessageKind.APPROVAL_NEEDED,
            f"gate/{gate.gate}",
            f"recovery waits at gate {gate.gate}",
            gate.plan,
            severity="critical",
            before=gate.last_detail,
            loss="not known" if gate.loss_seconds is None else f"{gate.loss_seconds:.0f} s",
            see="failback recovery status",
            go_on=command,
        )

    def failed_early(self, error: str) -> None:
        """The plan failed, and the rollback goes on for a time that nobody knows."""
        if self._whole:
            self._say(
                MessageKind.ROLLBACK_FAILED,
                "failed",
                "the rollback's plan failed",
                f"{error}. It goes on with what is left to do.",
                severity="critical",
            )

    def withdrawn(self, why: str) -> None:
        """It ended before anything moved."""
        if self._whole:
            self._say(
                MessageKind.ROLLBACK_WITHDRAWN,
                "ended",
                "the rollback was withdrawn",
                f"{why}. Nothing has moved.",
            )

    def ended(self, result: RollbackResult) -> None:
        """The rollback is over: people are told, and its post-mortem begins."""
        if not self._whole:
            return
        self._starting.append(asyncio.create_task(start_post_mortem(result)))
        loss = result.data_loss
        lost = "unknown" if loss.lost_rows is None else str(loss.lost_rows)
        share = result.service_availability
        self._say(
            MessageKind.ROLLBACK_SUCCEEDED if result.success else MessageKind.ROLLBACK_FAILED,
            "ended",
            "is back on the source" if result.success else "the rollback failed",
            result.error or "The source serves, and the rollback has done all of its work.",
            severity="info" if result.success else "critical",
            took=f"{result.execution_seconds:.1f} s",
            lost_rows=f"{lost}, tail {loss.tail}",
            availability="not measured" if share is None else f"{share:.2%}",
            report=f"failback rollback report {result.rollback_id}",
        )

    async def moved(
        self, step: Step, budget: float, subject: str, text: str, *, error: bool, final: bool
    ) -> None:
        """The level's notify step.

        Args:
            step: told what was delivered, or that delivery goes on.
            budget: of the step, in seconds.
            subject: one line.
            text: what people need to know.
            error: whether the plan failed.
            final: whether the rollback has nothing left to do, so that this is its last word.
        """
        if not workflow.patched(MESSAGES):
            await self._told_as_0_1_0(step, budget, subject, text)
            return
        kind, name = MessageKind.TRAFFIC_RESTORED, "restored"
        if error:
            kind, name = MessageKind.ROLLBACK_FAILED, "failed"
        elif final:
            kind = MessageKind.ROLLBACK_SUCCEEDED
        message = self._message(
            kind,
            "ended" if final else name,
            subject,
            text,
            severity="critical" if error else "info",
        )
        if self._request.dry_run:
            await self._rehearsed(step, message)
            return
        told = await notification(message)
        if not final or told is None:
            step.observed(Outcome.SUCCEEDED, "being told by a workflow of its own")
            return
        report = await _heard(told, min(_LISTENING_SECONDS, budget))
        if report is None:
            step.observed(Outcome.INCONCLUSIVE, "not every channel took it yet; delivery goes on")
        else:
            _observe(step, report.deliveries)

    async def settled(self) -> None:
        """Wait until everything that was said has its own workflow: they outlive this one."""
        if self._starting:
            await asyncio.gather(*self._starting, return_exceptions=True)

    def _say(
        self,
        kind: MessageKind,
        name: str,
        subject: str,
        text: str,
        *,
        severity: str = "info",
        plan_hash: str = "",
        **facts: str,
    ) -> None:
        message = self._message(kind, name, subject, text, severity=severity, facts=facts)
        message = message.model_copy(update={"plan_hash": plan_hash})
        self._starting.append(asyncio.create_task(notification(message)))

    def _message(
        self,
        kind: MessageKind,
        name: str,
        subject: str,
        text: str,
        *,
        severity: str,
        facts: dict[str, str] | None = None,
    ) -> Message:
        request = self._request
        estate = request.plan.estate
        return Message(
            kind=kind,
            key=f"{request.rollback_id}/{name}",
            estate=estate,
            subject=subject if subject.startswith(f"{estate}: ") else f"{estate}: {subject}",
            text=text,
            severity=severity,
            rollback_id=request.rollback_id,
            level=request.level.value,
            occurred_at=workflow.now(),
            facts={
                "rollback": f"{request.rollback_id}, level {request.level.value}",
                "reason": request.reason[:1000],
                "asked by": request.requested_by,
                **{key.replace("_", " "): value for key, value in (facts or {}).items() if value},
            },
        )

    async def _rehearsed(self, step: Step, message: Message) -> None:
        """In a dry run: the ports only say whom they would tell."""
        plan = await workflow.execute_local_activity_method(
            NotificationActivities.plan_delivery, message, **options.switch(10.0)
        )
        told = [
            await workflow.execute_activity_method(
                NotificationActivities.deliver,
                DeliverRequest(message=message, address=address),
                **options.courier(10.0),
            )
            for address in plan.addresses
        ]
        _observe(step, tuple(told))

    async def _told_as_0_1_0(self, step: Step, budget: float, subject: str, text: str) -> None:
        told = await asyncio.gather(
            *(
                self._notify(channel, subject, text, budget)
                for channel in self._request.plan.stakeholders
            )
        )
        deaf = [one for one in told if one.outcome is not Outcome.SUCCEEDED]
        step.observed(
            Outcome.INCONCLUSIVE if deaf else Outcome.SUCCEEDED,
            "; ".join(f"{one.name}: {one.detail}" for one in deaf) or f"{len(told)} channels told",
        )

    async def _notify(self, channel: str, subject: str, text: str, budget: float) -> CheckResult:
        try:
            return await workflow.execute_activity_method(
                NotificationActivities.notify,
                NotifyRequest(
                    rollback_id=self._request.rollback_id,
                    step=f"notify/{channel}",
                    channel=channel,
                    subject=subject,
                    text=text,
                ),
                **options.courtesy(budget),
            )
        except ActivityError as error:
            return CheckResult(
                name=channel, outcome=Outcome.FAILED, detail=str(error.cause or error)
            )


async def _heard(told: Notified, seconds: float) -> DeliveryReport | None:
    """What became of a message within this time; None where delivery goes on."""
    with contextlib.suppress(TimeoutError):
        await workflow.wait_condition(told.done, timeout=timedelta(seconds=seconds))
    if not told.done():
        return None
    try:
        return await told
    except FailureError as error:
        workflow.logger.warning("a notification failed: %s", explained(error)[0])
        return None


def _observe(step: Step, deliveries: tuple[Delivery, ...]) -> None:
    deaf = [one for one in deliveries if not one.delivered]
    step.observed(
        Outcome.INCONCLUSIVE if deaf else Outcome.SUCCEEDED,
        "; ".join(f"{one.channel}: {one.detail}" for one in deaf)
        or f"{len(deliveries)} channels told",
        max((one.attempts for one in deliveries), default=1),
    )
