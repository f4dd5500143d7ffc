"""Hands alerts over to Temporal: few signals for many posts, and no answer before Temporal's.

While one signal is under way, what arrives waits for the next one, so that a storm of posts costs
a handful of signals. The same alert, posted many times at once, is handed over once.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError

from failback.errors import UnreachableError
from failback.gateway.metrics import Metrics
from failback.models.alerts import Alert, AlertStatus, ReceivedAlerts
from failback.models.responses import ALERTS_PER_SIGNAL, AlertResponseRequest
from failback.temporal import ids

logger = logging.getLogger("failback.gateway")

WORKFLOW = "AlertResponse"
SIGNAL = "alerts_received"
BYTES_A_SIGNAL = 256 * 1024
"""Of JSON: Temporal refuses a payload of more than 2 MiB."""
MOST_WAITING = 50_000
"""More alerts are not kept waiting: their senders are asked to repeat."""
_TASK_SECONDS = timedelta(seconds=5)

Send = Callable[[ReceivedAlerts], Awaitable[None]]
_Key = tuple[str, AlertStatus, str]


class Intake(Protocol):
    """Takes alerts over for good."""

    async def hand_over(self, alerts: Sequence[Alert]) -> None:
        """Return once every alert is kept durably. The same ones again change nothing.

        Raises:
            UnreachableError: not all of them are known to be kept; the sender is to repeat.
        """
        ...

    async def aclose(self) -> None:
        """Hand over what waits, and end."""
        ...


@dataclass
class _Waiting:
    """One alert that is not accepted yet, and those who wait for that."""

    alert: Alert
    size: int
    done: asyncio.Future[UnreachableError | None] = field(repr=False)


class CoalescingIntake:
    """Sends what waits in batches, one batch after the other.

    Args:
        send: hands one batch over; raises UnreachableError.
        metrics: counts signals and what waits.
        timeout_seconds: after so long a batch counts as not accepted.
    """

    def __init__(self, send: Send, metrics: Metrics, timeout_seconds: float = 3.0) -> None:
        self._send = send
        self._metrics = metrics
        self._timeout = timeout_seconds
        self._pending: dict[_Key, _Waiting] = {}
        self._queue: list[_Waiting] = []
        self._sending: asyncio.Task[None] | None = None

    async def hand_over(self, alerts: Sequence[Alert]) -> None:
        """See `Intake.hand_over`."""
        if len(self._pending) + len(alerts) > MOST_WAITING:
            raise UnreachableError("Too many alerts wait for Temporal.", "Send them again later.")
        waiting = [self._entered(alert) for alert in alerts]
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())
        for one in waiting:
            # Others wait for the same future: a sender that goes away must not end it.
            error = await asyncio.shield(one.done)
            if error is not None:
                raise UnreachableError(error.cause, error.cure)

    def _entered(self, alert: Alert) -> _Waiting:
        key = (alert.key, alert.status, alert.severity)
        known = self._pending.get(key)
        if known is not None:
            return known
        entry = _Waiting(
            alert,
            len(alert.model_dump_json()),
            asyncio.get_running_loop().create_future(),
        )
        self._pending[key] = entry
        self._queue.append(entry)
        self._metrics.waiting.set(len(self._pending))
        return entry

    async def _send_all(self) -> None:
        while self._queue:
            batch = self._next_batch()
            error = await self._tried(ReceivedAlerts(alerts=tuple(one.alert for one in batch)))
            self._metrics.signals.labels("refused" if error else "accepted").inc()
            for one in batch:
                del self._pending[(one.alert.key, one.alert.status, one.alert.severity)]
                one.done.set_result(error)
            self._metrics.waiting.set(len(self._pending))

    def _next_batch(self) -> list[_Waiting]:
        count = size = 0
        for one in self._queue[:ALERTS_PER_SIGNAL]:
            size += one.size
            if count and size > BYTES_A_SIGNAL:
                break
            count += 1
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch

    async def _tried(self, received: ReceivedAlerts) -> UnreachableError | None:
        try:
            await asyncio.wait_for(self._send(received), self._timeout)
        except UnreachableError as error:
            return error
        except TimeoutError:
            return UnreachableError(
                f"Temporal has not accepted within {self._timeout:g} s.", "Send it again."
            )
        except Exception:
            # Whatever it was: senders that wait without an answer would be worse.
            logger.exception("a batch of %d alerts could not be sent", len(received.alerts))
            return UnreachableError("The alerts could not be sent to Temporal.", "Send them again.")
        return None

    async def aclose(self) -> None:
        """See `Intake.aclose`."""
        if self._sending is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._sending


class FakeIntake:
    """Keeps alerts by their key, as `AlertResponse` does, in `.alerts`; fails as it is told."""

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}
        self.calls: list[tuple[Alert, ...]] = []
        self.error: Exception | None = None

    async def hand_over(self, alerts: Sequence[Alert]) -> None:
        """See `Intake.hand_over`."""
        self.calls.append(tuple(alerts))
        if self.error is not None:
            raise self.error
        self.alerts.update((alert.key, alert) for alert in alerts)

    async def aclose(self) -> None:
        """See `Intake.aclose`."""


def signals_to_temporal(
    connected: Callable[[], Awaitable[Client]], estate: str, task_queue: str
) -> Send:
    """How a batch reaches the estate's `AlertResponse`, which is started where it is not running.

    Args:
        connected: gives the client; raises UnreachableError.
        estate: whose alerts these are.
        task_queue: of the estate's workers.
    """

    async def send(received: ReceivedAlerts) -> None:
        client = await connected()
        try:
            await client.start_workflow(
                WORKFLOW,
                AlertResponseRequest(estate=estate),
                id=ids.alert_response_workflow(estate),
                task_queue=task_queue,
                task_timeout=_TASK_SECONDS,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                start_signal=SIGNAL,
                start_signal_args=[received],
            )
        except RPCError as error:
            raise UnreachableError(
                f"Temporal does not take the alerts: {error.message}.", "Send them again."
            ) from error

    return send
