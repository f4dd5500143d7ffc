"""`failback configuration`, `pauses` and what `check` says of them, on files."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from failback.cli.app import app
from failback.cli.readiness.findings import Answer
from failback.cli.readiness.system import (
    examine_configuration,
    examine_pauses,
    examine_validation,
)
from failback.config import load
from failback.providers.pauses import open_pauses


class Estate:
    """A `failback.yaml` with a `.env` to switch and a flag to pause by."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "failback.yaml"
        self.env, self.flag = folder / ".env", folder / "paused"
        self.env.write_text("# ours\nURL=https://target\n")
        flag = str(self.flag)
        self.write(
            configuration={
                "places": {"frontend": {"env_file": str(self.env)}},
                "keys": [
                    {
                        "name": "url",
                        "group": "auth",
                        "place": "frontend",
                        "key": "URL",
                        "source": "https://source",
                        "target": "https://target",
                    }
                ],
            },
            pauses={
                "activities": {
                    "sync": {
                        "command": {
                            "pause": ["touch", flag],
                            "resume": ["rm", "-f", flag],
                            "status": ["test", "-e", flag],
                        }
                    }
                }
            },
            validation={
                "baseline": str(folder / "performance.json"),
                "performance": {"statements": [{"name": "one", "sql": "SELECT 1"}]},
            },
        )

    def write(self, **sections: Any) -> None:
        document = {
            "estate": "shop",
            "source": {"dsn": "postgresql://127.0.0.1:1/a"},
            "target": {"dsn": "postgresql://127.0.0.1:1/b"},
            "traffic": {
                "balancer": {"runtime_api": "tcp://127.0.0.1:1"},
                "routes": {"database": [{"backend": "rest"}]},
            },
            "audit": {"file": str(self.folder / "audit.sqlite3")},
        }
        self.path.write_text(yaml.safe_dump({**document, **sections}))

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--config", str(self.path)], standalone_mode=False)

    async def pause(self) -> None:
        pauses = open_pauses(load(self.path))
        assert pauses is not None
        await pauses.pause("rb-1", "why")
        await pauses.aclose()


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(tmp_path)


def test_configuration_when_switched_and_back_then_the_file_is_as_before(estate: Estate) -> None:
    before = estate.env.read_text()
    shown = estate.run("configuration", "switch", "source", "--json")
    assert shown.return_value == 0
    (item,) = json.loads(shown.stdout)["items"]
    assert (item["name"], item["changed"]) == ("auth/url", True)
    assert estate.env.read_text() == "# ours\nURL=https://source\n"
    assert "source's value" in estate.run("configuration", "status").stdout
    assert estate.run("configuration", "switch", "target").return_value == 0
    assert estate.env.read_text() == before


def test_configuration_when_drifted_then_it_exits_1_and_shows_no_value(estate: Estate) -> None:
    estate.env.write_text("URL=drifted-secret\n")
    for words in (["status"], ["switch", "source"]):
        shown = estate.run("configuration", *words)
        assert shown.return_value == 1
        assert "drifted-secret" not in shown.output
    assert estate.env.read_text() == "URL=drifted-secret\n"


async def test_pauses_then_they_are_listed_kept_and_resumed(estate: Estate) -> None:
    await estate.pause()
    assert estate.flag.exists()
    (finding,) = [
        one for one in await examine_pauses(load(estate.path)) if "decision" in one.question
    ]
    assert (finding.answer, "pauses resume sync" in finding.cure) == (Answer.UNKNOWN, True)


def test_pauses_when_there_are_none_then_0(estate: Estate) -> None:
    shown = estate.run("pauses", "list")
    assert (shown.return_value, "nothing is paused" in shown.stdout) == (0, True)
    assert estate.run("pauses", "resume").return_value == 0
    assert estate.run("pauses", "resume", "sync").return_value == 1


class TestPaused:
    """Commands about an activity that a rollback paused."""

    @pytest.fixture(autouse=True)
    def paused(self, estate: Estate) -> None:
        asyncio.run(estate.pause())

    def test_resume_then_it_goes_on(self, estate: Estate) -> None:
        assert "paused by rb-1" in estate.run("pauses", "list").stdout
        assert estate.run("pauses", "resume", "--as", "mira").return_value == 0
        assert not estate.flag.exists()
        assert '"who": "mira"' in estate.run("audit", "list", "--json").stdout

    def test_keep_then_check_asks_no_more(self, estate: Estate) -> None:
        assert estate.run("pauses", "keep", "--because", "frozen").return_value == 0
        findings = asyncio.run(examine_pauses(load(estate.path)))
        assert {one.answer for one in findings} == {Answer.YES}
        assert estate.flag.exists()

    def test_activity_when_it_runs_again_then_list_exits_1(self, estate: Estate) -> None:
        estate.flag.unlink()
        assert estate.run("pauses", "list").return_value == 1

    def test_section_when_taken_out_then_it_is_still_told(self, estate: Estate) -> None:
        estate.write()
        shown = estate.run("pauses", "list")
        assert (shown.return_value, "not configured any more" in shown.stdout) == (3, True)
        assert estate.run("pauses", "resume").return_value == 1
        assert estate.run("pauses", "resume", "--by-hand").return_value == 0
        assert "nothing is paused" in estate.run("pauses", "list").stdout


async def test_check_then_it_asks_about_keys_activities_and_the_baseline(estate: Estate) -> None:
    loaded = load(estate.path)
    (key,) = await examine_configuration(loaded)
    assert (key.question, key.answer) == ("auth/url can be switched", Answer.YES)
    (activity,) = await examine_pauses(loaded)
    assert (activity.question, activity.answer) == ("sync can be paused", Answer.YES)
    (baseline,) = await examine_validation(loaded)
    assert baseline.answer is Answer.UNKNOWN
    assert "failback validate --record-baseline" in baseline.cure
    (estate.folder / "performance.json").write_text("{")
    (damaged,) = await examine_validation(loaded)
    assert damaged.answer is Answer.NO
