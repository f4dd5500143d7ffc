"""The critical user journey: a new user logs in, reads, asks, and is gone again."""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from failback.providers.checks.judging import CheckFailedError
from failback.sections.checks import JourneyConfig

_FAILURES = (CheckFailedError, httpx.HTTPError, TimeoutError)


class Keys(NamedTuple):
    """The headers that each kind of caller sends."""

    anonymous: Mapping[str, str]
    service: Mapping[str, str]

    def user(self, token: str) -> Mapping[str, str]:
        """The headers of a signed-in user."""
        return {**self.anonymous, "Authorization": f"Bearer {token}"}


class _RefusedError(CheckFailedError):
    """The service understood a request and said no: nothing was done."""


class _User:
    """A test user on its way; its id is known once an answer told it."""

    def __init__(self, domain: str) -> None:
        self.email = f"failback-check-{secrets.token_hex(8)}@{domain}"
        self.password = secrets.token_urlsafe(24)
        self.id = ""
        self.may_exist = False
        self.step = "create a test user"


class Journey:
    """Goes the way of a customer through auth, documents and the AI query.

    Args:
        http: a client whose base is the product's address.
        config: the paths to take.
        keys: the headers of callers.
        seconds: the deadline of the steps, and once more of the removal.
    """

    def __init__(
        self, http: httpx.AsyncClient, config: JourneyConfig, keys: Keys, seconds: float
    ) -> None:
        self._http = http
        self._config = config
        self._keys = keys
        self._seconds = seconds

    async def go(self) -> str:
        """Take every step, then remove the user, also when a step failed or was cancelled.

        Raises:
            CheckFailedError: a step or the removal failed, or took too long; the text
                names it.
        """
        user = _User(self._config.email_domain)
        failures: list[str] = []
        try:
            async with asyncio.timeout(self._seconds):
                await self._steps(user)
        except _FAILURES as error:
            failures.append(f"{user.step}: {self._text(error)}")
        finally:
            # A cancel is delivered once: the removal runs as a task of its own.
            removal = asyncio.create_task(self._remove(user))
            try:
                await asyncio.shield(removal)
            except asyncio.CancelledError:
                await asyncio.wait([removal])
                raise
            except _FAILURES as error:
                failures.append(f"the test user {user.email} is left: {self._text(error)}")
        if failures:
            raise CheckFailedError("; ".join(failures))
        return "created a user, logged in, read a document, ran an AI query, removed the user"

    async def _steps(self, user: _User) -> None:
        # Said before the request: its answer may be lost after the user was made.
        user.may_exist = True
        try:
            created = await self._post("/auth/v1/signup", _credentials(user), self._keys.anonymous)
        except (_RefusedError, httpx.ConnectError):
            user.may_exist = False
            raise
        user.id = _id_in(created)
        user.step = "log in"
        headers = self._keys.user(await self._log_in(user))
        user.step = "read a document"
        documents = await self._http.get(self._config.document_path, headers=headers)
        if not isinstance(_body(documents), list):
            raise CheckFailedError("the answer is no list of documents")
        user.step = "run an AI query"
        question = {"query": "Which documents do I have?"}
        await self._post(self._config.ai_query_path, question, headers)

    async def _log_in(self, user: _User) -> str:
        path = "/auth/v1/token?grant_type=password"
        session = await self._post(path, _credentials(user), self._keys.anonymous)
        token = session.get("access_token") if isinstance(session, dict) else None
        if not isinstance(token, str):
            raise CheckFailedError("the answer holds no access token")
        user.id = user.id or _id_in(session)
        return token

    async def _remove(self, user: _User) -> None:
        if not user.may_exist:
            return
        async with asyncio.timeout(self._seconds):
            if not user.id:
                # The sign-up's answer was lost or held no id: who can log in exists.
                try:
                    await self._log_in(user)
                except _RefusedError:
                    return
            if not user.id:
                raise CheckFailedError("no answer told its id")
            path = f"/auth/v1/admin/users/{user.id}"
            answer = await self._http.delete(path, headers=self._keys.service)
            if answer.status_code != httpx.codes.NOT_FOUND:
                _expect_success(answer)

    async def _post(self, path: str, body: object, headers: Mapping[str, str]) -> Any:
        return _body(await self._http.post(path, json=body, headers=headers))

    def _text(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._seconds:g} s"
        return str(error) or type(error).__name__


def _credentials(user: _User) -> dict[str, str]:
    return {"email": user.email, "password": user.password}


def _id_in(answer: Any) -> str:
    """The user's id, where an answer has one: in a session, or in the user alone."""
    user = answer.get("user", answer) if isinstance(answer, dict) else None
    found = user.get("id") if isinstance(user, dict) else None
    return found if isinstance(found, str) else ""


def _expect_success(answer: httpx.Response) -> None:
    if not answer.is_success:
        kind = _RefusedError if answer.is_client_error else CheckFailedError
        raise kind(f"HTTP {answer.status_code}{_reason(answer)}")


def _body(answer: httpx.Response) -> Any:
    _expect_success(answer)
    try:
        return answer.json()
    except ValueError as error:
        raise CheckFailedError("the answer is no JSON") from error


def _reason(answer: httpx.Response) -> str:
    """The service's own words, where it gives them as Supabase's services do."""
    try:
        body = answer.json()
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    words = body.get("msg") or body.get("message") or body.get("error_description")
    return f" ({str(words)[:120]})" if words else ""
