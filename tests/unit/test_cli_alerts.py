"""`failback audit`, `failback alerts` and links, as far as they need no Temporal."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from failback.cli.entry import run
from failback.cli.output import ExitCode
from failback.models.audit import EntryKind, NewEntry
from failback.providers.audit import FileAuditLog, default_file

AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "failback.yaml"
    document = {
        "estate": "shop",
        "source": {"dsn": "postgresql://x/y"},
        "target": {"dsn": "postgresql://x/y"},
        "traffic": {
            "balancer": {"runtime_api": "tcp://127.0.0.1:1"},
            "routes": {"database": [{"backend": "a"}]},
        },
        "audit": {"file": str(tmp_path / "audit.sqlite3")},
    }
    path.write_text(yaml.safe_dump(document))
    asyncio.run(_filled(tmp_path / "audit.sqlite3"))
    return path


async def _filled(path: Path) -> None:
    log = FileAuditLog(path)
    await log.append(
        NewEntry(
            kind=EntryKind.ALERT,
            key="shop/k1/firing",
            at=AT,
            who="grafana",
            subject="k1",
            body={"name": "ErrorsHigh", "status": "firing", "summary": "[bold]5xx[/bold]"},
        )
    )
    await log.append(NewEntry(kind=EntryKind.APPROVAL, key="a", at=AT, who="ada", subject="rb1"))
    await log.aclose()


def test_audit_when_listed_then_by_kind_and_time(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["audit", "list", "-c", str(config), "--json"]
    assert run([*words, "--kind", "approval"]) == ExitCode.DONE
    (entry,) = json.loads(capsys.readouterr().out)["entries"]
    assert (entry["who"], entry["sequence"]) == ("ada", 2)
    assert run([*words, "--since", "2026-03-01T03:00:01"]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["entries"] == []
    assert run([*words, "--since", "yesterday"]) == ExitCode.USAGE


def test_audit_when_verified_then_gives_a_head_that_it_holds_itself_to(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["audit", "verify", "-c", str(config)]
    assert run([*words, "--json"]) == ExitCode.DONE
    head = json.loads(capsys.readouterr().out)["head"]
    assert head.startswith("2:")
    assert run([*words, "--head", head]) == ExitCode.DONE
    assert run([*words, "--head", f"3:{'0' * 64}"]) == ExitCode.FAILED
    assert "the log ends at 2" in capsys.readouterr().out
    assert run([*words, "--head", "nonsense"]) == ExitCode.FAILED


def test_alerts_when_listed_and_shown_then_as_they_were_sent(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["alerts", "list", "-c", str(config)]) == ExitCode.DONE
    assert "[bold]5xx[/bold]" in capsys.readouterr().out
    assert run(["alerts", "show", "k1", "-c", str(config)]) == ExitCode.DONE
    assert "grafana" in capsys.readouterr().out
    assert run(["alerts", "show", "k2", "-c", str(config)]) == ExitCode.FAILED
    assert "No alert k2" in capsys.readouterr().err


def test_link_when_there_is_no_key_then_says_what_to_set(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["rollback", "link", "rb1", "--for", "ada", "-c", str(config)]
    assert run(words) == ExitCode.USAGE
    assert "approvals.link_key" in capsys.readouterr().err


def test_log_when_nobody_says_where_then_below_the_users_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_file("shop") == tmp_path / "failback" / "shop" / "audit.sqlite3"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert default_file("shop") == Path.home() / ".local/state/failback/shop/audit.sqlite3"
