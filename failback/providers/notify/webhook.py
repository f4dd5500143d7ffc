"""A channel that posts JSON to an address, signed as the Standard Webhooks specification says.

Receivers check it with that specification's libraries (https://www.standardwebhooks.com, 1.0.0):
`webhook-id` names the message and is the same in repeats, `webhook-timestamp` is the time of this
try in Unix seconds, and `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over
`id.timestamp.body`.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime

from failback.providers.notify.http import Poster
from failback.providers.notify.note import Note

_PREFIX = "whsec_"


class WebhookChannel:
    """Implements `Channel`.

    Args:
        url: where to post.
        secret: key of the signature, `whsec_` and base64 or any text; unsigned where empty.
        timeout_seconds: for one try.
        now: the clock.
    """

    def __init__(
        self,
        url: str,
        secret: str = "",
        *,
        timeout_seconds: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url = url
        self._key = signing_key(secret) if secret else b""
        self._now = now
        self._poster = Poster(timeout_seconds)

    async def send(self, note: Note) -> str:
        """See `Channel.send`."""
        now = self._now()
        body = json.dumps(document(note, now), ensure_ascii=False).encode()
        name = hashlib.sha256(note.key.encode()).hexdigest()[:32]
        stamp = str(int(now.timestamp()))
        headers = {
            "content-type": "application/json",
            "idempotency-key": name,
            "webhook-id": name,
            "webhook-timestamp": stamp,
        }
        if self._key:
            headers["webhook-signature"] = signature(self._key, name, stamp, body)
        answer = await self._poster.send("POST", self._url, content=body, headers=headers)
        return f"HTTP {answer.status_code}"

    async def aclose(self) -> None:
        """See `Channel.aclose`."""
        await self._poster.aclose()


def document(note: Note, now: datetime) -> dict[str, object]:
    """What is posted; `text` holds subject and body, as chat services expect it."""
    message = note.message
    shown: dict[str, object] = {
        "text": f"{note.subject}\n{note.text}",
        "subject": note.subject,
        "body": note.text,
        "estate": message.estate,
        "channel": note.channel,
        "kind": message.kind.value,
        "severity": message.severity,
        "occurred_at": message.occurred_at.isoformat(),
        "sent_at": now.isoformat(),
    }
    if not note.public:
        shown |= {
            "key": message.key,
            "rollback_id": message.rollback_id,
            "facts": dict(note.facts),
            "links": dict(note.links),
        }
    return shown


def signing_key(secret: str) -> bytes:
    """The key's bytes: decoded where it is written as the specification does, else as it is."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def signature(key: bytes, name: str, stamp: str, body: bytes) -> str:
    """The signature of one request."""
    signed = b".".join((name.encode(), stamp.encode(), body))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
