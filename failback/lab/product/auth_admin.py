"""What the operator may do with users, with the service key."""

import hashlib
import json
import secrets
import uuid
from typing import Any

import psycopg
from aiohttp import web

from failback.lab.product.auth import check_email
from failback.lab.product.body import json_object, text_field
from failback.lab.product.database import Database
from failback.lab.product.gate import Gate
from failback.lab.product.problems import ProblemError
from failback.lab.product.queries import query
from failback.lab.product.tokens import Tokens
from failback.lab.product.users import shown, with_user

_MOST_PER_PAGE = 1000
_LINKS = ("magiclink", "recovery")


class AuthAdmin:
    """Handlers under `/auth/v1/admin/`."""

    def __init__(self, database: Database, tokens: Tokens, gate: Gate) -> None:
        self._database = database
        self._tokens = tokens
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of this part."""
        one = "/auth/v1/admin/users/{id}"
        return [
            web.get("/auth/v1/admin/users", self.users),
            web.post("/auth/v1/admin/users", self.create),
            web.post("/auth/v1/admin/generate_link", self.link),
            web.get(one, self.user),
            web.put(one, self.change),
            web.delete(one, self.delete),
        ]

    async def users(self, request: web.Request) -> web.Response:
        """A page of users, newest first."""
        self._gate.service(request)
        page, per_page = _number(request, "page", 1), _number(request, "per_page", 50)
        per_page = min(per_page, _MOST_PER_PAGE)
        rows = await self._database.rows(
            with_user("list_users"), {"per_page": per_page, "skip": (page - 1) * per_page}
        )
        return web.json_response(
            {"aud": "authenticated", "users": [shown(user) for (user,) in rows]}
        )

    async def create(self, request: web.Request) -> web.Response:
        """Makes a user without a session.

        `{"email", "password"?, "id"?, "email_confirm"?, "user_metadata"?, "app_metadata"?}`
        """
        self._gate.service(request)
        body = await json_object(request)
        email = text_field(body, "email").strip().lower()
        check_email(email)
        try:
            row = await self._database.row(
                query("create_user"),
                {
                    "user_id": _uuid(body.get("id") or str(uuid.uuid4())),
                    "email": email,
                    "password": await self._password(body),
                    "confirmed": bool(body.get("email_confirm")),
                    "data": json.dumps(body.get("user_metadata") or {}),
                    "app_data": json.dumps(body.get("app_metadata") or {}),
                },
            )
        except psycopg.errors.UniqueViolation as error:
            raise _exists() from error
        return _answer(row)

    async def user(self, request: web.Request) -> web.Response:
        """One user."""
        row = await self._database.row(
            with_user("find_user"), {"user_id": self._asked_for(request)}
        )
        return _answer(row)

    async def change(self, request: web.Request) -> web.Response:
        """Changes what the body names; metadata are merged."""
        user_id = self._asked_for(request)
        body = await json_object(request)
        if (email := body.get("email")) is not None:
            email = text_field(body, "email").strip().lower()
            check_email(email)
        try:
            row = await self._database.row(
                with_user("change_user"),
                {
                    "user_id": user_id,
                    "email": email,
                    "password": await self._password(body),
                    "confirmed": bool(body.get("email_confirm")),
                    "data": _written(body.get("user_metadata")),
                    "app_data": _written(body.get("app_metadata")),
                },
            )
        except psycopg.errors.UniqueViolation as error:
            raise _exists() from error
        return _answer(row)

    async def delete(self, request: web.Request) -> web.Response:
        """Deletes a user and all that belongs to it."""
        user_id = self._asked_for(request)
        if await self._database.row(query("delete_user"), {"user_id": user_id}) is None:
            raise _unknown()
        return web.json_response({})

    async def link(self, request: web.Request) -> web.Response:
        """Makes a link that signs a user in: `{"type": "magiclink" or "recovery", "email"}`."""
        self._gate.service(request)
        body = await json_object(request)
        kind, email = text_field(body, "type"), text_field(body, "email").strip()
        if kind not in _LINKS:
            raise ProblemError(400, "validation_failed", f"Links are {' or '.join(_LINKS)}")
        code = f"{secrets.randbelow(10**6):06}"
        token_hash = hashlib.sha224(f"{email.lower()}{code}".encode()).hexdigest()
        row = await self._database.row(
            with_user("keep_one_time_token"), {"email": email, "hash": token_hash}
        )
        if row is None:
            raise _unknown()
        place = f"{request.scheme}://{request.host}"
        return web.json_response(
            {
                **shown(row[0]),
                "action_link": f"{place}/auth/v1/verify?token={token_hash}&type={kind}",
                "email_otp": code,
                "hashed_token": token_hash,
                "verification_type": kind,
                "redirect_to": place,
            }
        )

    async def _password(self, body: dict[str, Any]) -> str | None:
        if body.get("password") is None:
            return None
        return await self._tokens.hashed(text_field(body, "password"))

    def _asked_for(self, request: web.Request) -> str:
        self._gate.service(request)
        return _uuid(request.match_info["id"])


def _answer(row: tuple[Any, ...] | None) -> web.Response:
    if row is None:
        raise _unknown()
    return web.json_response(shown(row[0]))


def _unknown() -> ProblemError:
    return ProblemError(404, "user_not_found", "User not found")


def _exists() -> ProblemError:
    return ProblemError(
        422, "email_exists", "A user with this email address has already been registered"
    )


def _written(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _uuid(text: object) -> str:
    try:
        return str(uuid.UUID(str(text)))
    except ValueError as error:
        raise ProblemError(404, "validation_failed", "user_id must be an UUID") from error


def _number(request: web.Request, name: str, usual: int) -> int:
    text = request.query.get(name, str(usual))
    if not text.isdecimal() or int(text) < 1:
        raise ProblemError(400, "validation_failed", f"{name} is a whole number from 1 on")
    return int(text)
