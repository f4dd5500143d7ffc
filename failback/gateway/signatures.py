"""Who sent a message: bearer tokens and HMAC signatures, compared in constant time."""

import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from pydantic import SecretStr
from starlette.datastructures import Headers

from failback.gateway.refusals import RefusedError, unauthorised

AHEAD = timedelta(minutes=5)
"""As far a sender's clock may be ahead of ours."""


def bearer_of(headers: Headers) -> str:
    """The bearer token that a request shows; empty where it shows none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def matches_any(shown: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether one is the other, in a time that does not tell which or how nearly."""
    candidates = [one.encode("utf-8", "surrogateescape") for one in shown]
    found = False
    for known in wanted:
        for one in candidates:
            found |= hmac.compare_digest(one, known.encode())
    return found


def demand_bearer(headers: Headers, tokens: Iterable[SecretStr]) -> None:
    """Refuse who shows none of these tokens.

    Raises:
        RefusedError: 401.
    """
    shown = bearer_of(headers)
    if not shown or not matches_any([shown], (one.get_secret_value() for one in tokens)):
        raise unauthorised(
            "No bearer token is shown." if not shown else "The bearer token is not known.",
            "Send Authorization: Bearer with a token of this sender's section under "
            "gateway.webhooks.",
        )


def hmac_sha256(secret: SecretStr, message: bytes) -> str:
    """The hexadecimal HMAC of a message."""
    return hmac.new(secret.get_secret_value().encode(), message, hashlib.sha256).hexdigest()


def demand_hmac(
    shown: Iterable[str], secrets: Iterable[SecretStr], message: bytes, header: str
) -> None:
    """Refuse a message whose signature none of these secrets makes.

    Args:
        shown: hexadecimal signatures as they were sent.
        secrets: any one of them may have signed.
        message: what was signed.
        header: where the signature was to be, for the answer.

    Raises:
        RefusedError: 401.
    """
    candidates = [one for one in shown if one]
    if not candidates:
        raise unauthorised(
            f"There is no signature in {header}.",
            "Sign with a secret of this sender's section under gateway.webhooks.",
            scheme="Signature",
        )
    wanted = [hmac_sha256(secret, message) for secret in secrets]
    if not matches_any(candidates, wanted):
        raise unauthorised(
            f"The signature in {header} does not fit the body.",
            "Sign the body as it is sent, with a secret of this sender's section.",
            scheme="Signature",
        )


def demand_recent(sent_at: datetime, now: datetime, max_age_seconds: float) -> None:
    """Refuse what was sent long ago, or will be: somebody may have kept it to send it again.

    Raises:
        RefusedError: 403.
    """
    age = now - sent_at
    if age > timedelta(seconds=max_age_seconds):
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            f"The message was sent {age.total_seconds():.0f} s ago, and counts as replayed.",
            "Send a new one; gateway.webhooks.max_age_seconds says how old one may be.",
        )
    if -age > AHEAD:
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            f"The message was sent {-age.total_seconds():.0f} s in the future.",
            "Set the clocks of both machines.",
        )


def seconds_since_1970(told: str) -> datetime | None:
    """A time of a header; None where it is none."""
    if not told.isascii() or not told.isdecimal() or len(told) > len("99999999999"):
        return None
    return datetime.fromtimestamp(int(told), UTC)
