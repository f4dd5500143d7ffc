"""Passwords and tokens: bcrypt, and JWTs that both sides accept who share what signs them."""

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Any

import bcrypt
import jwt

from failback.lab.product.problems import ProblemError
from failback.lab.product.signing_keys import SigningKeys

_ALGORITHM = "HS256"
_SLOW_COST = 7
"""From this bcrypt cost on, hashing is long enough to be worth a thread."""
_BCRYPT_LIMIT = 72
"""bcrypt reads that many bytes; what is longer is refused, as GoTrue does."""


@dataclass(frozen=True)
class Caller:
    """Whom a request comes from, as its token says."""

    role: str
    user_id: str | None = None
    session_id: str | None = None
    email: str | None = None

    @property
    def is_service(self) -> bool:
        """Whether this is the operator's own key, which sees every row."""
        return self.role == "service_role"


class Tokens:
    """Issues and checks tokens and password hashes.

    Args:
        secret: the JWT secret; usually both sides share it.
        cost: bcrypt's cost; hosted Supabase uses 10, the lab less.
        keys: asymmetric keys that sign and are trusted besides the secret.
        lifetime_seconds: how long an access token is good for.
    """

    def __init__(
        self,
        secret: str,
        *,
        cost: int,
        keys: SigningKeys | None = None,
        lifetime_seconds: int = 3600,
    ) -> None:
        self._secret = secret
        self._keys = keys
        self._cost = cost
        self.lifetime_seconds = lifetime_seconds

    def issue(self, *, user_id: str, session_id: str, email: str) -> str:
        """An access token of one session."""
        now = int(time.time())
        claims = {
            "iss": "lab",
            "aud": "authenticated",
            "role": "authenticated",
            "sub": user_id,
            "email": email,
            "session_id": session_id,
            "aal": "aal1",
            "iat": now,
            "exp": now + self.lifetime_seconds,
        }
        key = self._keys.signing() if self._keys is not None else None
        if key is None:
            return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)
        return jwt.encode(
            claims, key, algorithm=key.algorithm_name, headers={"kid": str(key.key_id)}
        )

    def public_keys(self) -> list[dict[str, Any]]:
        """The keys that anybody may check a token with; none where only the secret signs."""
        return self._keys.public() if self._keys is not None else []

    def read(self, token: str) -> Caller:
        """Who holds an access token.

        Raises:
            ProblemError: 401, the token is expired, forged or no token.
        """
        try:
            key, algorithm = self._key_of(token)
            claims = jwt.decode(token, key, algorithms=[algorithm], audience="authenticated")
        except jwt.ExpiredSignatureError as error:
            raise ProblemError(401, "bad_jwt", "JWT expired") from error
        except jwt.InvalidTokenError as error:
            raise ProblemError(401, "bad_jwt", f"invalid JWT: {error}") from error
        return Caller(
            role=str(claims.get("role", "authenticated")),
            user_id=claims.get("sub"),
            session_id=claims.get("session_id"),
            email=claims.get("email"),
        )

    def _key_of(self, token: str) -> tuple[str | jwt.PyJWK, str]:
        """What a token has to be signed with: the key that it names, else the secret."""
        kid = jwt.get_unverified_header(token).get("kid")
        key = self._keys.verifying(kid) if self._keys is not None and kid else None
        return (self._secret, _ALGORITHM) if key is None else (key, key.algorithm_name)

    def refresh_token(self) -> str:
        """A new opaque refresh token."""
        return secrets.token_urlsafe(16)

    async def hashed(self, password: str) -> str:
        """A password's bcrypt hash.

        Raises:
            ProblemError: 422, the password is too short or too long.
        """
        raw = password.encode()
        if not 6 <= len(raw) <= _BCRYPT_LIMIT:  # noqa: PLR2004 - GoTrue's least length
            raise ProblemError(
                422, "weak_password", "A password has at least 6 characters and at most 72 bytes."
            )
        if self._cost < _SLOW_COST:
            return bcrypt.hashpw(raw, bcrypt.gensalt(self._cost)).decode()
        return (await asyncio.to_thread(bcrypt.hashpw, raw, bcrypt.gensalt(self._cost))).decode()

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether a password is the one that was hashed."""
        raw = password.encode()
        if hashed is None or len(raw) > _BCRYPT_LIMIT:
            return False
        if self._cost < _SLOW_COST:
            return bcrypt.checkpw(raw, hashed.encode())
        return await asyncio.to_thread(bcrypt.checkpw, raw, hashed.encode())
