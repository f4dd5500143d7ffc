"""What notifiers keep, on the fake and on a log and a real webhook."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from failback.errors import ConfigurationError
from failback.models.common import Outcome
from failback.ports import Notifier
from failback.providers.notify import ChannelNotifier, FakeNotifier
from failback.sections.people import ChannelConfig


class Hook:
    """A real webhook that answers with the statuses a test lines up, then 204."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.hanging = False
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.messages.append(await request.json())
        if self.hanging:
            await asyncio.sleep(30)
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    app = web.Application()
    app.router.add_post("/secret-path", hook.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/secret-path"
    yield hook
    await runner.cleanup()


def channels(url: str) -> dict[str, ChannelConfig]:
    return {
        "operators": ChannelConfig(),
        "chat": ChannelConfig(kind="webhook", url=url),
    }


@pytest.fixture(params=["fake", "channels"])
async def notifier(request: pytest.FixtureRequest, hook: Hook) -> AsyncIterator[Notifier]:
    made: Notifier = (
        FakeNotifier() if request.param == "fake" else ChannelNotifier("shop", channels(hook.url))
    )
    yield made
    await made.aclose()


class TestNotifierContract:
    @pytest.mark.parametrize("channel", ["operators", "chat"])
    async def test_message_when_sent_then_delivered(self, notifier: Notifier, channel: str) -> None:
        result = await notifier.notify(channel, "Rollback started", "Level 2")
        assert (result.name, result.outcome) == (channel, Outcome.SUCCEEDED)
        assert result.detail

    async def test_messages_when_sent_at_once_then_all_delivered(self, notifier: Notifier) -> None:
        results = await asyncio.gather(*(notifier.notify("chat", str(n), "") for n in range(5)))
        assert {result.outcome for result in results} == {Outcome.SUCCEEDED}


class TestChannelNotifier:
    async def test_webhook_when_it_takes_the_message_then_has_all_parts(self, hook: Hook) -> None:
        notifier = ChannelNotifier("shop", channels(hook.url))
        await notifier.notify("chat", "Rollback started", "Level 2")
        await notifier.aclose()
        (message,) = hook.messages
        assert message.pop("sent_at")
        assert message == {
            "text": "Rollback started\nLevel 2",
            "subject": "Rollback started",
            "body": "Level 2",
            "estate": "shop",
            "channel": "chat",
        }

    @pytest.mark.parametrize(
        ("statuses", "tries", "outcome"),
        [
            ([503, 429], 3, Outcome.SUCCEEDED),
            ([503, 503, 500], 3, Outcome.FAILED),
            ([404], 1, Outcome.FAILED),
        ],
    )
    async def test_webhook_when_it_answers_with_errors_then_tried_as_often_as_it_helps(
        self, hook: Hook, statuses: list[int], tries: int, outcome: Outcome
    ) -> None:
        hook.statuses = list(statuses)
        notifier = ChannelNotifier("shop", channels(hook.url), pause_seconds=0.001)
        result = await notifier.notify("chat", "s", "t")
        await notifier.aclose()
        assert (result.outcome, len(hook.messages)) == (outcome, tries)
        if outcome is Outcome.FAILED:
            assert str(statuses[-1]) in result.detail

    async def test_webhook_when_it_hangs_then_given_up(self, hook: Hook) -> None:
        hook.hanging = True
        notifier = ChannelNotifier(
            "shop", channels(hook.url), timeout_seconds=0.05, pause_seconds=0.001
        )
        result = await notifier.notify("chat", "s", "t")
        await notifier.aclose()
        assert result.outcome is Outcome.FAILED
        assert "0.05 s" in result.detail

    @pytest.mark.parametrize("url", ["http://127.0.0.1:1/secret-path", "http://[bad/secret-path"])
    async def test_webhook_when_away_then_a_failed_result_without_its_address(
        self, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        notifier = ChannelNotifier("shop", channels(url), pause_seconds=0.001)
        with caplog.at_level(logging.WARNING, "failback"):
            result = await notifier.notify("chat", "s", "t")
        await notifier.aclose()
        assert result.outcome is Outcome.FAILED
        assert "secret-path" not in result.detail + caplog.text

    async def test_log_when_told_then_a_record_with_its_parts(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        notifier = ChannelNotifier("shop", {"operators": ChannelConfig()})
        with caplog.at_level(logging.INFO, "failback"):
            await notifier.notify("operators", "Rollback started", "Level 2")
        (record,) = caplog.records
        assert record.getMessage() == "Rollback started: Level 2"
        assert (record.__dict__["estate"], record.__dict__["channel"]) == ("shop", "operators")

    async def test_channel_when_unknown_then_a_result_names_the_known_ones(self) -> None:
        notifier = ChannelNotifier("shop", {"operators": ChannelConfig()})
        result = await notifier.notify("nobody", "s", "t")
        assert result.outcome is Outcome.FAILED
        assert "operators" in result.detail

    @pytest.mark.parametrize("url", [None, "chat.example/hook"])
    def test_webhook_when_it_has_no_address_then_a_configuration_error(
        self, url: str | None
    ) -> None:
        with pytest.raises(ConfigurationError, match="chat"):
            ChannelNotifier("shop", {"chat": ChannelConfig(kind="webhook", url=url)})


async def test_fake_when_told_to_fail_then_a_failed_result_and_nothing_kept() -> None:
    fake = FakeNotifier()
    fake.fail("notify")
    results = [await fake.notify("chat", str(n), "t") for n in range(2)]
    assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.SUCCEEDED]
    assert [message.subject for message in fake.messages] == ["1"]
