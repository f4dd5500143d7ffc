"""Pauses: what is remembered when, what a hook is told, and what a program sees."""

import asyncio
import base64
import hashlib
import hmac
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from failback.errors import UnreachableError
from failback.models.audit import EntryKind
from failback.models.common import Outcome
from failback.providers.audit import FakeAuditLog
from failback.providers.pauses import EstatePauses, FakeActivity, PauseMemory, Told
from failback.providers.pauses.command import CommandActivity
from failback.providers.pauses.hook import HookActivity
from failback.sections.pauses import PauseCommandConfig, PausesConfig

from support.pausable import PYTHON, SECRET, TOKEN, SyncServer

TOLD = Told("rb-1", "why", "rb-1/sync/0/pause")


async def test_memory_when_it_does_not_answer_then_nothing_is_paused() -> None:
    log, activity = FakeAuditLog(), FakeActivity()
    pauses = EstatePauses({"sync": activity}, PauseMemory(log))
    log.fail("read")
    with pytest.raises(UnreachableError):
        await pauses.pause("rb-1", "why")
    log.fail("append_all")
    (item,) = (await pauses.pause("rb-1", "why")).items
    assert item.outcome is Outcome.FAILED
    assert activity.running_jobs == {1, 2}


async def test_pause_then_it_is_on_record_before_it_is_done() -> None:
    log, activity = FakeAuditLog(), FakeActivity()
    pauses = EstatePauses({"sync": activity}, PauseMemory(log))
    activity.fail("stop")
    assert (await pauses.pause("rb-1", "why")).outcome is Outcome.FAILED
    (entry,) = log.entries
    assert (entry.kind, entry.subject) == (EntryKind.PAUSE, "rb-1")
    assert entry.body["remembered"] == {"jobs": [1, 2]}
    assert (await pauses.resume("rb-1")).outcome is Outcome.SUCCEEDED


async def test_pause_when_a_first_try_did_half_then_resume_starts_both_halves() -> None:
    log, activity = FakeAuditLog(), FakeActivity()
    activity.running_jobs = {1}
    pauses = EstatePauses({"sync": activity}, PauseMemory(log))
    await pauses.pause("rb-1", "why")
    activity.running_jobs = {2}
    await pauses.pause("rb-1", "why")
    assert activity.running_jobs == set()
    await pauses.resume("rb-1")
    assert activity.running_jobs == {1, 2}


async def test_hold_when_taken_over_by_another_then_it_knows_what_ran_before() -> None:
    activity = FakeActivity()
    pauses = EstatePauses({"sync": activity}, PauseMemory(FakeAuditLog()))
    await pauses.pause("rb-1", "one")
    await pauses.pause("rb-2", "two")
    await pauses.resume("rb-1")
    await pauses.resume("rb-2")
    assert activity.running_jobs == {1, 2}


async def test_keys_then_a_repeat_has_the_same_and_a_second_round_another() -> None:
    activity = FakeActivity()
    pauses = EstatePauses({"sync": activity}, PauseMemory(FakeAuditLog()))
    await pauses.pause("rb-1", "why")
    await pauses.pause("rb-1", "why")
    await pauses.resume("rb-1")
    await pauses.pause("rb-1", "why")
    assert activity.keys == [
        "rb-1/sync/0/pause",
        "rb-1/sync/0/pause",
        "rb-1/sync/0/resume",
        "rb-1/sync/1/pause",
    ]


async def test_hook_then_it_is_told_all_and_can_check_who_asks() -> None:
    server = SyncServer()
    async with server.running() as config:
        now = datetime(2026, 3, 1, tzinfo=UTC)
        hook = HookActivity("shop", "sync", config, now=lambda: now)
        await hook.stop(TOLD, {})
        await hook.stop(TOLD, {})
        await hook.aclose()
    (body, headers, raw), (_, repeated, _) = server.calls
    assert body == {
        "estate": "shop",
        "rollback_id": "rb-1",
        "activity": "sync",
        "action": "pause",
        "reason": "why",
    }
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Idempotency-Key"] == repeated["Idempotency-Key"] == TOLD.key
    assert headers["webhook-id"] == repeated["webhook-id"]
    signed = f"{headers['webhook-id']}.{int(now.timestamp())}.".encode() + raw
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"


