"""Messages and channels as tests of notifications need them."""

from datetime import UTC, datetime
from typing import Any

from failback.models.messages import Message, MessageKind
from failback.sections.channels import ChannelConfig

from support.mail_server import PASSWORD, USER, MailServer
from support.vendors import API_KEY, PAGE, ROUTING_KEY, TOKEN, Vendors

HAPPENED = datetime(2026, 3, 14, 2, 41, 7, tzinfo=UTC)
HMAC_SECRET = "whsec_cGxhbnRlZC13ZWJob29rLXNlY3JldA=="
SECRETS = (
    *("planted-webhook", "planted-slack", "planted-mail", "planted-statuspage"),
    *(ROUTING_KEY, TOKEN, API_KEY, PASSWORD, HMAC_SECRET),
)
"""What no delivery, log or history may hold."""


def message(kind: MessageKind = MessageKind.ROLLBACK_STARTED, **changes: Any) -> Message:
    """A message about one rollback."""
    fields: dict[str, Any] = {
        "key": f"rb2-1/{kind.value.lower()}",
        "subject": "shop: level 2 rollback has started",
        "text": "The service goes back to the source.",
        "severity": "warning",
        "rollback_id": "rb2-1",
        "facts": {"reason": "errors <b>& more</b>", "asked by": "alice"},
        "links": {"Watch it": "https://failback.example/rollbacks/rb2-1?a=1&b=2"},
    }
    return Message.model_validate(
        {"kind": kind, "estate": "shop", "occurred_at": HAPPENED, **fields, **changes}
    )


def channels(vendors: Vendors, mail: MailServer | None = None) -> dict[str, ChannelConfig]:
    """One channel of every kind, each on a vendor of this machine."""
    documents: dict[str, dict[str, Any]] = {
        "log": {},
        "webhook": {
            "kind": "webhook",
            "url": f"{vendors.url}/planted-webhook-path",
            "secret": HMAC_SECRET,
        },
        "slack": {
            "kind": "slack",
            "slack": {"webhook_url": f"{vendors.url}/services/planted-slack-path"},
        },
        "slack-bot": {
            "kind": "slack",
            "slack": {"token": TOKEN, "channel": "C123", "api_url": f"{vendors.url}/slack/api"},
        },
        "pagerduty": {
            "kind": "pagerduty",
            "pagerduty": {"routing_key": ROUTING_KEY, "url": f"{vendors.url}/v2/enqueue"},
        },
        "statuspage": {
            "kind": "statuspage",
            "audiences": ["status_page"],
            "statuspage": {
                "page": PAGE,
                "api_key": API_KEY,
                "components": ["8kbf7d35c070"],
                "api_url": f"{vendors.url}/statuspage/v1",
            },
        },
    }
    if mail is not None:
        login = {} if mail.tls == "none" else {"user": USER, "password": PASSWORD}
        documents["email"] = {
            "kind": "email",
            "email": {
                "host": "127.0.0.1",
                "port": mail.port,
                "tls": mail.tls,
                "ca_file": str(mail.ca_file),
                "sender": "failback@example.test",
                "recipients": ["oncall@example.test", "lead@example.test"],
                **login,
            },
        }
    return {
        name: ChannelConfig.model_validate({"timeout_seconds": 2.0, **document})
        for name, document in documents.items()
    }
