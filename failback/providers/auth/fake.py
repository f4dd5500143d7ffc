"""Both sides' auth in memory, for tests and for trying things out. It keeps GoTrue's rules."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from failback.errors import UnreachableError
from failback.models.common import Side
from failback.providers.auth.bridge import BridgeSettings, GoTrueBridge
from failback.providers.auth.directory import UserDifferences
from failback.providers.auth.importing import KeyImport
from failback.providers.auth.sealing import Secrets
from failback.providers.auth.side import Answer

_READ_ONLY = Answer(503, {"error_code": "read_only"})
_UNTRUSTED = Answer(403, {"error_code": "bad_jwt"})


@dataclass(frozen=True)
class _Refresh:
    user: str
    session: str
    revoked: bool = False
    parent: str = ""

    def unused(self) -> "_Refresh":
        """The same before it was swapped."""
        return replace(self, revoked=False)


@dataclass
class _Rows:
    """What is in one side's database."""

    users: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Address and password by id."""
    sessions: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, _Refresh] = field(default_factory=dict)


class FakeAuthSide:
    """Implements `AuthSide` in memory. The reuse interval is nothing: a used token is used.

    Args:
        side: which one it is.
        numbers: of everything that is made, so that no two sides make the same.
    """

    def __init__(self, side: Side, numbers: Iterator[int]) -> None:
        self.side = side
        self.rows = _Rows()
        self.key = "shared"
        """What signs its tokens."""
        self.trusted = {"shared"}
        """The keys whose tokens it takes."""
        self.published: tuple[dict[str, Any], ...] = ()
        self.away = False
        self.fenced = False
        self._numbers = numbers

    async def health(self) -> Answer:
        """See `AuthSide.health`."""
        self._reached()
        return Answer(200, {"name": "fake"})

    async def keys(self) -> tuple[dict[str, Any], ...]:
        """See `AuthSide.keys`."""
        self._reached()
        return self.published

    async def user(self, token: str) -> Answer:
        """See `AuthSide.user`. A token says its key, user and session."""
        self._reached()
        key, _, rest = token.partition("/")
        user, _, session = rest.partition("/")
        if key not in self.trusted:
            return _UNTRUSTED
        if user not in self.rows.users:
            return Answer(403, {"error_code": "user_not_found"})
        if self.rows.sessions.get(session) != user:
            return Answer(403, {"error_code": "session_not_found"})
        return Answer(200, {"id": user})

    async def create_user(self, email: str, password: str) -> Answer:
        """See `AuthSide.create_user`."""
        self._reached()
        if self.fenced:
            return _READ_ONLY
        if self._id_of(email):
            return Answer(422, {"error_code": "email_exists"})
        user = self._made("user")
        self.rows.users[user] = (email, password)
        return Answer(200, {"id": user})

    async def sign_in(self, email: str, password: str) -> Answer:
        """See `AuthSide.sign_in`."""
        self._reached()
        user = self._id_of(email)
        if not user or self.rows.users[user] != (email, password):
            return Answer(400, {"error_code": "invalid_credentials"})
        if self.fenced:
            return _READ_ONLY
        session = self._made("session")
        self.rows.sessions[session] = user
        return self._issued(_Refresh(user, session))

    async def refresh(self, token: str) -> Answer:
        """See `AuthSide.refresh`."""
        self._reached()
        found = self.rows.tokens.get(token)
        if found is None:
            return Answer(400, {"error_code": "refresh_token_not_found"})
        if self.fenced:
            return _READ_ONLY
        if not found.revoked:
            self.rows.tokens[token] = replace(found, revoked=True)
            return self._issued(replace(found, parent=token))
        active = [
            name
            for name, each in self.rows.tokens.items()
            if each.session == found.session and not each.revoked
        ]
        if active and self.rows.tokens[active[-1]].parent == token:
            return self._answer(found, active[-1])
        for name in active:
            self.rows.tokens[name] = replace(self.rows.tokens[name], revoked=True)
        return Answer(400, {"error_code": "refresh_token_already_used"})

    async def delete_user(self, user_id: str) -> Answer:
        """See `AuthSide.delete_user`."""
        self._reached()
        if self.fenced:
            return _READ_ONLY
        if self.rows.users.pop(user_id, None) is None:
            return Answer(404, {"error_code": "user_not_found"})
        for session in [name for name, user in self.rows.sessions.items() if user == user_id]:
            del self.rows.sessions[session]
        for token in [name for name, each in self.rows.tokens.items() if each.user == user_id]:
            del self.rows.tokens[token]
        return Answer(200)

    async def aclose(self) -> None:
        """See `AuthSide.aclose`."""

    def _reached(self) -> None:
        if self.away:
            raise UnreachableError(f"The {self.side.value}'s auth does not answer.")

    def _issued(self, refresh: _Refresh) -> Answer:
        token = self._made("token")
        self.rows.tokens[token] = refresh
        return self._answer(refresh, token)

    def _answer(self, refresh: _Refresh, token: str) -> Answer:
        return Answer(
            200,
            {
                "access_token": f"{self.key}/{refresh.user}/{refresh.session}",
                "refresh_token": token,
                "expires_in": 3600,
                "user": {"id": refresh.user},
            },
        )

    def _id_of(self, email: str) -> str:
        found = (user for user, (address, _) in self.rows.users.items() if address == email)
        return next(found, "")

    def _made(self, what: str) -> str:
        return f"{what}-{next(self._numbers)}"


class FakeAuth:
    """Both sides, with what lies between them. Implements `Directory` as well."""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.sides = {side: FakeAuthSide(side, numbers) for side in Side}

    def sync(self) -> None:
        """Carry the target's rows to the source, whether that is fenced or not."""
        rows = self.sides[Side.TARGET].rows
        self.sides[Side.SOURCE].rows = _Rows(
            dict(rows.users), dict(rows.sessions), dict(rows.tokens)
        )

    async def sessions(self) -> int:
        """See `Directory.sessions`."""
        return len(self.sides[Side.TARGET].rows.sessions)

    async def differences(self) -> UserDifferences:
        """See `Directory.differences`."""
        source, target = (self.sides[side].rows.users for side in (Side.SOURCE, Side.TARGET))
        owners = {email: user for user, (email, _) in source.items()}
        return UserDifferences(
            tuple(sorted(u for u, (email, _) in target.items() if owners.get(email, u) != u)),
            tuple(sorted(u for u, data in target.items() if source.get(u, data) != data)),
        )


def fake_bridge(fake: FakeAuth | None = None, importing: KeyImport | None = None) -> GoTrueBridge:
    """The real bridge between two sides in memory: without a network, a database or a pause."""
    between = fake or FakeAuth()
    settings = BridgeSettings(
        secrets=Secrets("fake", "a service key", "failback.invalid"),
        reuse_interval_seconds=0.0,
        look_again_seconds=0.0,
    )
    return GoTrueBridge(between.sides, between, settings, importing)
