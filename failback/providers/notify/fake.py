"""A notifier that keeps what it was given."""

from typing import NamedTuple

from failback.models.common import Outcome
from failback.models.traffic import CheckResult
from failback.providers.faults import Call, Faults


class Message(NamedTuple):
    """One delivered message."""

    channel: str
    subject: str
    text: str


class FakeNotifier(Faults):
    """Delivers into `.messages`. An injected failure becomes a failed result."""

    def __init__(self, *, calls: list[Call] | None = None) -> None:
        super().__init__("notifier", calls)
        self.messages: list[Message] = []

    async def notify(self, channel: str, subject: str, text: str) -> CheckResult:
        """See `Notifier.notify`."""
        failure = await self._passed("notify", channel, subject, text)
        if failure is not None:
            return CheckResult(name=channel, outcome=Outcome.FAILED, detail=str(failure))
        self.messages.append(Message(channel, subject, text))
        return CheckResult(name=channel, outcome=Outcome.SUCCEEDED, detail="kept")

    async def aclose(self) -> None:
        """See `Notifier.aclose`."""
        await self._called("aclose")
