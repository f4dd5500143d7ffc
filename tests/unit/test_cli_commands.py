import json
from pathlib import Path
from typing import Any

import pytest

from failback.cli.entry import run
from failback.cli.session import Session
from failback.errors import UnreachableError
from failback.models.common import Outcome, Side
from failback.models.rollback import Decision, Phase
from failback.providers.reverse_sync.fake import FakeReverseSync

from support import sample_results as sample
from support.fake_rollbacks import FakeRollbacks

ID = sample.level_2().rollback_id
CONFIG = """
estate: shop
source: {dsn: "postgresql://failback:hunter2@127.0.0.1:1/app"}
target: {dsn: "postgresql://failback:hunter2@127.0.0.1:1/app"}
traffic:
  balancer: {runtime_api: "tcp://127.0.0.1:1"}
  routes: {database: [{backend: database}]}
"""


@pytest.fixture
def rollbacks(monkeypatch: pytest.MonkeyPatch) -> FakeRollbacks:
    fake = FakeRollbacks(phases=(Phase.RUNNING,))

    async def connected(_: Session) -> FakeRollbacks:
        return fake

    async def rehearsed(_: Session, level: int, reason: str, who: str) -> tuple[str, ...]:
        return (f"Would fence the target at level {level}.", f"Would say {reason} by {who}.")

    monkeypatch.setattr(Session, "rollbacks", connected)
    monkeypatch.setattr(Session, "rehearsed", rehearsed)
    return fake


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeReverseSync:
    fake = FakeReverseSync()
    monkeypatch.setattr(Session, "engine", lambda _: fake)
    return fake


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "failback.yaml"
    path.write_text(CONFIG)
    monkeypatch.setenv("FAILBACK_CONFIG", str(path))
    return path


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


# Wrong use and configuration


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["rollback", "start"],
        ["rollback", "start", "--level", "x", "--reason", "r"],
        ["rollback", "start", "--level", "0", "--reason", "r"],
        ["rollback", "start", "--level", "5", "--reason", "r"],
        ["rollback", "approve"],
        ["check", "--config", "not-there.yaml"],
        ["arm", "--capture", "telepathy"],
    ],
)
def test_wrong_words_when_run_then_the_code_is_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_wrong_words_with_json_then_the_error_is_one_document(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["rollback", "start", "--level", "5", "--reason", "r", "--json"]) == 2
    error = document(capsys)["error"]
    assert error["type"] == "ConfigurationError"
    assert "Level 5 does not exist" in error["cause"]
    assert "1" in error["cure"]


