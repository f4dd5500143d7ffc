import json
from pathlib import Path
from typing import Any

import pytest

from failback.cli.entry import run
from failback.cli.session import Session
from failback.models.common import Side
from failback.models.rollback import Phase
from failback.providers.reverse_sync.fake import FakeReverseSync

from support.fake_rollbacks import FakeRollbacks

CONFIG = """
estate: shop
source: {dsn: "postgresql://failback@127.0.0.1:1/app"}
target: {dsn: "postgresql://failback@127.0.0.1:1/app"}
traffic:
  balancer: {runtime_api: "tcp://127.0.0.1:1"}
  routes: {database: [{backend: database}]}
"""


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "failback.yaml"
    path.write_text(CONFIG)
    monkeypatch.setenv("FAILBACK_CONFIG", str(path))


@pytest.fixture
def phases(monkeypatch: pytest.MonkeyPatch) -> list[Phase]:
    """The phases of the newest rollback; a test may change them."""
    found = [Phase.DONE]

    async def connected(_: Session) -> FakeRollbacks:
        return FakeRollbacks(phases=tuple(found))

    monkeypatch.setattr(Session, "rollbacks", connected)
    return found


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeReverseSync:
    """Rolled back: the source is live."""
    fake = FakeReverseSync()
    fake.raise_fence(Side.TARGET, 1.0)
    fake.lift_fence(Side.SOURCE)
    fake.write(Side.SOURCE, "a", "1")
    monkeypatch.setattr(Session, "engine", lambda _: fake)
    return fake


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("phases", "engine")
def test_reprotect_then_tells_the_direction_and_sync_run_follows_it(
    engine: FakeReverseSync, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["reprotect", "--plan", "--json"]) == 0
    assert document(capsys)["planned"]
    assert engine.status().direction == "target-to-source"
    assert run(["reprotect", "--json"]) == 0
    facts = document(capsys)
    assert (facts["direction"], facts["continuous"]) == ("source-to-target", True)
    assert run(["sync", "status"]) == 0
    assert "the source's changes go to the target" in capsys.readouterr().out
    assert run(["sync", "run"]) == 0
    assert "The target has what the source held" in capsys.readouterr().out
    assert engine.database(Side.TARGET).rows == {"a": "1"}
    assert run(["reprotect", "--no-continuous"]) == 0
    assert "Reprotected" in capsys.readouterr().out


@pytest.mark.usefixtures("engine")
def test_reprotect_when_a_rollback_is_at_work_then_refused(
    phases: list[Phase], engine: FakeReverseSync, capsys: pytest.CaptureFixture[str]
) -> None:
    phases[:] = [Phase.RUNNING]
    assert run(["reprotect", "--json"]) == 1
    assert document(capsys)["error"]["type"] == "RollbackRunningError"
    assert engine.status().direction == "target-to-source"


@pytest.mark.usefixtures("phases")
def test_disarm_when_the_tail_is_not_empty_then_somebody_has_to_accept_that(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeReverseSync()
    fake.write(Side.TARGET, "a", "1")
    fake.raise_fence(Side.TARGET, 1.0)
    monkeypatch.setattr(Session, "engine", lambda _: fake)
    assert run(["disarm", "--json"]) == 1
    assert "tail_drained" in document(capsys)["error"]["cause"]
    assert run(["disarm", "--accepted-by", "alice", "--only", "source", "--json"]) == 1
    assert document(capsys)["error"]["type"] == "SafetyRuleError"
    assert run(["disarm", "--accepted-by", "alice", "--json"]) == 0
    assert document(capsys)["removed"]
