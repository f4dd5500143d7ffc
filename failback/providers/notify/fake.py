"""A notifier that keeps what it was given."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from failback.models.messages import Address, Delivery, DeliveryPlan, Message
from failback.providers.faults import Call, Faults


class Told(NamedTuple):
    """One delivered message."""

    channel: str
    message: Message


class FakeNotifier(Faults):
    """Delivers into `.told`. An injected failure becomes a failed delivery.

    Args:
        channels: names of the channels; each hears every message.
        deadline_seconds: of every channel.
        give_up_seconds: for how long a failing channel is tried.
        calls: where calls are recorded.
    """

    def __init__(
        self,
        *,
        channels: Sequence[str] = ("operators",),
        deadline_seconds: float = 30.0,
        give_up_seconds: float = 3600.0,
        calls: list[Call] | None = None,
    ) -> None:
        super().__init__("notifier", calls)
        self.channels = channels
        self.deadline_seconds = deadline_seconds
        self.give_up_seconds = give_up_seconds
        self.retryable = True
        self.told: list[Told] = []

    @property
    def messages(self) -> list[Message]:
        """What was delivered, in order."""
        return [told.message for told in self.told]

    def plan(self, message: Message) -> DeliveryPlan:
        """See `Notifier.plan`."""
        self._record("plan", (message,))
        return DeliveryPlan(
            addresses=tuple(
                Address(channel=name, deadline_seconds=self.deadline_seconds)
                for name in self.channels
            ),
            give_up_seconds=self.give_up_seconds,
        )

    async def deliver(self, channel: str, message: Message) -> Delivery:
        """See `Notifier.deliver`. What it was given before is kept once."""
        failure = await self._passed("deliver", channel, message)
        delivery = Delivery(
            channel=channel,
            kind=message.kind.value,
            key=message.key,
            rollback_id=message.rollback_id,
            delivered=failure is None,
            occurred_at=message.occurred_at,
            delivered_at=None if failure else datetime.now(UTC),
            detail=str(failure) if failure else "kept",
            retryable=failure is not None and self.retryable,
        )
        told = Told(channel, message)
        if delivery.delivered and told not in self.told:
            self.told.append(told)
        return delivery

    async def aclose(self) -> None:
        """See `Notifier.aclose`."""
        await self._called("aclose")
