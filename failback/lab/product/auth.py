"""The auth part: users, sessions and rotating refresh tokens, as GoTrue has them."""

import json
import time
import uuid
from typing import Any

import psycopg
from aiohttp import web

from failback.lab.product.body import json_object, text_field
from failback.lab.product.database import Database
from failback.lab.product.faulty import Faults
from failback.lab.product.gate import Gate
from failback.lab.product.metrics import Metrics
from failback.lab.product.problems import ProblemError
from failback.lab.product.queries import query
from failback.lab.product.refreshing import Refreshing
from failback.lab.product.tokens import Caller, Tokens
from failback.lab.product.users import shown, with_user

_USER_AGENT_LENGTH = 200
_SCOPES = ("global", "local", "others")


class Auth:
    """Handlers under `/auth/v1/`."""

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        refreshing: Refreshing,
        gate: Gate,
        *,
        metrics: Metrics,
        faults: Faults,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._refreshing = refreshing
        self._gate = gate
        self._metrics = metrics
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of this part."""
        return [
            web.post("/auth/v1/signup", self.sign_up),
            web.post("/auth/v1/token", self.token),
            web.get("/auth/v1/user", self.user),
            web.post("/auth/v1/verify", self.verify),
            web.post("/auth/v1/logout", self.log_out),
            web.get("/auth/v1/health", self.health),
            web.get("/auth/v1/settings", self.settings),
            web.get("/auth/v1/.well-known/jwks.json", self.keys),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        """Answers only when the auth tables can be read."""
        await self._database.row("SELECT 1 FROM auth.users LIMIT 1")
        return web.json_response(
            {"name": "GoTrue", "version": "lab", "description": "Auth of the lab's product"}
        )

    async def settings(self, _request: web.Request) -> web.Response:
        """What a form for signing in has to know."""
        return web.json_response(
            {
                "external": {"email": True, "phone": False},
                "disable_signup": False,
                "mailer_autoconfirm": True,
                "phone_autoconfirm": False,
                "sms_provider": "",
                "saml_enabled": False,
            }
        )

    async def keys(self, _request: web.Request) -> web.Response:
        """The public keys that access tokens may be signed with, as RFC 7517 writes a set."""
        return web.json_response({"keys": self._tokens.public_keys()})

    async def sign_up(self, request: web.Request) -> web.Response:
        """Makes a user with a session: `{"email", "password", "data"?}`."""
        self._metrics.auth_attempts.inc()
        body = await json_object(request)
        email, password = text_field(body, "email").strip().lower(), text_field(body, "password")
        check_email(email)
        session = self._new_session(request)
        user_id = str(uuid.uuid4())
        try:
            row = await self._database.row(
                query("signup"),
                session
                | {
                    "user_id": user_id,
                    "email": email,
                    "password": await self._tokens.hashed(password),
                    "data": json.dumps(body.get("data") or {}),
                },
            )
        except psycopg.errors.UniqueViolation as error:
            raise ProblemError(422, "user_already_exists", "User already registered") from error
        if row is None:
            raise ProblemError(500, "unexpected_failure", "Database error saving new user")
        return self._issued(row[0], session["session_id"], session["token"])

    async def token(self, request: web.Request) -> web.Response:
        """Issues a session for a password, or the next tokens for a refresh token."""
        grant = request.query.get("grant_type")
        self._metrics.auth_attempts.inc()
        if self._faults.login_fails():
            raise ProblemError(400, "invalid_credentials", "Invalid login credentials")
        if grant == "password":
            return await self._log_in(request)
        if grant == "refresh_token":
            return await self._refresh(request)
        raise ProblemError(400, "validation_failed", f"unsupported grant_type {grant!r}")

    async def verify(self, request: web.Request) -> web.Response:
        """Issues a session for the hash of a link that the operator made: once, within an hour."""
        self._metrics.auth_attempts.inc()
        token_hash = text_field(await json_object(request), "token_hash")
        row = await self._database.row(with_user("redeem_one_time_token"), {"hash": token_hash})
        if row is None:
            raise ProblemError(403, "otp_expired", "Email link is invalid or has expired")
        session = self._new_session(request)
        await self._database.row(query("start_session"), session | {"user_id": row[0]})
        return self._issued(row[1], session["session_id"], session["token"])

    async def user(self, request: web.Request) -> web.Response:
        """The user whose session asks; a session that was logged out is refused."""
        caller = self._signed_in(request)
        row = await self._database.row(
            with_user("session_user"),
            {"session_id": caller.session_id, "user_id": caller.user_id},
        )
        if row is None:
            raise ProblemError(403, "user_not_found", "User from sub claim in JWT does not exist")
        if not row[0]:
            raise ProblemError(
                403, "session_not_found", "Session from session_id claim in JWT does not exist"
            )
        return web.json_response(shown(row[1]))

    async def log_out(self, request: web.Request) -> web.Response:
        """Ends sessions of the user that asks; their refresh tokens go with them."""
        caller = self._signed_in(request)
        scope = request.query.get("scope", "global")
        if scope not in _SCOPES:
            raise ProblemError(400, "validation_failed", f"Unsupported logout scope {scope!r}")
        await self._database.rows(
            query("log_out"),
            {"user_id": caller.user_id, "session_id": caller.session_id, "scope": scope},
        )
        return web.Response(status=204)

    def _signed_in(self, request: web.Request) -> Caller:
        """Whose session asks. Here a bad token is forbidden, where elsewhere it is unauthorized."""
        try:
            return self._gate.user(request)
        except ProblemError as problem:
            if problem.code == "bad_jwt":
                raise ProblemError(403, "bad_jwt", str(problem)) from problem
            raise

    async def _log_in(self, request: web.Request) -> web.Response:
        body = await json_object(request)
        email, password = text_field(body, "email"), text_field(body, "password")
        row = await self._database.row(with_user("find_login"), {"email": email.strip()})
        if row is None or not await self._tokens.matches(password, row[1]):
            raise ProblemError(400, "invalid_credentials", "Invalid login credentials")
        if row[3]:
            raise ProblemError(400, "user_banned", "User is banned")
        session = self._new_session(request)
        if await self._database.row(query("start_session"), session | {"user_id": row[0]}) is None:
            raise ProblemError(400, "invalid_credentials", "Invalid login credentials")
        return self._issued(row[2], session["session_id"], session["token"])

    async def _refresh(self, request: web.Request) -> web.Response:
        refreshed = await self._refreshing.refresh(
            text_field(await json_object(request), "refresh_token")
        )
        return self._issued(refreshed.user, refreshed.session_id, refreshed.token)

    def _new_session(self, request: web.Request) -> dict[str, Any]:
        return {
            "session_id": str(uuid.uuid4()),
            "token": self._tokens.refresh_token(),
            "user_agent": request.headers.get("User-Agent", "")[:_USER_AGENT_LENGTH],
        }

    def _issued(self, user: dict[str, Any], session_id: str, refresh: str) -> web.Response:
        """The answer that carries a session, and the count of a success."""
        access = self._tokens.issue(
            user_id=str(user["id"]), session_id=session_id, email=str(user["email"])
        )
        self._metrics.auth_success.inc()
        lifetime = self._tokens.lifetime_seconds
        return web.json_response(
            {
                "access_token": access,
                "token_type": "bearer",
                "expires_in": lifetime,
                "expires_at": int(time.time()) + lifetime,
                "refresh_token": refresh,
                "user": shown(user),
            }
        )


def check_email(email: str) -> None:
    """Refuse what is no address.

    Raises:
        ProblemError: 400.
    """
    if "@" not in email:
        raise ProblemError(
            400, "validation_failed", "Unable to validate email address: invalid format"
        )
