"""What AlertResponse does about alerts: a real Temporal server, and fakes for all else."""

from typing import Any

import pytest

from failback.models.alerts import Alert
from failback.models.audit import EntryKind
from failback.models.common import Level
from failback.models.responses import ActionKind, ResponseStatus

from support.fake_estate import FakeEstate, MakeEstate
from support.responses import alert, response_until, send

pytestmark = pytest.mark.servers

AUTOMATIC: dict[str, Any] = {"mode": "automatic", "evaluate_seconds": 0.2}


async def tell(fakes: FakeEstate, *alerts: Alert) -> None:
    await send(fakes.client, fakes.estate.estate, fakes.estate.temporal.task_queue, *alerts)


async def until(fakes: FakeEstate, wanted: Any) -> ResponseStatus:
    return await response_until(fakes.client, fakes.estate.estate, wanted)


async def until_done(fakes: FakeEstate, kind: ActionKind) -> ResponseStatus:
    return await until(
        fakes, lambda status: status.decided is not None and status.decided.action.kind is kind
    )


async def test_alert_when_a_critical_rule_fires_then_traffic_is_rolled_back_by_nobody(
    make_estate: MakeEstate,
) -> None:
    fakes = await make_estate(decision=AUTOMATIC)
    fakes.metrics.values["error_rate"] = 0.2
    await tell(fakes, alert())
    status = await until(fakes, lambda status: status.handling is not None)
    assert status.handling is not None
    result = await fakes.rollbacks.result(status.handling.rollback_id)

    assert result.success, result.error
    assert result.level is Level.TRAFFIC
    assert result.requested_by == "failback"
    assert "error_rate_critical" in result.reason
    assert len(status.automatic) == 1
    entries = await fakes.audit.read()
    assert EntryKind.ALERT in {entry.kind for entry in entries}
