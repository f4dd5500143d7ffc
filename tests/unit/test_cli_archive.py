"""`failback archive`, and what arming and disarming do with it, on an archive in memory."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from failback.cli.entry import run
from failback.cli.session import Session
from failback.errors import ArchiveError, FailbackError
from failback.models.common import Side
from failback.models.recovery import ArchiveState, RestoreReport
from failback.models.rollback import Phase
from failback.ports import Progress
from failback.providers.reverse_sync.fake import FakeReverseSync

from support.fake_rollbacks import FakeRollbacks

CONFIG = """
estate: shop
source: {{dsn: "postgresql://failback@127.0.0.1:1/app"}}
target: {{dsn: "postgresql://failback@127.0.0.1:1/app"}}
traffic:
  balancer: {{runtime_api: "tcp://127.0.0.1:1"}}
  routes: {{database: [{{backend: database}}]}}
backup: {{folder: "{folder}"}}
archive: {{interval_seconds: 2}}
"""


@dataclass
class FakeArchive:
    """An archive that only remembers what it was asked."""

    age_seconds: float = 1.0
    joins: bool = True
    error: FailbackError | None = None
    asked: list[str] = field(default_factory=list)

    def arm(self) -> ArchiveState:
        self._ask("arm")
        return ArchiveState(first_position="0/10")

    def disarm(self) -> None:
        self._ask("disarm")

    def archive_once(self, progress: Progress | None = None) -> ArchiveState:
        del progress
        self._ask("archive")
        return self.state()

    def state(self, backup: str = "") -> ArchiveState:
        at = datetime.now(UTC) - timedelta(seconds=self.age_seconds)
        return ArchiveState(
            segments=3,
            keys=12,
            first_position="0/10",
            last_position="0/90",
            last_commit_at=at,
            joins_backup=bool(backup) and self.joins,
            detail="a word about it",
        )

    def replay(
        self, backup: str, dsn: str, after: str = "", progress: Progress | None = None
    ) -> RestoreReport:
        raise NotImplementedError

    def prune(self, keep_from: str) -> int:
        self._ask(f"prune {keep_from}")
        return 4

    def close(self) -> None:
        pass

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeArchive:
    path = tmp_path / "failback.yaml"
    path.write_text(CONFIG.format(folder=tmp_path / "store"))
    monkeypatch.setenv("FAILBACK_CONFIG", str(path))
    fake = FakeArchive()
    monkeypatch.setattr(Session, "archive", lambda _: fake)
    return fake


@pytest.fixture
def rollbacks(monkeypatch: pytest.MonkeyPatch) -> FakeRollbacks:
    fake = FakeRollbacks(phases=(Phase.DONE,))

    async def connected(_: Session) -> FakeRollbacks:
        return fake

    monkeypatch.setattr(Session, "rollbacks", connected)
    return fake


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeReverseSync:
    fake = FakeReverseSync()
    monkeypatch.setattr(Session, "engine", lambda _: fake)
    return fake


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_status_when_it_is_up_to_date_or_behind_then_the_exit_says_which(
    archive: FakeArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["archive", "status"]) == 0
    said = capsys.readouterr().out
    assert "3 segments, 12 keys" in said
    assert "a word about it" in said
    archive.age_seconds = 3600.0
    assert run(["archive", "status"]) == 1


def test_status_when_a_backup_cannot_be_followed_then_it_exits_1(
    archive: FakeArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["archive", "status", "--backup", "b"]) == 0
    assert "can be followed to now" in capsys.readouterr().out
    archive.joins = False
    assert run(["archive", "status", "--backup", "b"]) == 1
    assert "cannot be followed to now" in capsys.readouterr().out


def test_prune_when_there_is_no_backup_then_nothing_goes(
    archive: FakeArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["archive", "prune", "--json"]) == 2
    assert "There is no backup" in document(capsys)["error"]["cause"]
    assert archive.asked == []
    assert run(["archive", "prune", "--keep-from", "b", "--json"]) == 0
    assert document(capsys)["deleted"] == 4


@pytest.mark.usefixtures("engine")
def test_arm_when_there_is_an_archive_then_it_is_armed_and_kept_by_a_worker(
    archive: FakeArchive, rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["arm", "--json"]) == 0
    assert document(capsys)["archive"]["armed"]
    assert archive.asked == ["arm"]
    assert rollbacks.archiving


@pytest.mark.usefixtures("engine")
def test_arm_when_the_archive_refuses_then_the_rest_is_armed_and_it_says_so(
    archive: FakeArchive, rollbacks: FakeRollbacks, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.error = ArchiveError("No slot is left.", "Make room.")
    assert run(["arm", "--json"]) == 3
    facts = document(capsys)
    assert (facts["outcome"], facts["archive"]["armed"]) == ("succeeded", False)
    assert "No slot is left." in facts["archive"]["detail"]
    assert (rollbacks.continuous, rollbacks.archiving) == (True, False)


def test_disarm_when_it_is_refused_then_changes_are_still_archived(
    archive: FakeArchive,
    rollbacks: FakeRollbacks,
    engine: FakeReverseSync,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rollbacks.archiving = True
    engine.write(Side.TARGET, "a", "1")
    engine.raise_fence(Side.TARGET, 1.0)
    assert run(["disarm", "--json"]) == 1
    assert rollbacks.archiving
    assert archive.asked == []
    assert run(["disarm", "--accepted-by", "alice", "--json"]) == 0
    assert not rollbacks.archiving
    assert archive.asked == ["disarm"]
    capsys.readouterr()
