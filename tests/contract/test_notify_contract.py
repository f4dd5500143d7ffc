"""What every channel keeps, on the fake and on each vendor's own way."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from failback.models.messages import MessageKind
from failback.ports import Notifier
from failback.providers.notify import ChannelNotifier, FakeNotifier

from support.mail_server import MailServer, mail_server
from support.messages import SECRETS, channels, message
from support.vendors import Vendors, vendors

REMOTE = ("webhook", "slack", "slack-bot", "pagerduty", "statuspage", "email")
EVERY = ("log", *REMOTE)
CLOSING = MessageKind.ROLLBACK_SUCCEEDED


class World:
    """A notifier with a channel of every kind, and the vendors behind it."""

    def __init__(self, notifier: Notifier, hosts: Vendors, mail: MailServer) -> None:
        self.notifier = notifier
        self.vendors = hosts
        self.mail = mail

    def taken(self, channel: str) -> int:
        """How many messages a vendor took."""
        if isinstance(self.notifier, FakeNotifier):
            return sum(told.channel == channel for told in self.notifier.told)
        if channel == "email":
            return len(self.mail.mails)
        return len(self.vendors.bodies[channel.removesuffix("-bot")])

    def fail_once(self, channel: str, status: int = 503) -> None:
        """The vendor's next answer is an error."""
        if isinstance(self.notifier, FakeNotifier):
            self.notifier.fail("deliver")
        elif channel == "email":
            self.mail.answers.append("451 4.3.0 try again later")
        else:
            self.vendors.statuses[channel.removesuffix("-bot")].append(status)


@pytest.fixture(params=["fake", "channels"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as opened:
        hosts = await opened.enter_async_context(vendors())
        mail = await opened.enter_async_context(mail_server(tmp_path))
        notifier: Notifier = (
            FakeNotifier(channels=EVERY)
            if request.param == "fake"
            else ChannelNotifier(channels(hosts, mail))
        )
        yield World(notifier, hosts, mail)
        await notifier.aclose()


class TestNotifierContract:
    @pytest.mark.parametrize("channel", EVERY)
    async def test_message_when_taken_then_delivered_with_its_time_and_key(
        self, world: World, channel: str
    ) -> None:
        told = message()
        delivery = await world.notifier.deliver(channel, told)
        assert delivery.delivered, delivery.detail
        assert (delivery.channel, delivery.kind, delivery.key) == (channel, told.kind, told.key)
        assert delivery.rollback_id == told.rollback_id
        assert delivery.delivered_at is not None
        assert delivery.occurred_at == told.occurred_at
        assert delivery.detail
        assert not world.vendors.problems

    @pytest.mark.parametrize("channel", REMOTE)
    async def test_message_when_the_vendor_is_away_then_may_be_tried_again_and_is_taken(
        self, world: World, channel: str
    ) -> None:
        world.fail_once(channel)
        failed = await world.notifier.deliver(channel, message())
        assert not failed.delivered
        assert failed.retryable
        assert failed.delivered_at is None
        again = await world.notifier.deliver(channel, message())
        assert again.delivered
        assert world.taken(channel) == 1

    @pytest.mark.parametrize("channel", EVERY)
    async def test_messages_when_of_every_kind_then_each_is_taken_as_its_vendor_wants_it(
        self, world: World, channel: str
    ) -> None:
        public = channel == "statuspage" and not isinstance(world.notifier, FakeNotifier)
        for kind in MessageKind:
            delivery = await world.notifier.deliver(channel, message(kind))
            spoken = not public or kind in PUBLISHED
            assert delivery.delivered == spoken, (kind, delivery.detail)
            assert spoken or not delivery.retryable
        assert not world.vendors.problems

    @pytest.mark.parametrize("channel", EVERY)
    async def test_message_when_long_and_full_of_markup_then_within_the_vendor_s_limits(
        self, world: World, channel: str
    ) -> None:
        long = message(
            subject="<!channel> & \n" + "s" * 5_000,
            text="\n".join("<@U1> & <https://evil.example|click> " * 20 for _ in range(400)),
            facts={f"fact {n} &<>": "v&<>" * 2_000 for n in range(40)},
            links={f"link {n}": f"https://example.test/{n}" for n in range(60)},
        )
        delivery = await world.notifier.deliver(channel, long)
        assert delivery.delivered, (delivery.detail, world.vendors.problems)

    async def test_messages_when_sent_at_once_then_all_are_taken(self, world: World) -> None:
        told = [message(key=f"k{n}", rollback_id="") for n in range(5)]
        deliveries = await asyncio.gather(*(world.notifier.deliver("webhook", one) for one in told))
        assert all(one.delivered for one in deliveries)
        assert world.taken("webhook") == 5

    async def test_plan_when_asked_twice_then_the_same_channels_in_the_same_order(
        self, world: World
    ) -> None:
        plan = world.notifier.plan(message())
        assert plan == world.notifier.plan(message())
        assert plan.addresses
        assert all(address.deadline_seconds > 0 for address in plan.addresses)


PUBLISHED = {
    MessageKind.ROLLBACK_STARTED,
    MessageKind.TRAFFIC_RESTORED,
    MessageKind.ROLLBACK_SUCCEEDED,
    MessageKind.ROLLBACK_FAILED,
    MessageKind.TEST,
}


@pytest.mark.parametrize("channel", REMOTE)
async def test_channel_when_it_fails_in_every_way_then_no_secret_is_told(
    channel: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with vendors() as hosts, mail_server(tmp_path) as mail:
        away = Vendors(url="http://127.0.0.1:1")
        nobody = MailServer("starttls", mail.ca_file, port=1)
        details = []
        with caplog.at_level(logging.DEBUG):
            for notifier in (
                ChannelNotifier(channels(hosts, mail)),
                ChannelNotifier(channels(away, nobody)),
            ):
                for status in (500, 401, 404, 429, 302):
                    hosts.statuses[channel.removesuffix("-bot")] = [status]
                    mail.answers = [f"{status if status >= 400 else 451} no"]
                    delivery = await notifier.deliver(channel, message())
                    assert not delivery.delivered, (status, delivery.detail)
                    details.append(delivery.model_dump_json())
                await notifier.aclose()
    own = "\n".join(record.getMessage() for record in caplog.records if "failback" in record.name)
    assert [secret for secret in SECRETS if secret in "\n".join(details) + own] == []


async def test_fake_when_told_to_fail_then_a_failed_delivery_and_nothing_kept() -> None:
    fake = FakeNotifier()
    fake.fail("deliver")
    deliveries = [await fake.deliver("chat", message(key=str(n))) for n in range(2)]
    assert [one.delivered for one in deliveries] == [False, True]
    assert [told.message.key for told in fake.told] == ["1"]
