"""Tells stakeholders what happens. A dead channel never delays a rollback."""

from temporalio import activity

from activities.failures import maps_errors
from failback.models.requests import NotifyRequest
from failback.models.traffic import CheckResult
from failback.ports import Notifier


class NotificationActivities:
    """Delivers messages.

    Args:
        notifier: knows the estate's channels.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    @activity.defn
    @maps_errors
    async def notify(self, request: NotifyRequest) -> CheckResult:
        """Deliver one message to one channel; failure is a result."""
        return await self._notifier.notify(request.channel, request.subject, request.text)
