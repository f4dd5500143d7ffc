"""The application: who may ask, which project, and everything below it."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web
from pydantic import BaseModel, Field, TypeAdapter

from failback.lab.management.backups import Backups
from failback.lab.management.functions import Functions
from failback.lab.management.kept import Kept
from failback.lab.management.keys import SigningKeys
from failback.lab.management.names import HEALTH_PATH
from failback.lab.management.refusals import RefusalError, body_of, refused
from failback.lab.management.secrets import Secrets

_PREFIX = "/v1/projects/{ref}"
_LARGEST_BODY = 32 * 1024 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Settings:
    """What one stand-in is.

    Attributes:
        ref: the project.
        token: what its owner shows.
        jwt_secret: what the project's auth signs with where it has no keys.
        state: a file of its own.
        secrets: the file of the functions' secrets, which their runtime reads.
        jwt_keys: the file of signing keys, which the project's auth reads.
        functions: a folder with a folder for each function that is deployed at first.
    """

    ref: str
    token: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    state: Path
    secrets: Path
    jwt_keys: Path
    functions: Path | None = None


class _Trouble(BaseModel):
    """The next requests are answered so, whatever they ask."""

    status: int = Field(ge=400, le=599)
    times: int = Field(default=1, ge=1)
    retry_after: str = ""
    after_the_work: bool = False
    """Whether what was asked is done all the same, as where an answer is lost."""


_TROUBLE = TypeAdapter(_Trouble)


class Management:
    """The stand-in of one project."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept = Kept(settings.state)
        self._functions = Functions(self._kept)
        self._backups = Backups(self._kept)
        self._keys = SigningKeys(self._kept, settings.jwt_keys, settings.jwt_secret)
        self._secrets = Secrets(settings.secrets)
        self._trouble: _Trouble | None = None
        if settings.functions is not None and not self._kept.state["functions"]:
            self._deploy(settings.functions)

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[self._surround], client_max_size=_LARGEST_BODY)
        app.add_routes(
            [
                web.get(HEALTH_PATH, self._health),
                web.put("/_lab/trouble", self._begin_trouble),
                web.get(_PREFIX, self._project),
            ]
        )
        for part in (self._functions, self._secrets, self._keys, self._backups):
            app.add_routes(part.routes(_PREFIX))
        return app

    def _deploy(self, folder: Path) -> None:
        for one in sorted(path for path in folder.iterdir() if path.is_dir()):
            files = {
                str(path.relative_to(one)): path.read_bytes()
                for path in one.rglob("*")
                if path.is_file()
            }
            self._functions.put(one.name, files, "index.ts")

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _begin_trouble(self, request: web.Request) -> web.Response:
        self._trouble = await body_of(request, _TROUBLE)
        return web.json_response(self._trouble.model_dump())

    async def _project(self, _request: web.Request) -> web.Response:
        ref = self._settings.ref
        made = datetime.fromtimestamp(self._kept.state["created_at"], UTC).isoformat()
        return web.json_response(
            {
                "id": ref,
                "ref": ref,
                "organization_id": "lab",
                "organization_slug": "lab",
                "name": "The lab's source",
                "region": "us-east-1",
                "created_at": made,
                "status": "RESTORING" if self._backups.restoring else "ACTIVE_HEALTHY",
                "database": {
                    "host": f"db.{ref}.supabase.test",
                    "version": "16",
                    "postgres_engine": "16",
                    "release_channel": "ga",
                },
            }
        )

    @web.middleware
    async def _surround(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if not request.path.startswith("/v1/"):
                return await handler(request)
            return await self._answered(request, handler)
        except RefusalError as refusal:
            return refused(refusal)
        except web.HTTPException as answer:
            return refused(RefusalError(answer.status, answer.reason))

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        trouble = self._next_trouble()
        if trouble is not None:
            if trouble.after_the_work:
                await handler(request)
            headers = {"Retry-After": trouble.retry_after} if trouble.retry_after else {}
            return web.json_response(
                {"message": "Broken on purpose by the lab."},
                status=trouble.status,
                headers=headers,
            )
        shown = request.headers.get("Authorization", "")
        if not hmac.compare_digest(shown.encode(), f"Bearer {self._settings.token}".encode()):
            raise RefusalError(401, "Unauthorized")
        if request.match_info.get("ref") != self._settings.ref:
            raise RefusalError(404, "Project not found")
        return await handler(request)

    def _next_trouble(self) -> _Trouble | None:
        trouble = self._trouble
        if trouble is not None:
            left = trouble.times - 1
            self._trouble = trouble.model_copy(update={"times": left}) if left else None
        return trouble