async def test_hook_when_it_says_yes_and_does_nothing_then_failed() -> None:
    server = SyncServer(deaf=True)
    async with server.running() as config:
        hook = HookActivity("shop", "sync", config)
        seen = await hook.stop(TOLD, {})
        await hook.aclose()
    assert (seen.outcome, seen.detail) == (
        Outcome.FAILED,
        "HTTP 202, and then it says that it is running",
    )


async def test_hook_without_a_status_then_its_answer_counts() -> None:
    server = SyncServer()
    async with server.running() as config:
        bare = config.model_copy(update={"status_url": None})
        hook = HookActivity("shop", "sync", bare)
        seen = await hook.stop(TOLD, {})
        assert await hook.running({}) is None
        await hook.aclose()
    assert seen.outcome is Outcome.SUCCEEDED
    assert "no status_url" in seen.detail


def command(code: str, **fields: Any) -> CommandActivity:
    program = [PYTHON, "-c", code]
    config = PauseCommandConfig.model_validate({"pause": program, "resume": program, **fields})
    return CommandActivity("shop", "sync", config)


async def test_program_then_it_sees_a_small_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSED_ON", "yes")
    monkeypatch.setenv("KEPT_BACK", "secret")
    code = "import os; open('seen', 'w').write(repr((dict(os.environ), os.getcwd())))"
    activity = command(code, environment=["PASSED_ON", "NOT_SET"], directory=str(tmp_path))
    assert (await activity.stop(TOLD, {})).outcome is Outcome.SUCCEEDED
    text = (tmp_path / "seen").read_text()
    for told in ("'PASSED_ON': 'yes'", "'FAILBACK_ACTION': 'pause'", "'FAILBACK_REASON': 'why'"):
        assert told in text
    assert "KEPT_BACK" not in text
    assert text.endswith(f"'{tmp_path}')")


async def test_program_when_it_does_not_end_then_it_is_ended_with_its_children(
    tmp_path: Path,
) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    # Two children hold the pipe open; its reader sees the end once all of them are gone.
    code = f"import os, time; os.open({str(fifo)!r}, os.O_WRONLY); os.fork(); time.sleep(600)"
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    seen = await command(code, timeout_seconds=1.0).stop(TOLD, {})
    assert (seen.outcome, seen.detail) == (
        Outcome.FAILED,
        "its program to pause it: did not end within 1 s",
    )
    os.set_blocking(reader, True)
    assert await asyncio.wait_for(asyncio.to_thread(os.read, reader, 1), 10) == b""
    os.close(reader)


@pytest.mark.parametrize(
    ("code", "status", "outcome", "detail"),
    [
        ("raise SystemExit(3)", "", Outcome.FAILED, "its program to pause it: exit code 3"),
        ("", "", Outcome.SUCCEEDED, "its program exited 0"),
        ("", "raise SystemExit(1)", Outcome.FAILED, "its status program says that it is running"),
        ("", "raise SystemExit(2)", Outcome.INCONCLUSIVE, "its state is not known: exit code 2"),
        ("", "raise SystemExit(0)", Outcome.SUCCEEDED, "its status program says so"),
    ],
)
async def test_program_then_its_exit_codes_count(
    code: str, status: str, outcome: Outcome, detail: str
) -> None:
    fields = {"status": [PYTHON, "-c", status]} if status else {}
    seen = await command(code, **fields).stop(TOLD, {})
    assert (seen.outcome, seen.detail) == (outcome, detail)


@pytest.mark.parametrize(
    ("activity", "problem"),
    [
        ({}, "paused in one way"),
        ({"pg_cron": {}, "command": {"pause": ["a"], "resume": ["b"]}}, "paused in one way"),
        ({"hook": {"pause_url": "ftp://x", "resume_url": "http://x"}}, "pause_url has no http"),
        ({"command": {"pause": [], "resume": ["b"]}}, "at least 1 item"),
    ],
)
def test_section_when_it_does_not_fit_then_it_says_why(
    activity: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        PausesConfig.model_validate({"activities": {"sync": activity}})
