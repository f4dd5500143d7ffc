"""How posts become few signals, and how each sender gets its answer."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from failback.errors import UnreachableError
from failback.gateway.intake import CoalescingIntake
from failback.gateway.metrics import Metrics
from failback.models.alerts import Alert, AlertSource, AlertStatus, ReceivedAlerts

from support.webhook_bodies import NOW


def alert(number: int, status: AlertStatus = AlertStatus.FIRING) -> Alert:
    return Alert(
        source=AlertSource.GENERIC,
        fingerprint=str(number),
        name="a",
        status=status,
        starts_at=NOW,
        received_at=NOW,
    )


class Temporal:
    """Takes batches while its gate is open."""

    def __init__(self) -> None:
        self.batches: list[tuple[Alert, ...]] = []
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.error: Exception | None = None

    async def send(self, received: ReceivedAlerts) -> None:
        self.batches.append(received.alerts)
        self.asked.set()
        await self.open.wait()
        if self.error is not None:
            raise self.error


async def under_way(temporal: Temporal, *posts: list[Alert]) -> tuple[CoalescingIntake, list[Any]]:
    """Posts that wait, the first of them under way."""
    intake = CoalescingIntake(temporal.send, Metrics())
    tasks = [asyncio.create_task(intake.hand_over(alerts)) for alerts in posts]
    await temporal.asked.wait()
    return intake, tasks


async def test_intake_when_posts_come_while_one_is_under_way_then_they_share_the_next() -> None:
    temporal = Temporal()
    intake, tasks = await under_way(temporal, [alert(0)])
    tasks += [asyncio.create_task(intake.hand_over([alert(n)])) for n in range(1, 251)]
    await asyncio.sleep(0)
    temporal.open.set()
    await asyncio.gather(*tasks)
    assert [len(batch) for batch in temporal.batches] == [1, 100, 100, 50]


async def test_intake_when_one_alert_is_posted_often_then_it_is_sent_once() -> None:
    temporal = Temporal()
    posts = [[alert(1)] for _ in range(1000)]
    _, tasks = await under_way(temporal, *posts)
    assert not any(task.done() for task in tasks)
    temporal.open.set()
    await asyncio.gather(*tasks)
    assert temporal.batches == [(alert(1),)]


async def test_intake_when_an_alert_is_resolved_meanwhile_then_both_are_sent_in_order() -> None:
    temporal = Temporal()
    over = alert(1, AlertStatus.RESOLVED)
    _, tasks = await under_way(temporal, [alert(1)], [over])
    temporal.open.set()
    await asyncio.gather(*tasks)
    assert [one for batch in temporal.batches for one in batch] == [alert(1), over]


@pytest.mark.parametrize("error", [UnreachableError("Away."), RuntimeError("a bug"), ValueError()])
async def test_intake_when_a_batch_fails_then_all_who_wait_for_it_are_told(
    error: Exception,
) -> None:
    temporal = Temporal()
    temporal.error = error
    intake, tasks = await under_way(temporal, [alert(1)], [alert(2), alert(1)])
    temporal.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, UnreachableError) for one in results)
    temporal.error = None
    await intake.hand_over([alert(1)])
    assert temporal.batches[-1] == (alert(1),)


async def test_intake_when_temporal_does_not_answer_then_it_is_given_up() -> None:
    temporal = Temporal()
    intake = CoalescingIntake(temporal.send, Metrics(), timeout_seconds=0.02)
    with pytest.raises(UnreachableError, match="has not accepted within"):
        await intake.hand_over([alert(1)])


async def test_intake_when_a_sender_goes_away_then_others_still_get_their_answer() -> None:
    temporal = Temporal()
    _, (gone, waits) = await under_way(temporal, [alert(1)], [alert(1)])
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    temporal.open.set()
    await waits
    assert temporal.batches == [(alert(1),)]


async def test_intake_when_alerts_are_large_then_a_signal_stays_small() -> None:
    temporal = Temporal()
    temporal.open.set()
    large = [alert(n).model_copy(update={"summary": "x" * 100_000}) for n in range(5)]
    await CoalescingIntake(temporal.send, Metrics()).hand_over(large)
    assert [len(batch) for batch in temporal.batches] == [2, 2, 1]


async def test_intake_when_far_too_much_waits_then_the_next_are_asked_to_repeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("failback.gateway.intake.MOST_WAITING", 200)
    temporal = Temporal()
    intake, tasks = await under_way(temporal, [alert(n) for n in range(200)])
    with pytest.raises(UnreachableError, match="Too many"):
        await intake.hand_over([alert(-1)])
    tasks[0].cancel()
    temporal.open.set()
    await intake.aclose()


def test_alert_when_a_day_has_passed_then_a_new_outbreak_has_another_key() -> None:
    later = alert(1).model_copy(update={"starts_at": NOW + timedelta(days=1)})
    assert later.key != alert(1).key
