"""When the clock of a rollback that an alert led to starts: not before one is asked for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bench.alerts import Broken

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LASTING = {"critical": timedelta(seconds=3), "warning": timedelta(seconds=20)}
MONITOR, ASKING = "SystemErrorRateOutOfBounds", "ErrorRateCritical"


def after(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat()


def alert(name: str, seconds: float) -> dict[str, Any]:
    labels = {"action": "IMMEDIATE_ROLLBACK"} if name == ASKING else {}
    return {"at": after(seconds), "body": {"name": name, "labels": labels}}


def broken(*alerts: dict[str, Any], passed_since: float = 0.0, decided: float = 3.2) -> Broken:
    """Served by the target until 4 s; the threshold is passed since 0 s, and has lasted at 3 s."""
    readings = [
        {"rule": "critical", "verdict": "fired", "since": after(passed_since)},
        {"rule": "warning", "verdict": "clear", "since": after(passed_since - 50)},
    ]
    return Broken(
        {"last_answer_at": {"target": after(4)}},
        list(alerts),
        {"at": after(decided), "body": {"readings": readings}},
        LASTING,
        0,
    )


@pytest.mark.parametrize(
    ("alerts", "served", "whole", "asked_by"),
    [
        ([alert(MONITOR, 0.5)], 1.0, 3.5, "a threshold that has lasted"),
        ([alert(MONITOR, 3.1)], 0.9, 0.9, "a threshold that has lasted"),
        ([alert(MONITOR, 0.5), alert(ASKING, 2.5)], 1.5, 3.5, ASKING),
        ([alert(MONITOR, 0.5), alert(ASKING, 3.1)], 1.0, 3.5, "a threshold that has lasted"),
        ([alert(ASKING, 3.1), alert(MONITOR, 3.3)], 0.9, 0.9, "a threshold that has lasted"),
        ([alert(MONITOR, 3.5)], 1.0, None, "a threshold that has lasted, before any alert"),
    ],
    ids=[
        "it lasts after the alert",
        "the alert comes when it has lasted",
        "an alert asks before",
        "an alert asks afterwards",
        "the alert that asks is the first",
        "decided before any alert",
    ],
)
def test_clock_when_alerts_come_then_starts_when_a_rollback_is_asked_for(
    alerts: list[dict[str, Any]], served: float, whole: float | None, asked_by: str
) -> None:
    found = broken(*alerts)
    assert found.served_seconds == pytest.approx(served)
    assert found.whole_seconds == (None if whole is None else pytest.approx(whole))
    assert found.asked_by == asked_by
