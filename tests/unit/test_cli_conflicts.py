import json
from pathlib import Path
from typing import Any

import pytest

from failback.cli.entry import run
from failback.cli.session import Session
from failback.models.common import Side
from failback.providers.reverse_sync.fake import FakeReverseSync

CONFIG = """
estate: shop
source: {dsn: "postgresql://failback@127.0.0.1:1/app"}
target: {dsn: "postgresql://failback@127.0.0.1:1/app"}
traffic:
  balancer: {runtime_api: "tcp://127.0.0.1:1"}
  routes: {database: [{backend: database}]}
"""
LONG = "x" * 5000
SETTLE = ["sync", "conflicts", "settle"]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeReverseSync:
    """Two rows that both sides changed, one of them long, parked as 1 and 2."""
    fake = FakeReverseSync()
    for key in ("a", "b"):
        fake.write(Side.TARGET, key, "old")
    fake.drain(5.0)
    fake.write(Side.TARGET, "a", "theirs")
    fake.write(Side.TARGET, "b", LONG)
    fake.raise_fence(Side.TARGET, 1.0)
    fake.lift_fence(Side.SOURCE, "policy")
    for key in ("a", "b"):
        fake.write(Side.SOURCE, key, "ours\n")
    fake.drain_late(5.0)
    monkeypatch.setattr(Session, "engine", lambda _: fake)
    path = tmp_path / "failback.yaml"
    path.write_text(CONFIG)
    monkeypatch.setenv("FAILBACK_CONFIG", str(path))
    return fake


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("engine")
def test_list_then_names_each_conflict_with_the_columns_that_differ(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["sync", "conflicts", "list"]) == 0
    text = capsys.readouterr().out
    assert "2 open conflicts" in text
    assert "public.documents a, parked" in text
    assert "value" in text


@pytest.mark.usefixtures("engine")
def test_show_then_both_versions_stand_side_by_side_and_stay_on_their_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["sync", "conflicts", "show", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) < 200
    (marked,) = [line for line in lines if "≠" in line]
    assert "value" in marked
    assert "ours\\n" in marked
    assert "(5,000 characters)" in marked
    assert not any("≠" in line for line in lines if " id " in line)


@pytest.mark.usefixtures("engine")
def test_show_as_json_then_the_whole_value_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sync", "conflicts", "show", "2", "--json"]) == 0
    assert document(capsys)["target_image"]["value"] == LONG
    assert run(["sync", "conflicts", "show", "3", "--json"]) == 2
    assert document(capsys)["error"]["type"] == "ConfigurationError"


def test_settle_one_then_the_decision_is_recorded_with_who_and_why(
    engine: FakeReverseSync, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SETTLE, "1", "--keep", "target", "--as", "alice", "--comment", "asked her", "--json"]
    assert run([*words, "--plan"]) == 0
    assert document(capsys)["settlements"][0]["result"] == "planned"
    assert engine.database(Side.SOURCE).rows["a"] == "ours\n"
    assert run(words) == 0
    found = document(capsys)
    assert (found["settlements"][0]["result"], found["open_conflicts"]) == ("settled", 1)
    assert engine.database(Side.SOURCE).rows["a"] == "theirs"
    assert run(["sync", "conflicts", "list", "--settled"]) == 0
    text = capsys.readouterr().out
    assert "by alice" in text
    assert "asked her" in text


def test_settle_all_when_one_row_has_changed_then_exits_3_and_says_why(
    engine: FakeReverseSync, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.write(Side.SOURCE, "a", "again")
    assert run([*SETTLE, "--all", "--table", "public.*", "--keep", "target"]) == 3
    text = capsys.readouterr().out
    assert "1 of 2 settled" in text
    assert "changed since it was shown" in text
    assert engine.database(Side.SOURCE).rows == {"a": "again", "b": LONG}


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    "words",
    [
        ["--keep", "target"],
        ["1"],
        ["1", "--keep", "both"],
        ["1", "--all", "--table", "*", "--keep", "target"],
        ["1", "--table", "*", "--keep", "target"],
        ["--all", "--keep", "target"],
        ["1", "--keep", "newest"],
        ["99", "--keep", "source"],
    ],
)
def test_settle_when_it_is_not_said_what_then_wrong_use(words: list[str]) -> None:
    assert run([*SETTLE, *words]) == 2
