"""Checks and messages in a dry run."""

from failback.models.common import Outcome
from failback.models.messages import Delivery, DeliveryPlan, Message
from failback.models.traffic import CheckResult
from failback.ports import Notifier, ServiceChecks
from failback.providers.dry_run.journal import DryRunJournal

_LONGEST_TEXT = 200


class DryRunChecks:
    """Implements `ServiceChecks`: probes are real, the journey's writes are only told.

    Nothing was moved, so that what a full check saw now would say nothing about the source.
    The probes' results stand in for it, as what customers see at present.
    """

    def __init__(self, real: ServiceChecks, journal: DryRunJournal) -> None:
        self._real = real
        self._journal = journal

    async def names(self) -> tuple[str, ...]:
        """See `ServiceChecks.names`."""
        return await self._real.names()

    async def check(self) -> tuple[CheckResult, ...]:
        """See `ServiceChecks.check`."""
        probes = await self._real.probe()
        failing = [probe.name for probe in probes if probe.outcome is not Outcome.SUCCEEDED]
        self._journal.would(f"check {', '.join(await self._real.names())} on the source")
        if failing:
            self._journal.observed(f"before any change these do not answer: {', '.join(failing)}")
        return tuple(
            CheckResult(name=name, outcome=Outcome.SUCCEEDED, detail="dry run: not checked")
            for name in await self._real.names()
        )

    async def probe(self) -> tuple[CheckResult, ...]:
        """See `ServiceChecks.probe`; read-only, so that it is real."""
        return await self._real.probe()

    async def aclose(self) -> None:
        """See `ServiceChecks.aclose`."""
        await self._real.aclose()


class DryRunNotifier:
    """Implements `Notifier`: nobody is told."""

    def __init__(self, real: Notifier, journal: DryRunJournal) -> None:
        self._real = real
        self._journal = journal

    def plan(self, message: Message) -> DeliveryPlan:
        """See `Notifier.plan`."""
        return self._real.plan(message)

    async def deliver(self, channel: str, message: Message) -> Delivery:
        """See `Notifier.deliver`."""
        body = " ".join(message.text.split())[:_LONGEST_TEXT]
        self._journal.would(f'tell {channel} "{message.subject}": {body}')
        return Delivery(
            channel=channel,
            kind=message.kind.value,
            key=message.key,
            rollback_id=message.rollback_id,
            delivered=True,
            occurred_at=message.occurred_at,
            delivered_at=message.occurred_at,
            detail="dry run",
        )

    async def aclose(self) -> None:
        """See `Notifier.aclose`."""
        await self._real.aclose()
