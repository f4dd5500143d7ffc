"""Signed one-time links: what a person may decide by following one, and how it is checked.

A token is `base64url(claims) . base64url(HMAC-SHA256(key, "failback approval link 1" + claims))`.
It names one person, role, rollback and plan. The rollback remembers the nonces that were used, so
that the second use of a token is refused by whoever processes it.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from pydantic import ValidationError

from failback.errors import ApprovalRefusedError
from failback.models.common import Payload
from failback.models.rollback import Decision

_PURPOSE = b"failback approval link 1\n"
_NO_GOOD = "Ask for a new one, or decide with `failback rollback approve`."


class LinkClaims(Payload):
    """What a link says, once its signature was found to be right."""

    estate: str
    rollback_id: str
    plan_hash: str
    who: str
    role: str = ""
    verbs: tuple[str, ...] = ("approve", "reject")
    """What may be decided by it; once, whichever it is."""
    expires_at: datetime
    nonce: str

    def decision(self, comment: str = "") -> Decision:
        """The decision in the name of the link's holder."""
        return Decision(
            who=self.who,
            role=self.role,
            comment=comment,
            plan_hash=self.plan_hash,
            nonce=self.nonce,
            via="link",
        )


class LinkSigner:
    """Makes and checks tokens.

    Args:
        key: `approvals.link_key`, the same wherever links are made and followed.
        seconds: for so long a token is good.
    """

    def __init__(self, key: str, seconds: float) -> None:
        self._key = key.encode()
        self._seconds = seconds

    def token(
        self,
        *,
        estate: str,
        rollback_id: str,
        plan_hash: str,
        who: str,
        role: str,
        now: datetime,
        verbs: Sequence[str] = ("approve", "reject"),
    ) -> str:
        """A new token; no two are the same."""
        claims = LinkClaims(
            estate=estate,
            rollback_id=rollback_id,
            plan_hash=plan_hash,
            who=who,
            role=role,
            verbs=tuple(verbs),
            expires_at=now + timedelta(seconds=self._seconds),
            nonce=secrets.token_urlsafe(16),
        )
        body = claims.model_dump_json().encode()
        return f"{_encoded(body)}.{_encoded(self._signature(body))}"

    def claims(self, token: str, now: datetime) -> LinkClaims:
        """What a token says.

        Raises:
            ApprovalRefusedError: it was not signed by this key, or was changed, or has expired.
        """
        body, _, signature = token.partition(".")
        try:
            raw, given = _decoded(body), _decoded(signature)
        except (ValueError, binascii.Error) as error:
            raise ApprovalRefusedError("The link is damaged.", _NO_GOOD) from error
        if not hmac.compare_digest(self._signature(raw), given):
            raise ApprovalRefusedError("The link is not one of ours.", _NO_GOOD)
        try:
            claims = LinkClaims.model_validate_json(raw)
        except ValidationError as error:
            raise ApprovalRefusedError("The link is of another version.", _NO_GOOD) from error
        if now >= claims.expires_at:
            raise ApprovalRefusedError(
                f"The link was good until {claims.expires_at.astimezone(UTC):%F %T} UTC.", _NO_GOOD
            )
        return claims

    def _signature(self, body: bytes) -> bytes:
        return hmac.digest(self._key, _PURPOSE + body, "sha256")


def address(public_url: str, token: str) -> str:
    """Where a token is followed: a page of the gateway."""
    return f"{public_url.rstrip('/')}/approve/{quote(token, safe='')}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    # `validate`: what is no base64 is refused, and not passed over.
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
