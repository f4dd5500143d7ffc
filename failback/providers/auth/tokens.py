"""Whether the source takes the target's access tokens: asked of both, with a token of ours."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from failback.errors import UnreachableError
from failback.models.common import Side
from failback.providers.auth.sealing import Secrets
from failback.providers.auth.side import AuthSide

_MEMBERS = {"EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "RSA": ("e", "n")}
_LIFETIME_SECONDS = 60
_STATUS_USER = "status"


class Trust(NamedTuple):
    """Whether the target's tokens hold on the source; None where it cannot be told."""

    holds: bool | None
    detail: str
    missing: tuple[str, ...] = ()
    """Ids of the target's keys that the source does not trust."""


async def judge(sides: Mapping[Side, AuthSide], secrets: Secrets, jwt_secret: str | None) -> Trust:
    """Ask both sides.

    The keys that they publish are compared first. Then the source is shown a token: one that is
    signed here with the shared secret, where that is known and the target takes it itself; else one
    that the target has issued to a user of ours, who is gone afterwards.

    Raises:
        UnreachableError: a side does not answer.
    """
    published = await sides[Side.TARGET].keys()
    trusted = {mark(key) for key in await sides[Side.SOURCE].keys()}
    missing = tuple(name_of(key) for key in published if mark(key) not in trusted)
    if missing:
        return Trust(
            False,
            f"the source does not trust {len(missing)} of the target's {len(published)} signing"
            f" keys: {', '.join(missing[:5])}",
            missing,
        )
    # Where keys are published, they sign, and tokens of the secret alone would prove too little.
    if jwt_secret and not published:
        return await _signed_here(sides, jwt_secret)
    return await _issued(sides, secrets)


async def _signed_here(sides: Mapping[Side, AuthSide], jwt_secret: str) -> Trust:
    token = signed(jwt_secret)
    at_home = await sides[Side.TARGET].user(token)
    if at_home.trusts is not True:
        return Trust(
            None if at_home.trusts is None else False,
            f"the target itself does not take a token signed with auth.jwt_secret ({at_home.said})",
        )
    answer = await sides[Side.SOURCE].user(token)
    return _told(answer.trusts, answer.said, "a token signed with auth.jwt_secret")


async def _issued(sides: Mapping[Side, AuthSide], secrets: Secrets) -> Trust:
    target = sides[Side.TARGET]
    email, password = secrets.email(_STATUS_USER), secrets.password(_STATUS_USER)
    user_id = ""
    try:
        created = await target.create_user(email, password)
        user_id = created.text("id")
        signed_in = await target.sign_in(email, password)
        user_id = user_id or _id_in(signed_in.body)
        token = signed_in.text("access_token")
        if not token:
            refused = signed_in if created.fine else created
            return Trust(
                None,
                f"the target issued no token to try ({refused.said}); with auth.jwt_secret none"
                " has to be issued",
            )
        answer = await sides[Side.SOURCE].user(token)
        return _told(answer.trusts, answer.said, "a token that the target has just issued")
    finally:
        if user_id:
            await _removed(target, user_id)


async def _removed(target: AuthSide, user_id: str) -> None:
    try:
        await target.delete_user(user_id)
    except UnreachableError:
        # The next look meets the same user and removes it.
        return


def _told(holds: bool | None, said: str, what: str) -> Trust:
    if holds is None:
        return Trust(None, f"the source's answer to {what} does not tell ({said})")
    return Trust(holds, f"the source {'takes' if holds else 'refuses'} {what} ({said})")


def _id_in(session: Mapping[str, Any]) -> str:
    user = session.get("user")
    found = user.get("id") if isinstance(user, dict) else None
    return found if isinstance(found, str) else ""


def thumbprint(key: Mapping[str, Any]) -> str:
    """A key's SHA-256 thumbprint (RFC 7638): the same for its public and its private form."""
    members = {name: str(key.get(name, "")) for name in _MEMBERS.get(str(key.get("kty")), ("k",))}
    members["kty"] = str(key.get("kty", ""))
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def mark(key: Mapping[str, Any]) -> tuple[str, str]:
    """What tells a key: a token names its key by the id, so that the same under another is none."""
    return str(key.get("kid", "")), thumbprint(key)


def name_of(key: Mapping[str, Any]) -> str:
    """A key's id, or the beginning of its thumbprint where it has none."""
    return str(key.get("kid") or thumbprint(key)[:16])


def signed(secret: str) -> str:
    """A token of a user who does not exist (RFC 7519 by HS256), good for a minute."""
    now = int(time.time())
    claims = {
        "aud": "authenticated",
        "role": "authenticated",
        "sub": str(uuid.uuid4()),
        "session_id": str(uuid.uuid4()),
        "iat": now,
        "exp": now + _LIFETIME_SECONDS,
    }
    head = ".".join(_encoded(json.dumps(part).encode()) for part in (_HEADER, claims))
    mark = hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest()
    return f"{head}.{_encoded(mark)}"


_HEADER = {"alg": "HS256", "typ": "JWT"}


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
