"""`failback notify` and what of `failback post-mortem` needs no Temporal."""

import asyncio
import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from failback.cli.entry import run
from failback.cli.session import Session
from failback.errors import PostMortemError
from failback.models.audit import EntryKind, NewEntry
from failback.models.post_mortem import Completion, PostMortemStatus
from failback.models.rollback import Decision
from failback.providers.audit.fake import FakeAuditLog
from failback.providers.post_mortems import FilePostMortems
from failback.sections.post_mortems import PostMortemsConfig

from support import sample_post_mortem, sample_results

CONFIG = """
estate: shop
source: {{dsn: "postgresql://failback@127.0.0.1:1/app"}}
target: {{dsn: "postgresql://failback@127.0.0.1:1/app"}}
traffic:
  balancer: {{runtime_api: "tcp://127.0.0.1:1"}}
  routes: {{database: [{{backend: database}}]}}
audit: {{file: {folder}/audit.sqlite3}}
post_mortems: {{directory: {folder}/post-mortems}}
notifications:
  operators: {{}}
  hook: {{kind: webhook, url: "http://127.0.0.1:1/planted-path", timeout_seconds: 1}}
"""
ID = sample_results.level_2().rollback_id


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "failback.yaml"
    path.write_text(CONFIG.format(folder=tmp_path))
    monkeypatch.setenv("FAILBACK_CONFIG", str(path))
    return tmp_path


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_test_when_the_channel_works_then_it_is_on_record_in_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["notify", "test", "operators"]) == 0
    assert "operators took the test" in capsys.readouterr().out
    assert run(["notify", "list", "--json"]) == 0
    (delivery,) = document(capsys)["deliveries"]
    assert (delivery["channel"], delivery["kind"], delivery["in_time"]) == (
        "operators",
        "TEST",
        True,
    )


def test_test_when_the_channel_is_away_then_exit_1_and_no_address_is_told(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    assert run(["notify", "test", "hook"]) == 1
    told = capsys.readouterr()
    assert "hook did not take the test" in told.out
    assert "planted" not in told.out + told.err
    assert run(["notify", "list"]) == 3
    assert "1 not delivered" in capsys.readouterr().out
    with sqlite3.connect(folder / "audit.sqlite3") as stored:
        assert not any("planted" in line for line in stored.iterdump())
    stored.close()


def test_test_when_nobody_knows_the_channel_then_exit_2_names_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["notify", "test", "pigeon"]) == 2
    assert "known: hook, operators" in capsys.readouterr().err


def test_list_when_a_message_was_late_then_its_time_stands_against_what_is_allowed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = FakeAuditLog()
    for number, one in enumerate(sample_post_mortem.facts().deliveries):
        body = {"delivery": one.model_dump(mode="json")}
        entry = NewEntry(
            kind=EntryKind.NOTIFICATION,
            key=str(number),
            at=one.occurred_at,
            subject=one.rollback_id,
            body=body,
        )
        asyncio.run(log.append(entry))
    monkeypatch.setattr(Session, "audit", lambda _: log)
    assert run(["notify", "list", ID]) == 3
    text = capsys.readouterr().out
    assert "5 deliveries, 1 late, 1 not delivered" in text
    assert "41.0 s" in text
    assert "never" in text
    assert run(["notify", "list", "another"]) == 0
    assert "No delivery" in capsys.readouterr().out


def store(folder: Path) -> FilePostMortems:
    return FilePostMortems("shop", PostMortemsConfig(directory=folder / "post-mortems"))


def test_document_when_people_wrote_in_it_then_what_is_written_anew_keeps_their_words(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = store(folder).keep(sample_post_mortem.facts())
    path = Path(written.markdown)
    mine = path.read_text().replace("## Root cause", "## Root cause\n\nThe pool was too small.")
    path.write_text(mine)
    done = Completion(who="mira", at=sample_results.at(3600))
    store(folder).keep(sample_post_mortem.facts().model_copy(update={"completion": done}))
    text = path.read_text()
    assert "The pool was too small." in text
    assert "completed 2026-03-14 03:41 UTC by mira" in text
    assert text.count("# Post-mortem of") == 1
    assert run(["post-mortem", "show", ID]) == 0
    assert "The pool was too small." in capsys.readouterr().out


def test_document_when_somebody_took_the_marks_out_then_nothing_of_theirs_is_lost(
    folder: Path,
) -> None:
    path = Path(store(folder).keep(sample_post_mortem.facts()).markdown)
    path.write_text("All my own words.\n")
    store(folder).keep(sample_post_mortem.facts())
    store(folder).keep(sample_post_mortem.facts())
    text = path.read_text()
    assert text.endswith("All my own words.\n")
    assert text.count("# Post-mortem of") == 1


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a/b", ".hidden", "x" * 200])
def test_document_when_the_id_leads_elsewhere_then_refused(folder: Path, name: str) -> None:
    with pytest.raises(PostMortemError, match="no rollback id"):
        store(folder).read(name)


def test_show_when_there_is_none_then_exit_1_and_the_command_that_writes_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["post-mortem", "show", "rb1-1"]) == 1
    assert "failback post-mortem write rb1-1" in capsys.readouterr().err


def test_document_when_the_folder_cannot_be_made_then_an_error_with_its_cure(folder: Path) -> None:
    (folder / "post-mortems").write_text("a file")
    with pytest.raises(PostMortemError, match=r"post_mortems\.directory"):
        store(folder).keep(sample_post_mortem.facts())


class FakePostMortemRuns:
    """Answers as `PostMortems` does."""

    def __init__(self) -> None:
        ended = sample_results.level_2().ended_at
        self.one = PostMortemStatus(
            rollback_id=ID,
            estate="shop",
            ended_at=ended,
            due_at=ended + timedelta(hours=24),
            in_time=False,
            findings=6,
        )

    async def list(self, limit: int) -> list[PostMortemStatus]:
        return [self.one][:limit]

    async def complete(self, rollback_id: str, decision: Decision) -> PostMortemStatus:
        done = Completion(who=decision.who, at=self.one.ended_at + timedelta(hours=30))
        self.one = self.one.model_copy(update={"completion": done})
        return self.one


def test_list_when_one_is_overdue_then_exit_3_until_somebody_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = FakePostMortemRuns()

    async def post_mortems(_: Session) -> FakePostMortemRuns:
        return runs

    monkeypatch.setattr(Session, "post_mortems", post_mortems)
    assert run(["post-mortem", "list"]) == 3
    assert "overdue" in capsys.readouterr().out
    assert run(["post-mortem", "complete", ID, "--as", "mira"]) == 0
    assert "Complete, but late" in capsys.readouterr().out
    assert run(["post-mortem", "list", "--json"]) == 0
    assert document(capsys)["post_mortems"][0]["completion"]["who"] == "mira"