def test_an_unknown_key_in_the_configuration_then_the_nearest_is_named(
    configuration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration.write_text(CONFIG.replace("estate:", "estat:"))
    assert run(["sync", "status", "--json"]) == 2
    assert "did you mean estate" in document(capsys)["error"]["cause"]


@pytest.mark.parametrize("before", [True, False])
def test_config_before_or_after_the_command_then_it_is_used(
    *, before: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    option = ["--config", "elsewhere.yaml", "--json"]
    command = ["sync", "status"]
    assert run([*option, *command] if before else [*command, *option]) == 2
    assert "elsewhere.yaml" in document(capsys)["error"]["cause"]


def test_help_when_asked_for_then_the_code_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    told = capsys.readouterr().out
    for command in ("check", "worker", "arm", "disarm", "sync", "rollback", "lab"):
        assert f"\n  {command} " in told


def test_an_unexpected_error_then_a_sentence_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Session) -> None:
        raise ValueError("postgresql://failback:hunter2@db/app is odd")

    monkeypatch.setattr(Session, "engine", broken)
    assert run(["sync", "status"]) == 1
    told = capsys.readouterr().err
    assert "Unexpected error: ValueError" in told
    assert "Traceback" not in told
    assert "hunter2" not in told


# Rollbacks


def test_start_without_wait_then_its_id_is_told_and_the_code_is_0(
    rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    rollbacks.phases = (Phase.WAITING_FOR_APPROVAL,)
    code = run(["rollback", "start", "--level", "2", "--reason", "503s", "--as", "mira"])
    assert code == 0
    assert rollbacks.started == [(2, "503s", "mira")]
    told = capsys.readouterr().out
    assert f"failback rollback watch {ID}" in told
    assert f"failback rollback approve {ID}" in told


def test_start_while_one_runs_then_the_code_is_1(
    rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    rollbacks.started.append((1, "", ""))
    assert run(["rollback", "start", "--level", "1", "--reason", "r", "--json"]) == 1
    assert document(capsys)["error"]["type"] == "RollbackRunningError"


def test_start_with_wait_then_the_result_is_the_document(
    rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    rollbacks.ended = sample.level_2()
    assert run(["rollback", "start", "--level", "2", "--reason", "r", "--wait", "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert {
        "rollback_id",
        "level",
        "success",
        "execution_seconds",
        "data_loss",
        "service_availability",
        "synced_records",
        "steps",
        "error",
        "emergency_action",
    } <= result.keys()
    assert result["level"] == 2
    assert {
        "name",
        "started_at",
        "ended_at",
        "attempts",
        "budget_seconds",
        "outcome",
        "detail",
    } <= result["steps"][0].keys()
    assert "verify integrity: 0.880 s of 60 s" in captured.err


def test_start_with_wait_and_failure_then_the_code_is_1(rollbacks: FakeRollbacks) -> None:
    rollbacks.ended = sample.level_2_failed()
    assert run(["rollback", "start", "--level", "2", "--reason", "r", "--wait", "--json"]) == 1


def test_start_with_wait_and_an_unknown_outcome_then_the_code_is_3(
    rollbacks: FakeRollbacks,
) -> None:
    steps = (sample.step("dns", 0, 1, 10, outcome=Outcome.INCONCLUSIVE),)
    rollbacks.ended = sample.level_1().model_copy(update={"success": False, "steps": steps})
    assert run(["rollback", "start", "--level", "1", "--reason", "r", "--wait"]) == 3


def test_dry_run_then_sentences_are_printed_and_nothing_is_started(
    rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["rollback", "start", "--level", "1", "--reason", "r", "--as", "mira", "--dry-run"]
    assert run([*words, "--json"]) == 0
    assert document(capsys)["sentences"] == [
        "Would fence the target at level 1.",
        "Would say r by mira.",
    ]
    assert rollbacks.started == []


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        (Phase.WAITING_FOR_APPROVAL, 3),
        (Phase.RUNNING, 3),
        (Phase.PAUSED, 3),
        (Phase.DRAINING_TAIL, 3),
        (Phase.DONE, 0),
        (Phase.FAILED, 1),
        (Phase.REJECTED, 1),
        (Phase.CANCELLED, 1),
    ],
)
def test_status_in_a_phase_then_the_code_says_so(
    phase: Phase, code: int, rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    rollbacks.phases = (phase,)
    assert run(["rollback", "status", "--json"]) == code
    assert document(capsys)["phase"] == phase.value


def test_status_of_an_unknown_id_then_the_code_is_1(
    rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rollback", "status", "no-such", "--json"]) == 1
    assert document(capsys)["error"]["type"] == "RollbackNotFoundError"


@pytest.mark.parametrize(
    ("word", "verb"),
    [
        ("approve", "approve"),
        ("reject", "reject"),
        ("accept-tail", "accept_tail"),
        ("cancel", "cancel"),
    ],
)
def test_a_decision_then_who_role_and_comment_arrive(
    word: str, verb: str, rollbacks: FakeRollbacks
) -> None:
    words = ["rollback", word, ID, "--as", "jonas", "--role", "lead", "--comment", "go"]
    assert run(words) == 0
    assert rollbacks.said == [(ID, verb, Decision(who="jonas", role="lead", comment="go"))]


def test_a_decision_by_nobody_known_then_the_code_is_1(
    rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rollback", "approve", ID, "--as", "nobody", "--role", "x", "--json"]) == 1
    assert document(capsys)["error"]["type"] == "ApprovalRefusedError"


def test_list_then_every_rollback_is_there(
    rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    rollbacks.phases = (Phase.DONE, Phase.FAILED)
    assert run(["rollback", "list", "--json"]) == 0
    assert [one["phase"] for one in document(capsys)["rollbacks"]] == ["done", "failed"]


def test_watch_without_a_terminal_then_each_change_is_a_line_until_the_end(
    rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    rollbacks.phases = (Phase.WAITING_FOR_APPROVAL, Phase.RUNNING, Phase.RUNNING, Phase.DONE)
    rollbacks.ended = sample.level_2()
    assert run(["rollback", "watch", "--interval", "0.05", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["phase"] == "done"
    assert captured.err.count("waiting for approval") == 1
    assert captured.err.count("catch up:") == 1


def test_report_with_html_then_the_file_is_written(
    rollbacks: FakeRollbacks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rollbacks.phases, rollbacks.ended = (Phase.DONE,), sample.level_2()
    path = tmp_path / "reports" / "r.html"
    assert run(["rollback", "report", ID, "--html", str(path), "--json"]) == 0
    assert ID in path.read_text()
    assert document(capsys)["rollback_id"] == ID


def test_report_to_a_place_that_cannot_be_written_then_the_code_is_2(
    rollbacks: FakeRollbacks, configuration: Path
) -> None:
    rollbacks.phases, rollbacks.ended = (Phase.DONE,), sample.level_2()
    assert run(["rollback", "report", "--html", str(configuration / "r.html")]) == 2


def test_report_before_the_end_then_the_code_is_3(rollbacks: FakeRollbacks) -> None:
    assert run(["rollback", "report"]) == 3


# The reverse sync


def test_arm_then_the_continuous_sync_runs_too(
    engine: FakeReverseSync, rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.disarm()
    assert run(["arm", "--json"]) == 0
    facts = document(capsys)
    assert facts["outcome"] == "succeeded"
    assert facts["continuous"] is True
    assert rollbacks.continuous


def test_arm_without_continuous_then_temporal_is_left_alone(
    engine: FakeReverseSync, rollbacks: FakeRollbacks
) -> None:
    assert run(["arm", "--no-continuous"]) == 0
    assert not rollbacks.continuous


def test_arm_while_temporal_is_away_then_it_is_armed_and_the_code_is_3(
    engine: FakeReverseSync, rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    rollbacks.error = UnreachableError("Temporal does not answer.", "Start it.")
    assert run(["arm", "--json"]) == 3
    facts = document(capsys)
    assert facts["outcome"] == "succeeded"
    assert facts["continuous"] is False
    assert engine.status().armed


def test_disarm_while_a_rollback_runs_then_nothing_is_removed(
    engine: FakeReverseSync, rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.arm()
    assert run(["disarm", "--json"]) == 1
    assert document(capsys)["error"]["type"] == "RollbackRunningError"
    assert engine.status().armed


def test_disarm_while_temporal_is_away_then_only_an_explicit_word_goes_on(
    engine: FakeReverseSync, rollbacks: FakeRollbacks
) -> None:
    engine.arm()
    rollbacks.error = UnreachableError("Temporal does not answer.", "Start it.")
    assert run(["disarm"]) == 1
    assert engine.status().armed
    assert run(["disarm", "--without-temporal"]) == 0
    assert not engine.status().armed


def test_sync_status_before_arming_then_the_code_is_1(
    engine: FakeReverseSync, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.disarm()
    assert run(["sync", "status", "--json"]) == 1
    assert document(capsys)["armed"] is False


def test_sync_run_and_verify_then_both_sides_are_equal(
    engine: FakeReverseSync, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.arm()
    assert run(["sync", "status"]) == 0
    assert run(["sync", "run"]) == 0
    assert run(["sync", "run", "--once"]) == 0
    capsys.readouterr()
    assert run(["sync", "verify", "--json"]) in (0, 3)
    assert all(table["different"] == 0 for table in document(capsys)["tables"])


def test_conflicts_list_when_there_are_none_then_the_list_is_empty(
    engine: FakeReverseSync, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sync", "conflicts", "list", "--json"]) == 0
    assert document(capsys) == {"conflicts": []}


def test_sync_run_once_while_the_source_takes_writes_then_it_is_refused(
    engine: FakeReverseSync, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.arm()
    engine.raise_fence(Side.TARGET, 1.0)
    engine.lift_fence(Side.SOURCE)
    assert run(["sync", "run", "--once", "--json"]) == 1
    assert document(capsys)["error"]["type"] == "SafetyRuleError"
    assert run(["sync", "run"]) == 0
