"""One message on its way to every channel, for as long as it takes and nobody waits."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.audit import AuditActivities
    from activities.notifications import NotificationActivities
    from failback.models.audit import EntryKind, NewEntry, RecordRequest
    from failback.models.messages import (
        Address,
        DeliverRequest,
        Delivery,
        DeliveryPlan,
        DeliveryReport,
        Message,
    )
from workflows import options
from workflows.timeline import explained

_PLAN_SECONDS = 60.0


@workflow.defn(name="Notification")
class Notification:
    """Delivers one message to the channels that its audiences read.

    Each channel is tried by itself, until it took the message or `messages.give_up_seconds` have
    passed; a deadline that passes meanwhile makes the delivery late, and does not end it. The
    workflow's id holds the message's key, so that one message has one of these, and a channel
    that took it is not asked again.
    """

    @workflow.init
    def __init__(self, message: Message) -> None:
        self._message = message
        self._plan = DeliveryPlan()
        self._deliveries: list[Delivery] = []

    @workflow.run
    async def run(self, message: Message) -> DeliveryReport:
        """Tell every channel, and keep on record what became of it."""
        self._plan = await workflow.execute_local_activity_method(
            NotificationActivities.plan_delivery, message, **options.switch(_PLAN_SECONDS)
        )
        self._show()
        await asyncio.gather(*(self._told(address) for address in self._plan.addresses))
        return self.deliveries()

    @workflow.query
    def deliveries(self) -> DeliveryReport:
        """What became of it so far; a channel that is still tried is not among them."""
        return DeliveryReport(deliveries=tuple(self._deliveries))

    async def _told(self, address: Address) -> None:
        """Tell one channel, and write down what became of it."""
        delivery = await self._delivered(address)
        self._deliveries.append(delivery)
        self._show()
        await self._recorded(delivery)

    async def _delivered(self, address: Address) -> Delivery:
        try:
            delivery = await workflow.execute_activity_method(
                NotificationActivities.deliver,
                DeliverRequest(message=self._message, address=address),
                **options.courier(self._plan.give_up_seconds),
            )
        except ActivityError as error:
            detail, attempts = explained(error)
            return Delivery(
                channel=address.channel,
                kind=self._message.kind.value,
                key=self._message.key,
                rollback_id=self._message.rollback_id,
                audiences=address.audiences,
                delivered=False,
                attempts=attempts,
                occurred_at=self._message.occurred_at,
                deadline_seconds=address.deadline_seconds,
                in_time=False,
                detail=detail,
            )
        return delivery

    async def _recorded(self, delivery: Delivery) -> None:
        """The record waits for its store; a delivery is never repeated because of it."""
        try:
            await workflow.execute_activity_method(
                AuditActivities.record,
                RecordRequest(entries=(entry_of(self._message, delivery),)),
                **options.courier(self._plan.give_up_seconds),
            )
        except ActivityError:
            workflow.logger.exception("a delivery could not be recorded: %s", delivery.channel)

    def _show(self) -> None:
        """Tell the story so far in Temporal's own UI."""
        done = {one.channel: one for one in self._deliveries}
        lines = [
            f"**{self._message.kind.value}**: {self._message.subject}",
            *(
                f"- {address.channel}: {_state(done.get(address.channel))}"
                for address in self._plan.addresses
            ),
        ]
        workflow.set_current_details("\n".join(lines))


def entry_of(message: Message, delivery: Delivery) -> NewEntry:
    """A delivery as the audit log holds it."""
    return NewEntry(
        kind=EntryKind.NOTIFICATION,
        key=f"{message.estate}/{message.key}/{delivery.channel}",
        at=delivery.delivered_at or workflow.now(),
        who=delivery.channel,
        subject=message.rollback_id or message.key,
        body={
            "subject": message.subject[:500],
            "severity": message.severity,
            "delivery": delivery.model_dump(mode="json"),
        },
    )


def _state(delivery: Delivery | None) -> str:
    if delivery is None:
        return "being told"
    if not delivery.delivered:
        return f"not told: {delivery.detail}"
    late = "" if delivery.in_time else ", late"
    return f"told after {delivery.took_seconds or 0.0:.1f} s{late} ({delivery.detail})"
