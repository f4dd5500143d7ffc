"""`failback recovery assess` on the fake, as a person and as a program see it."""

import json
from pathlib import Path

import pytest

from failback.cli.entry import run
from failback.cli.session import Session
from failback.models.recovery import Condition, Part
from failback.providers.recovery.fake import FakeRecovery

CONFIG = """
estate: shop
source: {dsn: "postgresql://failback:hunter2@127.0.0.1:1/app"}
target: {dsn: "postgresql://failback:hunter2@127.0.0.1:1/app"}
traffic:
  balancer: {runtime_api: "tcp://127.0.0.1:1"}
  routes: {database: [{backend: database}]}
"""
ASSESS = ["recovery", "assess"]

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "failback.yaml"
    path.write_text(CONFIG)
    monkeypatch.setenv("FAILBACK_CONFIG", str(path))


@pytest.fixture
def recovery(monkeypatch: pytest.MonkeyPatch) -> FakeRecovery:
    fake = FakeRecovery(passed_over={"20260101T060000.000000Z-00000b": "nobody has proved it"})
    monkeypatch.setattr(Session, "recovery", lambda _: fake)
    return fake


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        ({}, 0),
        ({Part.STORAGE: Condition.UNKNOWN}, 3),
        ({Part.AUTH: Condition.DEGRADED}, 3),
        ({Part.DATABASE: Condition.CORRUPTED, Part.AUTH: Condition.UNKNOWN}, 1),
        ({Part.FUNCTIONS: Condition.GONE}, 1),
    ],
)
def test_assess_then_the_code_is_that_of_the_gravest_part(
    conditions: dict[Part, Condition], code: int, recovery: FakeRecovery
) -> None:
    recovery.conditions = dict.fromkeys(Part, Condition.HEALTHY) | conditions
    assert run(ASSESS) == code
    assert [call.method for call in recovery.calls] == ["assess", "close"]


def test_assess_when_the_database_is_gone_then_evidence_and_backups_are_shown(
    recovery: FakeRecovery, capsys: Capture
) -> None:
    assert run(ASSESS) == 1
    told = capsys.readouterr()
    assert "Assessment of shop" in told.out
    assert "✗ database" in told.out
    assert "gone" in told.out
    assert recovery.backup in told.out
    assert "nobody has proved it" in told.out
    assert "Looking at every part" in told.err


def test_assess_when_json_is_asked_for_then_it_is_the_assessment_alone(
    recovery: FakeRecovery, capsys: Capture
) -> None:
    assert run([*ASSESS, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert {one["part"] for one in told["parts"]} == {part.value for part in Part}
    assert told["choice"]["backup"] == recovery.backup


def test_assess_when_nothing_is_configured_then_says_what_to_add(capsys: Capture) -> None:
    assert run(ASSESS) == 2
    told = capsys.readouterr().err
    assert "no section `recovery`" in told
    assert "standby_dsn" in told
