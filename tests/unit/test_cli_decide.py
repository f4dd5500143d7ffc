"""`failback decide` and `failback rules`, as a person and as a program see them."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from failback.cli import decide
from failback.cli.entry import run
from failback.decision.matrix import DEFAULT_RULES
from failback.providers.metrics import FakeMetricStore

from support.evidence import AT

CONFIG = """
estate: shop
source: {dsn: "postgresql://failback:hunter2@127.0.0.1:1/app"}
target: {dsn: "postgresql://failback:hunter2@127.0.0.1:1/app"}
traffic:
  balancer: {runtime_api: "tcp://127.0.0.1:1"}
  routes: {database: [{backend: database}]}
decision: {anomaly: {history_seconds: 14400}}
"""
METRICS = {one.metric for one in DEFAULT_RULES if not one.within_seconds} | {"request_rate"}
HISTORY = 14_400
ASK = ["decide", "--at", AT.isoformat()]

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "failback.yaml"
    path.write_text(f"{CONFIG}audit: {{file: {tmp_path}/audit.sqlite3}}\n")
    monkeypatch.setenv("FAILBACK_CONFIG", str(path))
    return path


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeMetricStore:
    store = FakeMetricStore()
    for metric in METRICS:
        store.add(metric, [(AT.timestamp() - 15 * n, 0.0) for n in range(2 * HISTORY // 15)])
    monkeypatch.setattr(decide, "metric_store", lambda _: store)
    return store


def failing(store: FakeMetricStore, seconds: float) -> None:
    """Let the error rate be 20 % for so long before the moment."""
    began = AT.timestamp() - seconds
    store._samples["error_rate"] = [
        (time, 0.2 if time >= began else 0.0) for time, _ in store._samples["error_rate"]
    ]


def test_decide_when_all_is_well_then_the_migration_goes_on_and_code_0(
    store: FakeMetricStore, capsys: Capture
) -> None:
    assert run(ASK) == 0
    out = capsys.readouterr().out
    assert "CONTINUE_MIGRATION" in out
    assert all(rule.name in out for rule in DEFAULT_RULES)
    assert "is not >" not in out


def test_decide_when_a_rule_fires_then_code_1_and_explain_says_why(
    store: FakeMetricStore, capsys: Capture
) -> None:
    failing(store, 120)
    assert run([*ASK, "--explain"]) == 1
    out = capsys.readouterr().out
    assert "IMMEDIATE_ROLLBACK, level 1" in out
    assert "0.2 is > 0.05 since" in out


def test_decide_when_asked_about_a_moment_before_then_as_it_was(store: FakeMetricStore) -> None:
    failing(store, 120)
    before = AT - timedelta(seconds=150)
    assert run(["decide", "--at", before.isoformat()]) == 0


def test_decide_as_json_then_one_document_with_every_number(
    store: FakeMetricStore, capsys: Capture
) -> None:
    failing(store, 120)
    assert run([*ASK, "--json"]) == 1
    document: Any = json.loads(capsys.readouterr().out)
    assert (document["decision"], document["level"]) == ("IMMEDIATE_ROLLBACK", 1)
    reading = document["readings"][0]
    assert (reading["rule"]["name"], reading["verdict"]) == ("error_rate_critical", "fired")
    assert reading["value"] == 0.2


def test_decide_when_no_store_is_configured_then_nobody_can_know_and_code_3(
    capsys: Capture,
) -> None:
    assert run(ASK) == 3
    out = capsys.readouterr().out
    assert "no metric store is configured" in out
    assert "An alert's own word would decide" in out


@pytest.mark.parametrize(("at", "said"), [("yesterday", "no time"), ("2999-01-01", "to come")])
def test_decide_when_the_moment_cannot_be_meant_then_code_2(
    capsys: Capture, at: str, said: str
) -> None:
    assert run(["decide", "--at", at]) == 2
    assert said in capsys.readouterr().err


def test_rules_when_printed_then_the_file_itself(capsys: Capture) -> None:
    assert run(["rules", "prometheus"]) == 0
    assert len(yaml.safe_load(capsys.readouterr().out)["groups"]) == 2


def test_rules_when_written_to_a_file_then_a_note_says_so(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "dashboard.json"
    assert run(["rules", "grafana", "--output", str(path)]) == 0
    assert json.loads(path.read_text())["title"] == "failback: shop"
    told = capsys.readouterr()
    assert (told.out, str(path) in told.err) == ("", True)


def test_rules_when_the_gateway_is_not_known_then_code_2_unless_it_is_named(
    capsys: Capture,
) -> None:
    assert run(["rules", "alertmanager"]) == 2
    assert "--gateway" in capsys.readouterr().err
    assert run(["rules", "alertmanager", "--gateway", "https://g.example"]) == 0
    assert "https://g.example/webhooks/alertmanager" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot be read"), ("- a", "not a mapping"), ("executive: {}", "mean executives?")],
)
def test_rules_when_receivers_cannot_be_used_then_code_2(
    tmp_path: Path, capsys: Capture, text: str | None, said: str
) -> None:
    path = tmp_path / "receivers.yml"
    if text is not None:
        path.write_text(text)
    command = ["rules", "alertmanager", "--gateway", "http://g", "--receivers", str(path)]
    assert run(command) == 2
    assert said in capsys.readouterr().err


def test_rules_when_the_file_cannot_be_written_then_code_2(tmp_path: Path, capsys: Capture) -> None:
    assert run(["rules", "prometheus", "--output", str(tmp_path / "none" / "f")]) == 2
    assert "cannot be written" in capsys.readouterr().err
