"""What pauses of a migration keep, on the fake and on a hook that a real server answers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr, ValidationError

from failback.ports import MigrationPause
from failback.providers.pause import FakeMigrationPause, HookMigrationPause
from failback.sections.investigation import InvestigationConfig

TOKEN = "hook-token"


@dataclass
class Hook:
    """A server that answers with the statuses a test lines up, then 204."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.calls.append((request.path, await request.json(), dict(request.headers)))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)

    def config(self, **changes: Any) -> InvestigationConfig:
        fields: dict[str, Any] = {
            "pause_url": f"{self.url}/pause-secret",
            "resume_url": f"{self.url}/resume-secret",
            "token": TOKEN,
            "timeout_seconds": 1.0,
        }
        return InvestigationConfig.model_validate({**fields, **changes})


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    app = web.Application()
    app.router.add_post("/{name}", hook.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield hook
    await runner.cleanup()


@pytest.fixture(params=["fake", "hook"])
async def pause(request: pytest.FixtureRequest, hook: Hook) -> AsyncIterator[MigrationPause]:
    made: MigrationPause = (
        FakeMigrationPause()
        if request.param == "fake"
        else HookMigrationPause("shop", hook.config(), pause_seconds=0.001)
    )
    yield made
    await made.aclose()


async def test_pause_when_told_twice_and_resumed_then_each_is_done(pause: MigrationPause) -> None:
    for tell in (pause.pause, pause.pause, pause.resume):
        report = await tell("inv-1", "unusual")
        assert report.done
        assert report.detail


async def test_hook_when_called_then_has_all_that_it_needs(hook: Hook) -> None:
    pause = HookMigrationPause("shop", hook.config())
    await pause.pause("inv-1", "unusual")
    await pause.resume("inv-1", "unusual")
    await pause.aclose()
    (path, body, headers), (second_path, second_body, _) = hook.calls
    assert (path, second_path) == ("/pause-secret", "/resume-secret")
    assert body == {
        "estate": "shop",
        "investigation_id": "inv-1",
        "action": "pause",
        "reason": "unusual",
    }
    assert second_body["action"] == "resume"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Idempotency-Key"] == "inv-1/pause"


@pytest.mark.parametrize(
    ("statuses", "tries", "done"), [([503, 503], 3, True), ([500] * 3, 3, False), ([403], 1, False)]
)
async def test_hook_when_it_answers_with_errors_then_tried_as_often_as_it_helps(
    hook: Hook, statuses: list[int], tries: int, done: bool
) -> None:
    hook.statuses = list(statuses)
    pause = HookMigrationPause("shop", hook.config(), pause_seconds=0.001)
    report = await pause.pause("inv-1", "unusual")
    await pause.aclose()
    assert (report.done, len(hook.calls)) == (done, tries)


async def test_hook_when_nobody_listens_then_a_result_without_its_address(hook: Hook) -> None:
    config = hook.config(pause_url="http://127.0.0.1:1/pause-secret", resume_url=None)
    pause = HookMigrationPause("shop", config, pause_seconds=0.001)
    report = await pause.pause("inv-1", "unusual")
    nothing = await pause.resume("inv-1", "unusual")
    await pause.aclose()
    assert (report.done, nothing.done) == (False, False)
    assert "pause-secret" not in report.detail
    assert "investigation.resume_url is not set" in nothing.detail


def test_hook_when_its_address_is_none_then_a_configuration_error() -> None:
    with pytest.raises(ValidationError, match="pause_url has no http"):
        InvestigationConfig(pause_url=SecretStr("ftp://x"))
