"""One try to tell one channel, as an activity."""

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.notifications import NotificationActivities
from failback.models.common import Outcome
from failback.models.messages import Address, DeliverRequest, Delivery, Message
from failback.models.requests import NotifyRequest
from failback.providers.notify import FakeNotifier

from support.messages import message


class Refusing(FakeNotifier):
    """A vendor that asks to be left alone for a while."""

    async def deliver(self, channel: str, message: Message) -> Delivery:
        """See `Notifier.deliver`."""
        delivery = await super().deliver(channel, message)
        return delivery.model_copy(
            update={"delivered": False, "retryable": True, "retry_after_seconds": 42.0}
        )


def request() -> DeliverRequest:
    told = message(occurred_at=datetime.now(UTC))
    return DeliverRequest(message=told, address=Address(channel="chat", deadline_seconds=30))


async def test_deliver_when_taken_then_measured_against_its_deadline() -> None:
    told = NotificationActivities(FakeNotifier())
    delivery = await ActivityEnvironment().run(told.deliver, request())
    assert (delivery.in_time, delivery.attempts, delivery.deadline_seconds) == (True, 1, 30.0)


async def test_deliver_when_the_vendor_says_when_then_tried_again_then() -> None:
    told = NotificationActivities(Refusing())
    with pytest.raises(ApplicationError) as raised:
        await ActivityEnvironment().run(told.deliver, request())
    assert raised.value.next_retry_delay == timedelta(seconds=42)
    assert not raised.value.non_retryable
    assert raised.value.type == "UndeliveredMessageError"


@pytest.mark.parametrize("retryable", [True, False])
async def test_deliver_when_refused_then_tried_again_only_where_it_may_help(
    retryable: bool,
) -> None:
    notifier = FakeNotifier()
    notifier.retryable = retryable
    notifier.fail("deliver")
    with pytest.raises(ApplicationError) as raised:
        await ActivityEnvironment().run(NotificationActivities(notifier).deliver, request())
    assert raised.value.non_retryable is not retryable


async def test_notify_when_a_rollback_of_the_first_version_asks_then_its_line_is_delivered() -> (
    None
):
    notifier = FakeNotifier()
    line = NotifyRequest(
        rollback_id="rb1-1", step="notify/chat", channel="chat", subject="back", text="tail empty"
    )
    told = NotificationActivities(notifier)
    result = await ActivityEnvironment().run(told.notify, line)
    assert (result.name, result.outcome) == ("chat", Outcome.SUCCEEDED)
    assert [(one.channel, one.message.subject) for one in notifier.told] == [("chat", "back")]
    notifier.fail("deliver")
    assert (await ActivityEnvironment().run(told.notify, line)).outcome is Outcome.FAILED
