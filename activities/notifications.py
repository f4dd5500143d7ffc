"""Tells stakeholders what happens. A dead channel never delays a rollback."""

from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.failures import maps_errors
from failback.errors import FailbackError, UndeliveredMessageError
from failback.models.audit import EntryKind
from failback.models.common import Outcome
from failback.models.messages import (
    DeliverRequest,
    Delivery,
    DeliveryPlan,
    Message,
    MessageKind,
)
from failback.models.requests import NotifyRequest
from failback.models.traffic import CheckResult
from failback.ports import AuditLog, Notifier

NOTIFICATION_SECONDS = "failback_notification_seconds"
"""The metric of every delivery's time (docs/telemetry.md)."""


class NotificationActivities:
    """Delivers messages.

    Args:
        notifier: knows the estate's channels.
        audit: holds earlier deliveries; None where there is no log.
    """

    def __init__(self, notifier: Notifier, audit: AuditLog | None = None) -> None:
        self._notifier = notifier
        self._audit = audit

    @activity.defn
    @maps_errors
    async def plan_delivery(self, message: Message) -> DeliveryPlan:
        """Where a message goes, by the configuration of this worker."""
        return self._notifier.plan(message)

    @activity.defn
    async def deliver(self, request: DeliverRequest) -> Delivery:
        """Try one channel once.

        Raises:
            ApplicationError: UndeliveredMessageError; retryable where a later try may help.
        """
        message, address = request.message, request.address
        attempt = activity.info().attempt
        newer = await self._overtaken_by(request) if attempt > 1 else ""
        if newer:
            raise _failure(f"overtaken by {newer}", attempt, retryable=False)
        delivery = await self._notifier.deliver(address.channel, message)
        if not delivery.delivered:
            raise _failure(
                delivery.detail,
                attempt,
                retryable=delivery.retryable,
                wait_seconds=delivery.retry_after_seconds,
            )
        took = delivery.took_seconds or 0.0
        in_time = took <= address.deadline_seconds
        activity.metric_meter().create_histogram_float(
            NOTIFICATION_SECONDS, "From what happened to its delivery on a channel.", "s"
        ).record(
            max(took, 0.0),
            {
                "channel": address.channel,
                "kind": message.kind.value,
                "in_time": str(in_time).lower(),
            },
        )
        return delivery.model_copy(
            update={
                "attempts": attempt,
                "audiences": address.audiences,
                "deadline_seconds": address.deadline_seconds,
                "in_time": in_time,
            }
        )

    @activity.defn
    @maps_errors
    async def notify(self, request: NotifyRequest) -> CheckResult:
        """Deliver a line of text, as rollbacks that 0.1.0 began still ask for it."""
        delivery = await self._notifier.deliver(
            request.channel,
            Message(
                kind=MessageKind.TRAFFIC_RESTORED,
                key=request.key,
                estate="",
                subject=request.subject,
                text=request.text,
                rollback_id=request.rollback_id,
                occurred_at=datetime.now(UTC),
            ),
        )
        return CheckResult(
            name=request.channel,
            outcome=Outcome.SUCCEEDED if delivery.delivered else Outcome.FAILED,
            detail=delivery.detail,
        )

    async def _overtaken_by(self, request: DeliverRequest) -> str:
        """What this channel has been told since about the same thing, where that says more.

        A channel that was away must not hear of a rollback's start after it heard of its end.
        """
        message = request.message
        if self._audit is None or not message.rollback_id:
            return ""
        try:
            told = await self._audit.read([EntryKind.NOTIFICATION], subject=message.rollback_id)
        except FailbackError:
            return ""
        for entry in told:
            found = entry.body.get("delivery")
            if not isinstance(found, dict):
                continue
            delivery = Delivery.model_validate(found)
            kind = MessageKind(delivery.kind)
            if (
                delivery.delivered
                and delivery.channel == request.address.channel
                and kind.about_review == message.kind.about_review
                and kind.stage > message.kind.stage
            ):
                return kind.value
        return ""


def _failure(
    detail: str, attempt: int, *, retryable: bool, wait_seconds: float | None = None
) -> ApplicationError:
    return ApplicationError(
        detail,
        {"attempt": attempt},
        type=UndeliveredMessageError.__name__,
        non_retryable=not retryable,
        next_retry_delay=timedelta(seconds=wait_seconds) if wait_seconds else None,
    )
