"""What each vendor gets, and what its answers are taken for."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from failback.models.messages import MessageKind
from failback.providers.notify import ChannelNotifier
from failback.providers.retrying import retry_after
from failback.sections.channels import ChannelConfig, MessagesConfig

from support.messages import HMAC_SECRET, channels, message
from support.vendors import ROUTING_KEY, Vendors, vendors

STARTED, RESTORED = MessageKind.ROLLBACK_STARTED, MessageKind.TRAFFIC_RESTORED
ENDED, FAILED = MessageKind.ROLLBACK_SUCCEEDED, MessageKind.ROLLBACK_FAILED


@pytest.fixture
async def hosts() -> AsyncIterator[Vendors]:
    async with vendors() as made:
        yield made


@pytest.fixture
async def notifier(hosts: Vendors) -> AsyncIterator[ChannelNotifier]:
    made = ChannelNotifier(channels(hosts))
    yield made
    await made.aclose()


class TestWebhook:
    async def test_body_when_signed_then_a_receiver_can_check_it_by_the_specification(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        await notifier.deliver("webhook", message())
        ((headers, body),) = hosts.requests["webhook"]
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(HMAC_SECRET.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        age = datetime.now(UTC).timestamp() - int(headers["webhook-timestamp"])
        assert -5 < age < 60

    async def test_body_then_it_has_every_part_of_the_message(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        told = message()
        await notifier.deliver("webhook", told)
        (body,) = hosts.bodies["webhook"]
        assert body.pop("sent_at")
        assert body == {
            "text": f"{told.subject}\n{told.text}",
            "subject": told.subject,
            "body": told.text,
            "estate": "shop",
            "channel": "webhook",
            "kind": "ROLLBACK_STARTED",
            "severity": "warning",
            "occurred_at": told.occurred_at.isoformat(),
            "key": told.key,
            "rollback_id": "rb2-1",
            "facts": told.facts,
            "links": told.links,
        }

    async def test_message_when_repeated_then_under_the_same_id_and_another_s_differs(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        for told in (message(), message(), message(ENDED)):
            await notifier.deliver("webhook", told)
        names = [headers["webhook-id"] for headers, _ in hosts.requests["webhook"]]
        assert names[0] == names[1] != names[2]
        assert hosts.requests["webhook"][0][0]["idempotency-key"] == names[0]

    async def test_answer_when_it_asks_to_wait_then_the_delivery_says_for_how_long(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        hosts.statuses["webhook"] = [429]
        hosts.headers = {"Retry-After": "17"}
        delivery = await notifier.deliver("webhook", message())
        assert (delivery.retryable, delivery.retry_after_seconds) == (True, 17.0)

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("", None),
            ("12", 12.0),
            ("Sat, 14 Mar 2026 02:42:07 GMT", 60.0),
            ("Sat, 14 Mar 2026 02:40:07 GMT", None),
            ("99999", 300.0),
            ("-3", None),
            ("nan", None),
            ("soon", None),
        ],
    )
    def test_retry_after_when_read_then_bounded_seconds_or_nothing(
        self, value: str, seconds: float | None
    ) -> None:
        now = datetime(2026, 3, 14, 2, 41, 7, tzinfo=UTC)
        assert retry_after(httpx.Response(429, headers={"retry-after": value}), now) == seconds

    async def test_webhook_when_it_never_answers_then_given_up_after_its_timeout(
        self, hosts: Vendors
    ) -> None:
        hosts.hanging.add("webhook")
        url = f"{hosts.url}/planted-webhook-path"
        config = ChannelConfig.model_validate(
            {"kind": "webhook", "url": url, "timeout_seconds": 0.05}
        )
        notifier = ChannelNotifier({"hook": config})
        delivery = await notifier.deliver("hook", message())
        await notifier.aclose()
        assert (delivery.delivered, delivery.retryable) == (False, True)
        assert "0.05 s" in delivery.detail


class TestSlack:
    async def test_blocks_then_the_text_is_escaped_and_links_are_links(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        text = "a < b & <!channel> <https://evil.example|here>"
        await notifier.deliver("slack", message(text=text))
        (body,) = hosts.bodies["slack"]
        kinds = [block["type"] for block in body["blocks"]]
        assert kinds == ["header", "section", "section", "section", "context"]
        shown = json.dumps(body)
        assert "<!channel>" not in shown
        assert "a &lt; b &amp; &lt;!channel&gt;" in body["blocks"][1]["text"]["text"]
        assert (
            body["blocks"][2]["fields"][0]["text"]
            == "*reason*\nerrors &lt;b&gt;&amp; more&lt;/b&gt;"
        )
        link = body["blocks"][3]["text"]["text"]
        assert link == "<https://failback.example/rollbacks/rb2-1?a=1&b=2|Watch it>"
        assert body["text"].startswith("shop: level 2 rollback has started")

    async def test_long_text_then_no_entity_is_cut_and_nothing_is_doubled(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        await notifier.deliver("slack", message(text="<" * 2_500))
        sections = [b["text"]["text"] for b in hosts.bodies["slack"][0]["blocks"] if "text" in b]
        marks = "".join(text for text in sections if "&lt;" in text)
        assert marks == "&lt;" * 2_500

    @pytest.mark.parametrize(
        ("error", "again"),
        [("ratelimited", True), ("channel_not_found", False), ("invalid_auth", False)],
    )
    async def test_bot_when_slack_answers_200_with_an_error_then_not_delivered(
        self, hosts: Vendors, notifier: ChannelNotifier, error: str, again: bool
    ) -> None:
        hosts.slack_errors = [error]
        delivery = await notifier.deliver("slack-bot", message())
        assert (delivery.delivered, delivery.retryable) == (False, again)
        assert error in delivery.detail

    async def test_bot_when_it_posts_then_the_key_is_in_the_metadata(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        told = message()
        await notifier.deliver("slack-bot", told)
        (body,) = hosts.bodies["slack"]
        assert body["channel"] == "C123"
        assert told.key in body["metadata"]["event_payload"]["key"]


class TestPagerDuty:
    async def test_rollback_when_told_to_its_end_then_one_alert_is_opened_and_closed(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        for kind in (MessageKind.APPROVAL_NEEDED, STARTED, FAILED, ENDED):
            await notifier.deliver("pagerduty", message(kind))
        events = hosts.bodies["pagerduty"]
        assert [event["event_action"] for event in events] == [*["trigger"] * 3, "resolve"]
        assert {event["dedup_key"] for event in events} == {"failback/shop/rb2-1"}
        assert {event["routing_key"] for event in events} == {ROUTING_KEY}
        assert events[0]["payload"]["custom_details"]["reason"] == "errors <b>& more</b>"
        assert events[0]["links"][0]["text"] == "Watch it"

    async def test_post_mortem_when_due_then_its_alert_is_not_the_rollback_s(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        for kind in (MessageKind.POST_MORTEM_DUE, MessageKind.POST_MORTEM_COMPLETED):
            await notifier.deliver("pagerduty", message(kind))
        events = hosts.bodies["pagerduty"]
        assert [event["event_action"] for event in events] == ["trigger", "resolve"]
        assert {event["dedup_key"] for event in events} == {"failback/shop/rb2-1/post-mortem"}

    async def test_subject_when_too_long_then_cut_at_1024_characters(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        await notifier.deliver("pagerduty", message(subject="é" * 3_000))
        summary = hosts.bodies["pagerduty"][0]["payload"]["summary"]
        assert (len(summary), summary[-1]) == (1024, "…")

    async def test_channel_when_tried_then_the_alert_is_closed_again(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        await notifier.deliver("pagerduty", message(MessageKind.TEST))
        actions = [event["event_action"] for event in hosts.bodies["pagerduty"]]
        assert actions == ["trigger", "resolve"]

    async def test_event_when_it_is_refused_then_not_tried_again(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        hosts.statuses["pagerduty"] = [400]
        delivery = await notifier.deliver("pagerduty", message())
        assert (delivery.delivered, delivery.retryable) == (False, False)


class TestStatuspage:
    async def test_rollback_when_told_to_its_end_then_one_incident_is_opened_and_resolved(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        for kind in (STARTED, RESTORED, ENDED):
            assert (await notifier.deliver("statuspage", message(kind))).delivered
        (incident,) = hosts.incidents
        assert incident["status"] == "resolved"
        assert incident["components"] == {"8kbf7d35c070": "operational"}
        updates = hosts.bodies["statuspage"]
        assert [one["status"] for one in updates] == ["identified", "monitoring", "resolved"]

    async def test_message_when_repeated_then_published_once(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        for _ in range(3):
            delivery = await notifier.deliver("statuspage", message(STARTED))
        assert delivery.delivered
        assert len(hosts.bodies["statuspage"]) == 1

    async def test_start_when_it_comes_after_the_end_then_the_page_stays_resolved(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        await notifier.deliver("statuspage", message(ENDED))
        late = await notifier.deliver("statuspage", message(STARTED))
        assert late.delivered
        assert [one["status"] for one in hosts.bodies["statuspage"]] == ["resolved"]

    async def test_page_when_others_have_incidents_then_they_are_left_alone(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        hosts.incidents += [
            {"id": "theirs", "metadata": {}, "status": "investigating"},
            {"id": "odd", "metadata": None, "status": "resolved"},
        ]
        await notifier.deliver("statuspage", message(STARTED))
        await notifier.deliver("statuspage", message(ENDED))
        assert [one["status"] for one in hosts.incidents] == [
            "investigating",
            "resolved",
            "resolved",
        ]
        assert len(hosts.incidents) == 3

    async def test_public_when_told_then_nothing_internal_is_in_it(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        secret = message(FAILED, subject="db 10.0.3.7 is gone", text="alice saw 10.0.3.7 fail")
        await notifier.deliver("statuspage", secret)
        shown = json.dumps(hosts.bodies["statuspage"])
        assert "10.0.3.7" not in shown
        assert "alice" not in shown

    async def test_public_when_the_operator_has_own_words_then_those_are_published(
        self, hosts: Vendors
    ) -> None:
        words = MessagesConfig.model_validate(
            {"public": {"ROLLBACK_STARTED": {"subject": "Trouble", "text": "We are at it."}}}
        )
        notifier = ChannelNotifier(channels(hosts), words)
        await notifier.deliver("statuspage", message(STARTED))
        await notifier.aclose()
        (incident,) = hosts.bodies["statuspage"]
        assert (incident["name"], incident["body"]) == ("Trouble", "We are at it.")

    async def test_channel_when_tried_then_nothing_is_published(
        self, hosts: Vendors, notifier: ChannelNotifier
    ) -> None:
        delivery = await notifier.deliver("statuspage", message(MessageKind.TEST))
        assert delivery.delivered
        assert "nothing was published" in delivery.detail
        assert not hosts.bodies["statuspage"]


class TestPeople:
    async def test_own_link_when_the_channel_is_a_person_s_then_only_that_one_has_it(
        self, hosts: Vendors
    ) -> None:
        url = f"{hosts.url}/planted-webhook-path"
        config = {
            "alice": ChannelConfig.model_validate(
                {"kind": "webhook", "url": url, "person": "alice"}
            ),
            "all": ChannelConfig.model_validate({"kind": "webhook", "url": url}),
        }
        notifier = ChannelNotifier(
            config,
            links=lambda _, who: {f"Approve as {who}": f"https://x.test/{who}"} if who else {},
        )
        for name in config:
            await notifier.deliver(name, message(MessageKind.APPROVAL_NEEDED, links={}))
        await notifier.aclose()
        assert [body["links"] for body in hosts.bodies["webhook"]] == [
            {"Approve as alice": "https://x.test/alice"},
            {},
        ]

    async def test_channel_when_unknown_then_the_delivery_names_the_known_ones(
        self, notifier: ChannelNotifier
    ) -> None:
        delivery = await notifier.deliver("nobody", message())
        assert (delivery.delivered, delivery.retryable) == (False, False)
        assert "pagerduty" in delivery.detail
