"""`failback sync verify` and `repair` on the fake, as a person and as a program see them."""

import json
from pathlib import Path
from typing import Any

import pytest

from failback.cli.entry import run
from failback.cli.session import Session
from failback.models.common import Side
from failback.providers.faults import Call
from failback.providers.reverse_sync.fake import FakeReverseSync

CONFIG = """
estate: shop
source: {dsn: "postgresql://failback:hunter2@127.0.0.1:1/app"}
target: {dsn: "postgresql://failback:hunter2@127.0.0.1:1/app"}
traffic:
  balancer: {runtime_api: "tcp://127.0.0.1:1"}
  routes: {database: [{backend: database}]}
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeReverseSync:
    path = tmp_path / "failback.yaml"
    path.write_text(CONFIG)
    monkeypatch.setenv("FAILBACK_CONFIG", str(path))
    calls: list[Call] = []
    fake = FakeReverseSync(calls=calls)
    fake.write(Side.TARGET, "a", "1")
    fake.drain(1.0)
    monkeypatch.setattr(Session, "engine", lambda _: fake)
    return fake


def test_verify_when_cold_is_asked_for_then_the_engine_is_told(
    engine: FakeReverseSync, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sync", "verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["chunks_verified"] == 1
    assert run(["sync", "verify", "--cold"]) == 0
    asked = [call.arguments for call in engine.calls if call.method == "verify"]
    assert asked == [(False,), (True,)]


def test_repair_when_rows_differ_then_plans_unless_told_to_apply(
    engine: FakeReverseSync, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sync", "repair"]) == 0
    assert "Nothing to repair" in capsys.readouterr().out
    engine.corrupt(Side.SOURCE, "a", "2")
    assert run(["sync", "repair"]) == 1
    out: Any = capsys.readouterr().out
    assert "1 rows would be repaired" in out
    assert "failback sync repair --apply" in out
    assert engine.database(Side.SOURCE).rows == {"a": "2"}
    assert run(["sync", "repair", "--apply", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["applied"] is True
    assert document["verification"]["outcome"] == "succeeded"
    assert engine.database(Side.SOURCE).rows == {"a": "1"}


def test_repair_when_the_source_takes_writes_then_names_the_rule(
    engine: FakeReverseSync, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.database(Side.SOURCE).fenced = False
    assert run(["sync", "repair", "--apply"]) == 1
    assert "source_fenced" in capsys.readouterr().err
